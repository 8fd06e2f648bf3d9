"""What the outside asks the process over HTTP: is it alive, is it ready, and its metrics. Served by `running`."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from trainyard.systems.cluster.reflector import Reflector
from trainyard.telemetry import REGISTRY

# Bookmarks come every minute; this is several of them, a reconnect and the longest backoff.
DEAD_SECONDS = 240.0


@dataclass(frozen=True)
class Health:
    """An answer to a probe: good or not, and a sentence for each thing that is wrong."""

    wrong: tuple[str, ...] = ()

    def response(self) -> web.Response:
        """Render it: 200 or 503, as text."""
        return web.Response(status=503 if self.wrong else 200, text="\n".join(self.wrong or ("ok",)) + "\n")


def liveness(watches: Iterable[Reflector]) -> Health:
    """Say whether each watch has shown a sign of life lately; a process that is deaf must be started anew."""
    return Health(
        tuple(
            f"The watch of {watch.kind.plural} has been silent for {watch.age():.0f} s."
            for watch in watches
            if watch.age() > DEAD_SECONDS
        )
    )


def readiness(watches: Iterable[Reflector]) -> Health:
    """Say whether each kind has been listed; what failed is named."""
    return Health(
        tuple(
            f"{watch.kind.plural} are not listed{f': {watch.failure}' if watch.failure else ' yet'}."
            for watch in watches
            if not watch.synced
        )
    )


class Server:
    """One HTTP server with a few texts by path."""

    def __init__(self, port: int, pages: dict[str, Callable[[], web.Response]]) -> None:
        self._port = port
        self._runner = web.AppRunner(_app(pages), handle_signals=False, access_log=None, shutdown_timeout=1.0)

    async def start(self) -> None:
        """Listen on all addresses: probes come to the pod's own."""
        await self._runner.setup()
        await web.TCPSite(self._runner, port=self._port).start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()


def metrics() -> web.Response:
    """Render the metrics of this process."""
    return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _app(pages: dict[str, Callable[[], web.Response]]) -> web.Application:
    app = web.Application()
    for path, page in pages.items():
        app.router.add_get(path, _answering(page))
    return app


def _answering(page: Callable[[], web.Response]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return page()

    return answer

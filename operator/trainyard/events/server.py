"""HTTP: the receiver's address for events, and beside it probes and metrics for the cluster.

What a request can cost is bounded here: its size, its time, how many are in hand. Compressed bodies are refused.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from trainyard.events import answers, metrics
from trainyard.events.answers import CROWDED, Answer
from trainyard.events.delivery import Delivery

# DNS labels, so that nothing else reaches a URL of the API server.
ADDRESS = "/events/{namespace:[a-z0-9-]{1,63}}/{pipeline:[a-z0-9-]{1,63}}/{trigger:[a-z0-9-]{1,63}}"
BODY_SECONDS = 10.0
# A refusal leaves no sooner than this after the request came: how long it took tells nothing of what exists.
PAUSE_SECONDS = 0.3

_log = logging.getLogger(__name__)

Receive = Callable[[Delivery], Awaitable[Answer]]


@dataclass(frozen=True)
class Bounds:
    """`body` in bytes, `in_hand` requests at the same time."""

    body: int = 1_048_576
    in_hand: int = 256


class Events:
    """The application that takes events."""

    def __init__(self, receive: Receive, bounds: Bounds) -> None:
        self._receive = receive
        self._bounds = bounds
        self._in_hand = 0

    def app(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(client_max_size=self._bounds.body, middlewares=[_in_json])
        app.router.add_post(ADDRESS, self.answer)
        return app

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        began = time.monotonic()
        answer = await self._bounded(request)
        metrics.SECONDS.observe(time.monotonic() - began)
        _log.info("%s %s %s: %s", request.path, answer.status, answer.reason, answer.message)
        if answer.status in (401, 403):
            await asyncio.sleep(max(0.0, PAUSE_SECONDS - (time.monotonic() - began)))
        return rendered(answer)

    async def _bounded(self, request: web.Request) -> Answer:
        if self._in_hand >= self._bounds.in_hand:
            return CROWDED
        self._in_hand += 1
        metrics.IN_HAND.set(self._in_hand)
        try:
            return await self._taken(request)
        except Exception:  # noqa: BLE001 - whatever goes wrong with one request, its caller gets an answer
            _log.exception("%s", request.path)
            return Answer(500, answers.BROKEN, "The receiver failed; its log tells why.", retry_after=60)
        finally:
            self._in_hand -= 1
            metrics.IN_HAND.set(self._in_hand)

    async def _taken(self, request: web.Request) -> Answer:
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            return Answer(415, answers.UNSUPPORTED, "Compressed bodies are not taken.")
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return Answer(413, answers.TOO_LARGE, f"At most {self._bounds.body} bytes are taken.")
        except TimeoutError:
            return Answer(408, answers.TOO_SLOW, f"The body did not come within {BODY_SECONDS:.0f} s.")
        return await self._receive(_delivery(request, body))


def _delivery(request: web.Request, body: bytes) -> Delivery:
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in request.headers.items():
        headers[name.lower()] = (*headers.get(name.lower(), ()), value)
    place = request.match_info
    return Delivery(place["namespace"], place["pipeline"], place["trigger"], headers, body)


def rendered(answer: Answer) -> web.Response:
    """Return the HTTP response, and count it."""
    metrics.ANSWERS.labels(str(answer.status), answer.reason).inc()
    response = web.json_response(answer.to_wire(), status=answer.status)
    if answer.retry_after:
        response.headers["Retry-After"] = str(answer.retry_after)
    if answer.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="trainyard"'
    return response


@web.middleware
async def _in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer what has no handler in JSON too."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as refusal:
        response = rendered(Answer(405, answers.NOT_ALLOWED, "Events are posted."))
        response.headers["Allow"] = refusal.headers["Allow"]
        return response
    except web.HTTPNotFound:
        return rendered(
            Answer(404, answers.NOT_FOUND, "Events are posted to /events/<namespace>/<pipeline>/<trigger>.")
        )


def beside(is_ready: Callable[[], bool]) -> web.Application:
    """Return the application for the cluster: /healthz, /readyz, /metrics."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if is_ready() else web.Response(status=503, text="The receiver is ending.\n")

    async def exposed(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", exposed)
    return app

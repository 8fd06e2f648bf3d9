"""`python -m trainyard.events`: the receiver of events. Any number of replicas; it keeps nothing.

Reads its environment here and nowhere else. Ends on SIGTERM: no longer ready, a few seconds later no longer listening,
and the requests in hand are answered.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import aiohttp
from aiohttp import web

from trainyard.events.configuration import Configuration, ConfigurationWrong, read
from trainyard.events.issuers import OidcIssuers
from trainyard.events.limits import Limits
from trainyard.events.receiving import Receiver
from trainyard.events.reviews import KubernetesReviews
from trainyard.events.server import Bounds, Events, beside
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.transport import Transport, connect

_ISSUER_SECONDS = 5.0


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the process's own clock; the room takes it as an argument


async def _listen(stack: AsyncExitStack, app: web.Application, port: int) -> None:
    # auto_decompress: a small request must not become a large one, and signatures are over what was sent.
    runner = web.AppRunner(
        app, handle_signals=False, access_log=None, shutdown_timeout=15.0, keepalive_timeout=75.0, auto_decompress=False
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, port=port).start()


async def serve(configuration: Configuration) -> None:
    """Serve until SIGTERM or SIGINT."""
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    async with AsyncExitStack() as stack:
        transport = Transport(await connect())
        stack.push_async_callback(transport.close)
        limit = aiohttp.ClientTimeout(total=_ISSUER_SECONDS)
        outside = await stack.enter_async_context(aiohttp.ClientSession(timeout=limit))
        receiver = Receiver(
            KubernetesCluster(transport),
            KubernetesReviews(transport),
            OidcIssuers(configuration.issuers, outside, time.monotonic),
            Limits(configuration.per_minute, time.monotonic),
            _now,
        )
        events = Events(receiver.receive, Bounds(configuration.body_bytes, configuration.in_hand))
        await _listen(stack, beside(lambda: not ending.is_set()), configuration.probe_port)
        await _listen(stack, events.app(), configuration.port)
        await ending.wait()
        await asyncio.sleep(configuration.drain)


def main() -> int:
    """Run the receiver; exit status 2 where a setting is wrong."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    try:
        configuration = read(os.environ)
    except ConfigurationWrong as error:
        print(error, file=sys.stderr)
        return 2
    asyncio.run(serve(configuration))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`trainyard rollout get --watch`: the screen, again and again, until Ctrl-C or the Rollout is gone."""

import asyncio
from contextlib import suppress

from rich.live import Live

from trainyard.cli import clock
from trainyard.cli.connection import Connection
from trainyard.cli.console import stdout
from trainyard.cli.rollout_screen import screen
from trainyard.systems.cluster.port import ROLLOUT, Unavailable

POLL_SECONDS = 1.0


async def watch_rollout(connection: Connection, name: str) -> None:
    """Keep a Rollout's screen up to date. Raises Problem once it is gone."""
    with Live(console=stdout(), auto_refresh=False, screen=False) as live:
        while True:
            with suppress(Unavailable):  # the last screen stays until the API server answers again
                live.update(screen(await connection.find(ROLLOUT, name), clock.now()), refresh=True)
            await asyncio.sleep(POLL_SECONDS)

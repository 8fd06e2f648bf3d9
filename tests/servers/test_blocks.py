"""Blocks from a real Prometheus: a process that starts again, a scrape that fails, an error that appears late."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from aiohttp import web

from tests.servers.running import prometheus
from trainyard.rollout import blocks
from trainyard.systems.prometheus.client import HttpPrometheus

CONFIG = """
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs: [{job_name: pod, static_configs: [{targets: ["127.0.0.1:$(port)"]}]}]
"""


@dataclass
class Pod:
    """A process with two counters; `down`: it answers no scrape."""

    total: int = 1000
    failed: int = 0
    down: bool = False
    port: int = 0
    scraped: asyncio.Event = field(default_factory=asyncio.Event)
    runner: web.AppRunner = field(init=False)

    async def metrics(self, request: web.Request) -> web.Response:
        self.scraped.set()
        if self.down:
            return web.Response(status=503)
        lines = [f"requests_total {self.total}"] + ([f"failed_total {self.failed}"] if self.failed else [])
        return web.Response(text="\n".join(lines) + "\n")

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/metrics", self.metrics)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.port = self.runner.addresses[0][1]

    async def seen(self) -> None:
        """Wait until what it says now was scraped, and stored: the second scrape from now on has begun."""
        for _ in range(2):
            self.scraped.clear()
            await asyncio.wait_for(self.scraped.wait(), 60)


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    made = Pod()
    await made.start()
    yield made
    await made.runner.cleanup()


@pytest.mark.servers
async def test_nothing_is_lost_and_nothing_counted_twice(pod: Pod) -> None:
    with prometheus(CONFIG.replace("$(port)", str(pod.port))) as url:
        asked = HttpPrometheus(url)
        try:
            await pod.seen()
            begun = (await asked.query("time()")).samples
            await pod.seen()
            pod.total, pod.failed = 1060, 7  # the first failures: their counter appears
            await pod.seen()
            pod.down = True
            await pod.seen()
            pod.down, pod.total, pod.failed = False, 1100, 9
            await pod.seen()
            pod.total, pod.failed = 25, 0  # it started again: 25 requests, no failure
            await pod.seen()
            pod.total, pod.failed = 40, 3
            await pod.seen()
            await pod.seen()
            ended = (await asked.query("time()")).samples
            assert begun
            assert ended
            grid = blocks.grid(at(begun[0].value), at(ended[0].value), 1)
            assert grid is not None
            part, total = [
                await asked.query_range(query, grid.start, grid.end, grid.step_seconds)
                for query in ("sum by (instance) (failed_total)", "sum by (instance) (requests_total)")
            ]
        finally:
            await asked.close()
    found = blocks.made(grid, (part, total), (part, total), (None, None))
    assert sum(block.total for block in found.canary) == 60 + 40 + 25 + 15
    assert sum(block.part for block in found.canary) == 7 + 2 + 3
    assert found.seen == grid.end.timestamp()


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

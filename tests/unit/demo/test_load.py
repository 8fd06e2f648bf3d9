"""The load generator against a real server on this machine."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from examples.demo.load import Load, Sample, quantile, tally


@dataclass
class Server:
    """Answers as `answer` says; keeps what it was sent."""

    url: str = ""
    hosts: list[str] = field(default_factory=list)
    bodies: list[object] = field(default_factory=list)
    answer: Callable[[int], int] = lambda _: 200

    async def handle(self, request: web.Request) -> web.Response:
        self.hosts.append(request.headers["Host"])
        self.bodies.append(await request.json())
        return web.Response(status=self.answer(len(self.bodies)))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_post("/predict", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/predict"
    yield made
    await runner.cleanup()


async def sent(load: Load, count: int) -> None:
    """Let the load run until so many requests are answered."""

    def wait() -> None:
        deadline = time.monotonic() + 30
        while len(load.samples) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        load.stop()

    load.start()
    await asyncio.to_thread(wait)
    assert not load.running


async def test_every_request_is_counted_by_phase_and_status(server: Server) -> None:
    server.answer = lambda number: 500 if number % 5 == 0 else 200
    load = Load(server.url, "model.example.com", [{"a": 1}, {"a": 2}], rate=200, phase="calm")
    await sent(load, 20)
    figures = load.of("calm")
    assert figures.requests == len(server.bodies) == len(load.samples)
    assert figures.failed == figures.statuses["500"] == figures.requests // 5
    assert set(server.hosts) == {"model.example.com"}
    assert 2 * server.bodies.count({"a": 1}) - figures.requests in (0, 1)
    assert load.of("storm").requests == 0


async def test_no_answer_is_a_failure_with_a_name() -> None:
    load = Load("http://127.0.0.1:9/predict", "", [{}], rate=100)
    await sent(load, 3)
    figures = load.of()
    assert figures.failed == figures.requests >= 3
    assert list(figures.statuses) == ["ClientConnectorError"]
    assert figures.p99 == 0


async def test_it_keeps_its_rate_whatever_the_answers_take(server: Server) -> None:
    load = Load(server.url, "", [{}], rate=100)
    began = time.monotonic()
    await sent(load, 100)
    assert 0.9 < time.monotonic() - began < 15
    gaps = [b.at - a.at for a, b in zip(load.samples, load.samples[1:], strict=False)]
    assert sum(gaps) / len(gaps) < 0.1


def test_a_load_that_never_began_stops() -> None:
    load = Load("http://127.0.0.1:9/", "", [{}], rate=1)
    load.stop()
    assert not load.running


def test_figures_of_nothing() -> None:
    assert tally([]).requests == 0
    assert quantile([], 0.5) == 0


def test_quantiles() -> None:
    samples = [Sample(0, 200, n / 100, "") for n in range(100)]
    figures = tally(samples)
    assert (figures.p50, figures.p99) == (0.5, 0.99)

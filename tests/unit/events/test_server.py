"""HTTP around the receiver: addresses, bounds, what a refusal costs, probes."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from trainyard.events import server
from trainyard.events.answers import UNPROVEN, Answer
from trainyard.events.configuration import ConfigurationWrong, read
from trainyard.events.delivery import Delivery
from trainyard.events.server import Bounds, Events, beside

URL = "/events/ada/churn/cluster"


class Room:
    """A receiver that keeps what it gets and answers what it is told."""

    def __init__(self) -> None:
        self.got: list[Delivery] = []
        self.answer: Answer | Exception = Answer(202, "RunCreated", "Created.", "churn-1", retry_after=7)
        self.arrived = asyncio.Semaphore(0)
        self.gate = asyncio.Event()
        self.gate.set()

    async def receive(self, delivery: Delivery) -> Answer:
        self.got.append(delivery)
        self.arrived.release()
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
async def room() -> Room:
    return Room()


@pytest.fixture
async def client(room: Room) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = Events(room.receive, Bounds(body=100, in_hand=2)).app()
    async with TestClient(TestServer(app), auto_decompress=False) as made:
        yield made


Client = TestClient[web.Request, web.Application]


async def test_a_delivery_arrives_whole(client: Client, room: Room) -> None:
    answer = await client.post(URL, data=b"body", headers=[("X-Twice", "1"), ("X-Twice", "2"), ("CE-Id", "7")])
    assert (answer.status, answer.headers["Retry-After"]) == (202, "7")
    assert await answer.json() == {"reason": "RunCreated", "message": "Created.", "run": "churn-1"}
    (got,) = room.got
    assert (got.namespace, got.pipeline, got.trigger, got.body) == ("ada", "churn", "cluster", b"body")
    assert (got.headers["x-twice"], got.header("ce-id")) == (("1", "2"), "7")


@pytest.mark.parametrize("path", ["/", "/events/ada/churn", "/events/a%2Fb/churn/x", "/events/Ada/churn/x", URL + "/y"])
async def test_other_addresses(client: Client, room: Room, path: str) -> None:
    answer = await client.post(path)
    assert (answer.status, (await answer.json())["reason"]) == (404, "NotFound")
    assert room.got == []


async def test_other_methods(client: Client) -> None:
    answer = await client.get(URL)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert (await answer.json())["message"] == "Events are posted."


async def test_bodies_are_bounded(client: Client, room: Room) -> None:
    assert (await client.post(URL, data=b"x" * 100)).status == 202
    for body in (b"x" * 101, _chunks()):
        answer = await client.post(URL, data=body)
        assert (answer.status, (await answer.json())["reason"]) == (413, "TooLarge")
    answer = await client.post(URL, data=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status == 415
    assert len(room.got) == 1


async def _chunks() -> AsyncIterator[bytes]:
    for _ in range(11):
        yield b"x" * 10


async def test_a_slow_body_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BODY_SECONDS", 0.05)
    never = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        await never.wait()

    answer = await client.post(URL, data=body())
    assert (answer.status, (await answer.json())["reason"]) == (408, "TooSlow")


async def test_requests_in_hand_are_bounded(client: Client, room: Room) -> None:
    room.gate.clear()
    first = [asyncio.create_task(client.post(URL)) for _ in range(2)]
    for _ in first:
        await room.arrived.acquire()
    answer = await client.post(URL)
    assert (answer.status, (await answer.json())["reason"], answer.headers["Retry-After"]) == (503, "Busy", "1")
    room.gate.set()
    assert [(await task).status for task in first] == [202, 202]
    assert (await client.post(URL)).status == 202


async def test_a_bug_is_an_answer_too(client: Client, room: Room) -> None:
    room.answer = RuntimeError("secret words")
    answer = await client.post(URL)
    assert answer.status == 500
    assert "secret words" not in await answer.text()
    room.answer = Answer(200, "Duplicate", "Known.")
    assert (await client.post(URL)).status == 200


async def test_a_refusal_takes_its_time(client: Client, room: Room) -> None:
    room.answer = UNPROVEN
    began = time.monotonic()
    answer = await client.post(URL)
    assert time.monotonic() - began >= server.PAUSE_SECONDS
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="trainyard"')


async def test_probes_and_metrics(client: Client, room: Room) -> None:
    ready = True
    async with TestClient(TestServer(beside(lambda: ready))) as probes:
        assert [(await probes.get(p)).status for p in ("/healthz", "/readyz")] == [200, 200]
        ready = False
        assert [(await probes.get(p)).status for p in ("/healthz", "/readyz")] == [200, 503]
        before = await _count(probes)
        await client.post(URL)
        assert await _count(probes) == before + 1


async def _count(probes: Client) -> float:
    answer = await probes.get("/metrics")
    text = await answer.text()
    line = 'trainyard_events_answers_total{reason="RunCreated",status="202"} '
    return float(next((row[len(line) :] for row in text.splitlines() if row.startswith(line)), "0"))


def test_settings() -> None:
    default = read({})
    assert (default.port, default.probe_port, default.body_bytes, default.in_hand) == (8090, 8080, 1_048_576, 256)
    assert (default.per_minute, default.drain, default.issuers) == (120, 5, {})
    issuers = "https://a.example\n\n https://b.example=https://keys.example/b \n"
    found = read({"TRAINYARD_EVENTS_OIDC_ISSUERS": issuers, "TRAINYARD_EVENTS_DRAIN_SECONDS": "0"})
    assert found.issuers == {"https://a.example": "", "https://b.example": "https://keys.example/b"}
    assert found.drain == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRAINYARD_EVENTS_PORT", "0"),
        ("TRAINYARD_EVENTS_MAX_BYTES", "1MiB"),
        ("TRAINYARD_EVENTS_PER_MINUTE", "-1"),
        ("TRAINYARD_EVENTS_OIDC_ISSUERS", "http://a.example"),
        ("TRAINYARD_EVENTS_OIDC_ISSUERS", "https://a.example=http://keys.example"),
    ],
)
def test_wrong_settings_are_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationWrong, match=name):
        read({name: value})

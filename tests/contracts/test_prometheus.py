"""One suite for the `Prometheus` port: the script, and the client on a scripted HTTP server and a real Prometheus."""

import asyncio
import json
import math
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from local.free_ports import free_port
from tests.fakes.prometheus import ScriptedPrometheus, one, vector
from tests.servers.running import prometheus
from trainyard.systems.prometheus import client
from trainyard.systems.prometheus.client import HttpPrometheus, read_answer, read_range
from trainyard.systems.prometheus.port import Answer, Prometheus, RangeAnswer, Sample, Series

AT = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "body-that-nobody-may-see"


def success(kind: str, result: Any, **more: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}, **more}).encode()


def series(value: str, time: float = AT.timestamp(), **labels: str) -> dict[str, Any]:
    return {"metric": labels, "value": [time, value]}


@dataclass
class Scripted:
    """An HTTP server on loopback that answers every query by `handler`, and keeps the forms it was sent."""

    handler: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    forms: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.forms.append({k: str(v) for k, v in (await request.post()).items()})
        assert self.handler is not None
        return await self.handler(request)

    def says(self, status: int, body: bytes, **headers: str) -> None:
        async def answer(request: web.Request) -> web.Response:
            return web.Response(status=status, body=body, headers=headers)

        self.handler = answer


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    server = Scripted()
    app = web.Application()
    app.router.add_post("/prefix/api/v1/{verb:query|query_range}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/prefix/"
    yield server
    await runner.cleanup()


@pytest.fixture
async def asked(scripted: Scripted) -> AsyncIterator[HttpPrometheus]:
    real = HttpPrometheus(scripted.url)
    yield real
    await real.close()


# ---- the suite: what fake and client share ----

SHARED = {
    "one": (success("vector", [series("0.25", code="500")]), one(0.25, AT, {"code": "500"})),
    "none": (success("vector", []), Answer(samples=())),
    "several": (
        success("vector", [series("1", a="x"), series("2", a="y")]),
        vector(AT, ({"a": "x"}, 1.0), ({"a": "y"}, 2.0)),
    ),
    "scalar": (success("scalar", [AT.timestamp(), "3"]), one(3.0, AT)),
    "infinite": (success("vector", [series("+Inf")]), one(math.inf, AT)),
    "negative infinite": (success("vector", [series("-Inf")]), one(-math.inf, AT)),
}


@pytest.fixture(params=["script", "http"])
def answering(request: pytest.FixtureRequest, scripted: Scripted, asked: HttpPrometheus) -> Callable[..., Prometheus]:
    def make(body: bytes, answer: Answer) -> Prometheus:
        if request.param == "script":
            fake = ScriptedPrometheus()
            fake.on("up", answer)
            return fake
        scripted.says(200, body)
        return asked

    return make


@pytest.mark.parametrize("case", SHARED)
async def test_an_answer_is_read(answering: Callable[..., Prometheus], case: str) -> None:
    body, answer = SHARED[case]
    assert await answering(body, answer).query("up", AT) == answer


async def test_nan_is_a_number_that_is_not_one(answering: Callable[..., Prometheus]) -> None:
    answer = await answering(success("vector", [series("NaN")]), one(math.nan, AT)).query("up", AT)
    assert answer.samples is not None
    assert math.isnan(answer.samples[0].value)


SECONDS = AT.timestamp()


async def test_a_range_is_read(answering: Callable[..., Prometheus]) -> None:
    body = success("matrix", [{"metric": {"pod": "a"}, "values": [[SECONDS + n, "3"] for n in (0, 5, 10)]}])
    asked = answering(body, one(3.0, AT, {"pod": "a"}))
    points = ((SECONDS, 3.0), (SECONDS + 5, 3.0), (SECONDS + 10, 3.0))
    answer = await asked.query_range("up", AT, AT + timedelta(seconds=12), 5)
    assert answer == RangeAnswer(series=(Series({"pod": "a"}, points),))


async def test_an_empty_range_is_no_series(answering: Callable[..., Prometheus]) -> None:
    answer = await answering(success("matrix", []), Answer(samples=())).query_range("up", AT, AT, 5)
    assert answer == RangeAnswer(series=())


# ---- the client: every row of the table of failures ----


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (500, SECRET.encode(), "answered 500"),
        (503, SECRET.encode(), "answered 503"),
        (404, SECRET.encode(), "answered 404"),
        (401, SECRET.encode(), "answered 401"),
        (302, SECRET.encode(), "redirects"),
        (200, f"<html>{SECRET}</html>".encode(), "not one of its API"),
        (200, b"", "not one of its API"),
        (200, b"[]", "not one of its API"),
        (200, b"[" * 100_000, "not one of its API"),
        (200, b"\xff\xfe", "not one of its API"),
        (200, b'{"status": "success"}', "not one of its API"),
        (200, success("vector", [{"metric": {}, "value": [1, 2]}]), "not one of its API"),
        (200, success("vector", [{"metric": {}, "value": [1, SECRET]}]), "not one of its API"),
        (200, success("vector", {"metric": {}}), "not one of its API"),
        (200, success("vector", 3), "not one of its API"),
        (200, success("novel", []), "not one of its API"),
        (200, success("vector", "x" * (1 << 20)), "over 1 MiB"),
        (422, json.dumps({"status": "error", "errorType": "execution", "error": SECRET}).encode(), "422, execution"),
        (400, json.dumps({"status": "error", "errorType": "bad_data", "error": SECRET}).encode(), "400, bad_data"),
        (200, json.dumps({"status": "error", "errorType": SECRET, "error": SECRET}).encode(), r"error \(200\)"),
        (503, json.dumps({"status": "error", "errorType": "timeout", "error": SECRET}).encode(), "503, timeout"),
    ],
)
async def test_a_failure_is_a_sentence_of_ours(
    scripted: Scripted, asked: HttpPrometheus, status: int, body: bytes, says: str
) -> None:
    scripted.says(status, body, Location="/elsewhere")
    answer = await asked.query("up", AT)
    assert answer.samples is None
    assert not answer.unusable
    assert SECRET not in repr(answer)
    assert re.search(says, answer.failure)
    assert len(scripted.forms) == 1  # no redirect followed, nothing sent twice


@pytest.mark.parametrize(
    ("kind", "result", "says"),
    [
        ("string", [AT.timestamp(), SECRET], "a string"),
        ("matrix", [{"metric": {}, "values": [[1, "2"]]}], "range matrix"),
        ("vector", [{"metric": {}, "histogram": [1, {}]}], "native histogram"),
    ],
)
async def test_what_is_no_number_is_unusable(
    scripted: Scripted, asked: HttpPrometheus, kind: str, result: Any, says: str
) -> None:
    scripted.says(200, success(kind, result, warnings=["partial"]))
    answer = await asked.query("up", AT)
    assert says in answer.unusable
    assert (answer.samples, answer.failure, answer.warnings) == (None, "", ("partial",))
    assert SECRET not in repr(answer)


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (503, b"", RangeAnswer(failure="Prometheus answered 503")),
        (302, b"", None),
        (200, success("vector", []), RangeAnswer(failure=client.MALFORMED)),
        (200, success("matrix", [{"metric": {}, "values": [[1, 2]]}]), RangeAnswer(failure=client.MALFORMED)),
        (200, success("matrix", [{"metric": {}, "histograms": []}]), None),
        (200, success("matrix", "x" * (1 << 20)), RangeAnswer(failure="Prometheus' answer is over 1 MiB")),
        (
            400,
            json.dumps({"status": "error", "errorType": "bad_data", "error": SECRET}).encode(),
            RangeAnswer(failure="Prometheus answered with an error (400, bad_data)"),
        ),
    ],
)
async def test_a_range_fails_as_an_instant_does(
    scripted: Scripted, asked: HttpPrometheus, status: int, body: bytes, wanted: RangeAnswer | None
) -> None:
    scripted.says(status, body)
    answer = await asked.query_range("up", AT, AT + timedelta(seconds=60), 15)
    assert answer.series is None
    assert SECRET not in repr(answer)
    assert wanted in (None, answer)
    assert answer.failure or answer.unusable
    form = scripted.forms[0]
    assert (form["start"], form["end"], form["step"]) == (f"{SECONDS:.3f}", f"{SECONDS + 60:.3f}", "15")


async def test_a_range_of_nobody_who_listens() -> None:
    nobody = HttpPrometheus(f"http://127.0.0.1:{free_port()}")
    assert await nobody.query_range("up", AT, AT, 5) == RangeAnswer(failure="Prometheus cannot be reached")
    await nobody.close()


async def test_a_scripted_range_fails_with_its_first_failing_step() -> None:
    fake = ScriptedPrometheus()
    fake.on("up", lambda expression, at: one(1.0, at) if at == AT else Answer(failure="away"))
    assert await fake.query_range("up", AT, AT + timedelta(seconds=5), 5) == RangeAnswer(failure="away")


async def test_warnings_are_kept_and_bounded(scripted: Scripted, asked: HttpPrometheus) -> None:
    scripted.says(200, success("vector", [series("1")], warnings=["w" * 1000] * 20))
    answer = await asked.query("up", AT)
    assert answer.samples
    assert [len(w) for w in answer.warnings] == [200] * 10


async def test_nobody_listens() -> None:
    nobody = HttpPrometheus(f"http://127.0.0.1:{free_port()}")
    assert await nobody.query("up") == Answer(failure="Prometheus cannot be reached")
    await nobody.close()


async def test_a_name_that_does_not_resolve_and_an_address_that_is_none() -> None:
    for url in ("http://prometheus.invalid:9090", "http://[", "nonsense"):
        nobody = HttpPrometheus(url)
        assert (await nobody.query("up")).failure
        await nobody.close()


async def test_a_server_that_hangs_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "DEADLINE_SECONDS", 0.2)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        hung = HttpPrometheus(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        assert "no answer within" in (await hung.query("up")).failure
        await hung.close()


async def test_a_body_without_end_is_cut_off(scripted: Scripted, asked: HttpPrometheus) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)

    scripted.handler = endless
    assert "over 1 MiB" in (await asked.query("up")).failure


async def test_a_connection_that_breaks_off_is_a_failure(scripted: Scripted, asked: HttpPrometheus) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"status"')
        assert request.transport is not None
        request.transport.close()
        return response

    scripted.handler = half
    assert "broke off" in (await asked.query("up")).failure


async def test_equal_questions_in_flight_are_sent_once(scripted: Scripted, asked: HttpPrometheus) -> None:
    both, go = asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        if len(scripted.forms) == 2:
            both.set()
        await go.wait()
        return web.Response(body=success("vector", [series("1")]))

    scripted.handler = wait
    first = asyncio.create_task(asked.query("up", AT))
    same = [asyncio.create_task(asked.query("up", AT)) for _ in range(5)]
    other = asyncio.create_task(asked.query("down", AT))
    await both.wait()
    first.cancel()  # the others still get their answer
    go.set()
    assert {len(a.samples or ()) for a in await asyncio.gather(*same, other)} == {1}
    assert [f["query"] for f in scripted.forms] == ["up", "down"]
    assert scripted.forms[0]["time"] == f"{AT.timestamp():.3f}"
    await asked.query("up", AT)
    assert len(scripted.forms) == 3


async def test_only_so_many_are_sent_at_once(scripted: Scripted, asked: HttpPrometheus) -> None:
    running, most = 0, 0

    async def count(request: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return web.Response(body=success("vector", []))

    scripted.handler = count
    await asyncio.gather(*(asked.query(f"up{i}") for i in range(40)))
    assert len(scripted.forms) == 40
    assert most == client.AT_ONCE


def test_reading_is_total_over_broken_json() -> None:
    whole = success("vector", [series("1", a="b")], warnings=["w"])
    for cut in range(len(whole)):
        assert read_answer(200, whole[:cut]).failure
        assert read_range(200, whole[:cut]).failure
    assert read_answer(200, whole).samples == (Sample({"a": "b"}, AT.timestamp(), 1.0),)


# ---- the script's own levers ----


async def test_the_script_changes_over_time() -> None:
    fake = ScriptedPrometheus()
    fake.on("errors", [0.0, 0.5])
    fake.on(re.compile("lat.*p95"), Answer(failure="away"))
    fake.on("requests", lambda expression, at: one(7.0 if at == AT else 8.0, at))
    values = [(await fake.query("errors", AT)).samples for _ in range(3)]
    assert [v[0].value for v in values if v] == [0.0, 0.5, 0.5]
    assert (await fake.query("latency_p95", AT)).failure == "away"
    assert (await fake.query("requests", AT)).samples == (Sample({}, AT.timestamp(), 7.0),)
    assert (await fake.query("unknown", AT)).samples == ()
    assert fake.queries[-1] == "unknown"


# ---- a real Prometheus ----


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    config = """
global: {scrape_interval: 1s}
scrape_configs: [{job_name: self, static_configs: [{targets: [$(self)]}]}]
"""
    with prometheus(config) as url:
        yield url


@pytest.mark.servers
async def test_a_real_prometheus_answers_as_the_script_does(real: str) -> None:
    asked = HttpPrometheus(real)
    try:
        async with asyncio.timeout(30):
            while not (answer := await asked.query('up{job="self"}')).samples:
                assert answer.samples == ()
                await asyncio.sleep(0.1)
        assert answer.samples[0].value == 1.0
        assert answer.samples[0].labels["job"] == "self"
        nan = (await asked.query("vector(0) / 0", AT)).samples
        assert nan
        assert math.isnan(nan[0].value)
        assert nan[0].time == AT.timestamp()
        assert (await asked.query("scalar(vector(3))", AT)).samples == (Sample({}, AT.timestamp(), 3.0),)
        assert (await asked.query("vector(1) / 0", AT)).samples == (Sample({}, AT.timestamp(), math.inf),)
        now = datetime.fromtimestamp(int(answer.samples[0].time) + 1, UTC)
        over = await asked.query_range('up{job="self"}', now - timedelta(seconds=3600), now, 1)
        assert over.series
        assert {value for _, value in over.series[0].points} == {1.0}
        assert over.series[0].labels["job"] == "self"
        assert "400, bad_data" in (await asked.query_range("up", now - timedelta(days=1), now, 1)).failure
        assert "a string" in (await asked.query('"x"')).unusable
        assert "range matrix" in (await asked.query("up[5m]")).unusable
        assert "400, bad_data" in (await asked.query("sum(")).failure
        assert "422, execution" in (await asked.query("up * on() group_left prometheus_http_requests_total")).failure
    finally:
        await asked.close()

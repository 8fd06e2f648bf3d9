"""A list and the watch after it: what is kept, what is told, and what happens where either breaks."""

from typing import Any, cast

import pytest

from tests.unit.cluster.scripted import Enough, ScriptedTransport, obj, page
from trainyard import probes
from trainyard.systems.cluster.port import (
    SERVICE,
    ClusterError,
    Forbidden,
    Kind,
    NotFound,
    Obj,
    Unavailable,
)
from trainyard.systems.cluster.reflector import STALE_SECONDS, Reflector
from trainyard.systems.cluster.transport import Silent, Transport, error_of


def event(type_: str, what: dict[str, Any]) -> dict[str, Any]:
    return {"type": type_, "object": what}


def bookmark(version: str) -> dict[str, Any]:
    return event("BOOKMARK", {"metadata": {"resourceVersion": version}})


class Bench:
    """A reflector on a script, and what it told."""

    def __init__(self, *script: Any) -> None:
        self.transport = ScriptedTransport(*script)
        self.told: list[tuple[str | None, str | None]] = []
        self.pauses: list[float] = []
        self.reflector = Reflector(cast("Transport", self.transport), SERVICE, "", "a=b", self.tell, sleep=self.pause)

    def tell(self, kind: Kind, before: Obj | None, now: Obj | None) -> None:
        def short(one: Obj | None) -> str | None:
            return f"{one['metadata']['name']}@{one['metadata']['resourceVersion']}" if one else None

        self.told.append((short(before), short(now)))

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def run(self) -> list[str]:
        with pytest.raises(Enough):
            await self.reflector.run()
        return self.transport.asked

    def names(self) -> list[str]:
        return [
            f"{o['metadata']['name']}@{o['metadata']['resourceVersion']}" for o in self.reflector.store.list("", {})
        ]


async def test_a_list_in_pages_and_the_changes_after_it() -> None:
    bench = Bench(
        [page("10", obj("a", "1"), more="x"), page("10", obj("b", "2"))],
        [
            event("ADDED", obj("c", "11")),
            event("MODIFIED", obj("a", "12")),
            event("DELETED", obj("b", "13")),
            event("DELETED", obj("never-seen", "14")),
            bookmark("20"),
        ],
    )
    assert await bench.run() == ["list a=b", "watch 10", "watch 20"]
    assert bench.names() == ["a@12", "c@11"]
    assert bench.told == [
        (None, "a@1"),
        (None, "b@2"),
        (None, "c@11"),
        ("a@1", "a@12"),
        ("b@2", None),
        ("never-seen@14", None),
    ]
    assert bench.reflector.synced
    assert bench.reflector.age() < 60


async def test_what_is_kept_is_trimmed_and_typed() -> None:
    bench = Bench([page("10", obj("a", "1"))])
    await bench.run()
    assert bench.reflector.store.get("ns", "a") == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a", "namespace": "ns", "resourceVersion": "1"},
    }


async def test_deletions_during_a_gap_are_found_on_the_relist() -> None:
    bench = Bench(
        [page("10", obj("a", "1"), obj("b", "2"), obj("c", "3"))],
        [event("ERROR", {"code": 410, "message": "too old"})],
        [page("30", obj("a", "1"), obj("c", "29"))],
    )
    assert await bench.run() == ["list a=b", "watch 10", "list a=b", "watch 30"]
    assert bench.told[3:] == [("b@2", None), ("c@3", "c@29")]
    assert bench.pauses == []


async def test_a_dropped_connection_goes_on_where_it_was() -> None:
    bench = Bench([page("10")], [event("ADDED", obj("a", "11")), Unavailable("reset")])
    assert await bench.run() == ["list a=b", "watch 10", "watch 11"]
    assert len(bench.pauses) == 1


async def test_a_server_that_stays_away_is_listed_anew_and_left_in_peace() -> None:
    bench = Bench([page("10")], *[Unavailable("refused")] * 12)
    assert (await bench.run())[:6] == ["list a=b", "watch 10", "watch 10", "watch 10", "list a=b", "list a=b"]
    assert bench.pauses[0] < 1
    assert 20 < bench.pauses[-1] < 40
    assert bench.reflector.synced


@pytest.mark.parametrize(
    "broken",
    [
        event("ERROR", {"code": 500, "message": "etcd"}),
        event("ADDED", {}),
        b"not json",
        event("ADDED", obj("a", "9") | {"metadata": None}),
    ],
)
async def test_a_broken_watch_starts_from_a_list(broken: Any) -> None:
    bench = Bench([page("10")], [broken], [page("11")])
    assert await bench.run() == ["list a=b", "watch 10", "list a=b", "watch 11"]
    assert len(bench.pauses) == 1


NAMELESS = {"metadata": {"name": "a", "resourceVersion": "1"}}  # and of no namespace


@pytest.mark.parametrize("items", [["text"], [None], [{}], [{"metadata": None}], [NAMELESS], 5])
async def test_a_list_that_cannot_be_read_ends_nothing(items: Any) -> None:
    bench = Bench([page("10") | {"items": items}], [page("11", obj("b", "2"))])
    assert await bench.run() == ["list a=b", "list a=b", "watch 11"]
    assert bench.names() == ["b@2"]
    assert len(bench.pauses) == 1


async def test_a_kind_that_is_not_there_is_told_once_and_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    missing = NotFound("the server could not find the requested resource")
    bench = Bench(missing, missing)
    await bench.run()
    assert not bench.reflector.synced
    assert "could not find" in bench.reflector.failure
    assert len(caplog.records) == 1
    assert len(bench.pauses) == 2


async def test_a_kind_that_goes_takes_its_objects_along() -> None:
    bench = Bench([page("10", obj("a", "1"))], NotFound("gone"))
    await bench.run()
    assert bench.told == [(None, "a@1"), ("a@1", None)]


async def test_a_server_that_breaks_every_watch_is_left_in_peace_more_and_more() -> None:
    broken = [event("ERROR", {"code": 500, "message": "etcd"})]
    bench = Bench(*[[page("10")], broken] * 6)
    await bench.run()
    assert bench.pauses[0] < 1
    assert 10 < bench.pauses[-1] < 40


async def test_a_server_that_calls_every_watch_too_old_is_left_in_peace_too() -> None:
    bench = Bench(*[[page("10")], [event("ERROR", {"code": 410, "message": "too old"})]] * 6)
    await bench.run()
    assert len(bench.pauses) == 5
    assert 10 < bench.pauses[-1] < 40


async def test_a_watch_that_ends_at_once_is_no_success() -> None:
    bench = Bench([page("10")], [], [], [], [page("11")])
    assert await bench.run() == ["list a=b", "watch 10", "watch 10", "watch 10", "list a=b", "watch 11"]
    assert len(bench.pauses) == 3


async def test_a_silent_watch_is_not_taken_up_again_but_listed_anew() -> None:
    bench = Bench([page("10")], [Silent("silent for 85 s")], [page("11")])
    assert await bench.run() == ["list a=b", "watch 10", "list a=b", "watch 11"]


async def test_a_busy_server_says_when_to_come_again() -> None:
    bench = Bench(Unavailable("busy", 7.0), Unavailable("busy", 10_000.0))
    await bench.run()
    assert bench.pauses == [7.0, 30.0]


async def test_a_store_that_is_cut_off_is_not_read_from() -> None:
    bench = Bench([page("10")], Forbidden("no"))
    await bench.run()
    assert bench.reflector.synced
    bench.reflector._heard -= STALE_SECONDS
    assert not bench.reflector.synced
    assert bench.reflector.failure == "no"


ANSWERS = [Forbidden("no"), error_of(429, {}), error_of(500, {}), error_of(503, {}, 5.0), error_of(410, {})]


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
async def test_every_answer_is_a_sign_of_life_and_no_success(answer: ClusterError) -> None:
    """A kind that fails for long shows in readiness; a new process would be told the same."""
    bench = Bench(answer, answer)
    bench.reflector._sign -= 1000
    await bench.run()
    assert probes.liveness([bench.reflector]).wrong == ()
    assert probes.readiness([bench.reflector]).wrong == (f"services are not listed: {answer}.",)


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
async def test_a_kind_that_fails_after_it_was_listed_is_unready(answer: ClusterError) -> None:
    bench = Bench([page("10")], answer, answer)
    await bench.run()
    bench.reflector._heard -= STALE_SECONDS
    assert probes.readiness([bench.reflector]).wrong == (f"services are not listed: {answer}.",)


@pytest.mark.parametrize("silence", [Unavailable("connection refused"), Silent("silent for 85 s")])
async def test_no_answer_is_no_sign_of_life(silence: Unavailable) -> None:
    bench = Bench([page("10")], silence, silence, silence, silence, silence)
    bench.reflector._sleep = lose(bench, 300)
    await bench.run()
    assert len(probes.liveness([bench.reflector]).wrong) == 1


def lose(bench: Bench, seconds: float) -> Any:
    async def pause(_: float) -> None:
        bench.reflector._sign -= seconds

    return pause


async def test_a_listener_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench([page("10", obj("a", "1"), obj("b", "2"))])
    bench.told = cast("Any", None)
    await bench.run()
    assert bench.names() == ["a@1", "b@2"]
    assert "could not be passed on" in caplog.text

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tests.fakes.cluster import FakeCluster
from tests.unit.reconciling.tiny import KEY, Fail, MakeService, ScriptedRoom, tiny
from trainyard.reconciling.cycle import Cycle
from trainyard.reconciling.errors import classify
from trainyard.reconciling.plan import Note, Plan
from trainyard.reconciling.tracking import TrackedCluster, Visit, Written, visiting
from trainyard.reconciling.worker import Known, Report, Worker, known
from trainyard.systems.cluster.port import (
    MODEL_VERSION,
    SERVICE,
    AlreadyExists,
    Cluster,
    Conflict,
    Fenced,
    Forbidden,
    Invalid,
    NotFound,
    Obj,
    Ref,
    Unavailable,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class LiveOrNot(FakeCluster):
    """Remembers whether reads were live."""

    def __init__(self) -> None:
        super().__init__()
        self.live: list[bool] = []

    async def get(self, ref: Ref, *, live: bool = False) -> Obj | None:
        self.live.append(live)
        return await super().get(ref)


@dataclass
class Bench:
    """A worker over a scripted room."""

    room: ScriptedRoom = field(default_factory=ScriptedRoom)
    cluster: LiveOrNot = field(default_factory=LiveOrNot)
    reports: list[Report] = field(default_factory=list)
    seen: bool = True
    waited_for: list[tuple[Ref, str]] = field(default_factory=list)
    posted: list[Written] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster.seed(tiny())
        tracked = TrackedCluster(self.cluster)
        self.worker = Worker(
            cycles={MODEL_VERSION: Cycle[Cluster](self.room, tracked, tracked)},
            now=lambda: NOW,
            seen=self._seen,
            visit_seconds=600.0,
            jitter=lambda: 1.1,
            report=self.reports.append,
            posted=self.posted.extend,
            clock=lambda: 5.0,
        )

    async def _seen(self, known: Known, seconds: float) -> bool:
        self.waited_for += known
        return self.seen

    async def after(self) -> float | None:
        return (await self.worker.visit(KEY)).after


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_quiet_object_is_visited_regularly(bench: Bench) -> None:
    assert await bench.after() == pytest.approx(660.0)
    assert bench.reports[0].failure == ""
    assert bench.reports[0].writes == ()
    assert (await bench.worker.visit(KEY)).settle is None


async def test_a_revisit_comes_before_the_regular_visit_and_never_after(bench: Bench) -> None:
    bench.room.plan = Plan(revisit_after=3.0)
    assert await bench.after() == 3.0
    bench.room.plan = Plan(revisit_after=86400.0)
    assert await bench.after() == pytest.approx(660.0)


async def test_an_object_that_is_gone_is_forgotten(bench: Bench) -> None:
    bench.cluster.remove(KEY)
    assert await bench.after() is None


async def test_failures_back_off_and_success_forgets_them(bench: Bench) -> None:
    bench.room.plan = Plan(actions=(Fail(Unavailable("away")),))
    assert [await bench.after() for _ in range(3)] == [pytest.approx(s * 1.1) for s in (1, 2, 4)]
    bench.room.plan = Plan()
    await bench.after()
    bench.room.plan = Plan(actions=(Fail(Unavailable("away")),))
    assert await bench.after() == pytest.approx(1.1)
    assert [r.failure for r in bench.reports] == ["Unavailable"] * 3 + ["", "Unavailable"]


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (Conflict("c"), logging.DEBUG),
        (NotFound("c"), logging.DEBUG),
        (AlreadyExists("c"), logging.DEBUG),
        (Invalid("c"), logging.WARNING),
        (Forbidden("c"), logging.WARNING),
        (Fenced("c"), logging.WARNING),
        (Unavailable("c"), logging.WARNING),
        (ZeroDivisionError("c"), logging.ERROR),
    ],
)
async def test_the_same_failure_is_told_once(
    bench: Bench, error: Exception, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "trainyard")
    bench.room.plan = Plan(actions=(Fail(error),))
    await bench.after()
    await bench.after()
    told = [r for r in caplog.records if r.name.startswith("trainyard")]
    assert [r.levelno for r in told] == [level]
    assert bool(told[0].exc_info) == (level == logging.ERROR)
    bench.room.plan = Plan(actions=(Fail(Invalid("another")),))
    await bench.after()
    assert len([r for r in caplog.records if r.name.startswith("trainyard")]) == 2


async def test_after_a_failure_the_next_visit_reads_live(bench: Bench) -> None:
    bench.room.plan = Plan(actions=(Fail(Conflict("moved")),))
    await bench.after()
    bench.room.plan = Plan()
    await bench.after()
    await bench.after()
    assert bench.cluster.live == [False, True, False]


async def test_after_a_write_the_key_waits_for_the_store(bench: Bench) -> None:
    bench.room.plan = Plan(actions=(MakeService("s"),), status={"a": 1})
    settle = (await bench.worker.visit(KEY)).settle
    assert settle
    await settle()
    written = bench.reports[0].writes
    assert [(w.verb, w.ref.kind) for w in written] == [("apply", SERVICE), ("status", MODEL_VERSION)]
    assert bench.waited_for == [(w.ref, w.resource_version) for w in written]
    assert all(version for _, version in bench.waited_for)
    bench.room.plan = Plan()
    await bench.after()
    assert bench.cluster.live == [False, False]


async def test_a_store_that_stays_behind_makes_the_next_visit_live(bench: Bench) -> None:
    bench.seen = False
    bench.room.plan = Plan(status={"a": 1})
    settle = (await bench.worker.visit(KEY)).settle
    assert settle
    await settle()
    await bench.after()
    assert bench.cluster.live == [False, True]


async def test_a_store_that_is_behind_what_was_read_live_is_not_read_from(bench: Bench) -> None:
    bench.room.plan = Plan(actions=(Fail(Conflict("moved")),))
    await bench.after()
    bench.seen = False
    bench.room.plan = Plan()
    settle = (await bench.worker.visit(KEY)).settle
    assert settle
    await settle()
    obj = bench.cluster.look(KEY)
    assert obj
    assert bench.waited_for == [(KEY, obj["metadata"]["resourceVersion"])]
    await bench.after()
    assert bench.cluster.live == [False, True, True]


async def test_the_next_visit_sees_no_older_world_than_what_was_read_live() -> None:
    cluster = FakeCluster()
    tracked = TrackedCluster(cluster)
    cluster.seed(tiny())
    gone, made = Ref(SERVICE, "ns", "gone"), Ref(MODEL_VERSION, "ns", "made")
    with visiting(Visit()) as visit:
        await tracked.list(MODEL_VERSION, "ns")
        assert visit.read == {}, "read from the store"
        await tracked.get(gone, live=True)
        await tracked.get(made, live=True)
        await tracked.list(MODEL_VERSION, "ns", live=True)
        await tracked.create(tiny("made"))
    assert visit.read == {gone: "", made: "", KEY: "1"}
    assert dict(known(visit)) == {gone: "", KEY: "1", made: "2"}


async def test_of_two_live_reads_the_newer_counts_whichever_came_last() -> None:
    """One came from a server that was behind."""
    cluster = FakeCluster()
    tracked = TrackedCluster(cluster)
    cluster.seed(tiny())
    old = await cluster.list(MODEL_VERSION, "ns")
    cluster.edit(KEY, {"spec": {"a": 1}})
    with visiting(Visit()) as visit:
        await tracked.get(KEY, live=True)
        cluster.list = AsyncMock(return_value=old)  # type: ignore[method-assign] # a server that is behind
        await tracked.list(MODEL_VERSION, "ns", live=True)
    assert visit.read == {KEY: "2"}


async def test_writes_outside_a_visit_and_deletions_are_noted_where_they_belong() -> None:
    cluster = FakeCluster()
    tracked = TrackedCluster(cluster)
    await tracked.create(tiny())
    with visiting(Visit()) as visit:
        await tracked.create(tiny("other"))
        await tracked.patch(KEY, {"spec": {"a": 1}})
        await tracked.list(MODEL_VERSION, "ns")
        await tracked.delete(KEY)
    assert [(w.verb, w.resource_version) for w in visit.writes] == [("create", "2"), ("patch", "3"), ("delete", "")]


def test_backoff_is_bounded() -> None:
    failure = classify(Unavailable(""))
    assert failure.delay(1) == 1.0
    assert failure.delay(10_000) == 60.0


def test_a_busy_server_is_left_in_peace_for_as_long_as_it_asks_within_reason() -> None:
    assert classify(Unavailable("", 20.0)).delay(1, 0.8) == 20.0
    assert classify(Unavailable("", 20.0)).delay(10, 0.8) == 48.0
    assert classify(Unavailable("", 1e9)).delay(1) == 300.0


async def test_events_are_told_after_the_visit_and_before_the_next(bench: Bench) -> None:
    bench.room.plan = Plan(notes=(Note("Ready", "it is", "1"),))
    verdict = await bench.worker.visit(KEY)
    assert (bench.reports[0].writes, bench.cluster.writes) == ((), [])
    assert verdict.settle is not None
    await verdict.settle()
    assert [(w.verb, w.ref.kind.kind) for w in bench.posted] == [("create", "Event")]
    assert bench.waited_for == []


async def test_a_leader_that_was_deposed_tells_no_more(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.room.plan = Plan(notes=(Note("Ready", "it is", "1"),))
    bench.cluster.create = _deposed  # type: ignore[method-assign] # the fence in front of the cluster
    verdict = await bench.worker.visit(KEY)
    assert verdict.settle is not None
    await verdict.settle()
    assert bench.posted == []
    assert "were not posted" in caplog.text


async def _deposed(obj: Obj) -> Obj:
    raise Fenced(f"another leads: {obj}")


async def test_what_goes_wrong_after_a_visit_is_told_and_the_next_reads_live(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> Any:
        raise KeyError("metadata")

    bench.room.plan = Plan(notes=(Note("Ready", "it is", "1"),))
    bench.cluster.create = broken  # type: ignore[assignment, method-assign] # a bug, or an answer that nobody thought of
    verdict = await bench.worker.visit(KEY)
    assert verdict.settle is not None
    bench.seen = True
    await verdict.settle()
    assert "KeyError('metadata')" in caplog.text
    bench.worker.seen = broken
    await verdict.settle()
    await bench.worker.visit(KEY)
    assert bench.cluster.live == [False, True]

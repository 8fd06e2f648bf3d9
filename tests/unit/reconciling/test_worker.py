import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from tests.fakes.cluster import FakeCluster
from tests.unit.reconciling.tiny import KEY, Fail, MakeService, ScriptedRoom, tiny
from trainyard.reconciling.cycle import Cycle
from trainyard.reconciling.errors import classify
from trainyard.reconciling.plan import Plan
from trainyard.reconciling.tracking import TrackedCluster, Visit, Written, visiting
from trainyard.reconciling.worker import Report, Worker
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
    waited_for: list[Written] = field(default_factory=list)

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
            clock=lambda: 5.0,
        )

    async def _seen(self, writes: Sequence[Written], seconds: float) -> bool:
        self.waited_for += writes
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
    assert [(w.verb, w.ref.kind) for w in bench.waited_for] == [("apply", SERVICE), ("status", MODEL_VERSION)]
    assert all(w.resource_version for w in bench.waited_for)
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

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trainyard.reconciling.queue import AGAIN_SECONDS, VISITS_PER_PLACE, Queue, Schedule, Verdict


def test_a_key_woken_twice_is_taken_once() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.wake("a", 1.0)
    schedule.wake("a", 0.5)
    schedule.wake("a", 2.0)
    assert schedule.next_due() == 0.5
    assert schedule.take(0.4) is None
    assert schedule.take(0.5) == "a"
    assert schedule.take(9.0) is None
    assert schedule.next_due() is None


def test_a_key_woken_while_it_runs_comes_again_at_once() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.wake("a", 0.0)
    assert schedule.take(0.0) == "a"
    schedule.wake("a", 1.0)
    assert schedule.take(5.0) is None
    schedule.done("a", 600.0)
    assert schedule.take(5.0) == "a"
    schedule.done("a", None)
    assert len(schedule) == 0


def test_the_longest_due_goes_first_and_depth_counts_the_due() -> None:
    schedule: Schedule[str] = Schedule()
    for key, at in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        schedule.wake(key, at)
    assert schedule.waiting(2.0) == 2
    assert [schedule.take(3.0) for _ in range(4)] == ["a", "b", "c", None]
    assert schedule.waiting(3.0) == 0


class AgainstAModel(RuleBasedStateMachine):
    """The schedule against a plain dict, over any order of wake-ups, visits and ends."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule: Schedule[int] = Schedule()
        self.due: dict[int, float] = {}
        self.running: set[int] = set()
        self.now = 0.0

    @rule(key=st.integers(0, 3), after=st.integers(0, 5))
    def wake(self, key: int, after: int) -> None:
        at = self.now + after
        self.schedule.wake(key, at)
        self.due[key] = min(self.due.get(key, at), at)

    @rule(seconds=st.integers(0, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        ready = {k: at for k, at in self.due.items() if k not in self.running and at <= self.now}
        key = self.schedule.take(self.now)
        assert (key is None) == (not ready)
        if key is not None:
            assert ready[key] == min(ready.values())
            del self.due[key]
            self.running.add(key)

    @rule(after=st.none() | st.integers(0, 5))
    def done(self, after: int | None) -> None:
        if self.running:
            key = self.running.pop()
            at = None if after is None else self.now + after
            self.schedule.done(key, at)
            if at is not None:
                self.due[key] = min(self.due.get(key, at), at)

    @invariant()
    def the_next_one_is_known(self) -> None:
        waiting = [at for k, at in self.due.items() if k not in self.running]
        assert self.schedule.next_due() == min(waiting, default=None)
        assert len(self.schedule) == len(self.due.keys() | self.running)


TestScheduleAgainstAModel = AgainstAModel.TestCase


class Visits:
    """Visits that wait to be let go."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.verdicts: dict[str, Verdict] = {}

    async def visit(self, key: str) -> Verdict:
        self.started.append(key)
        await self.gates.setdefault(key, asyncio.Event()).wait()
        self.gates[key] = asyncio.Event()
        return self.verdicts.get(key, Verdict(None))

    def let_go(self, key: str) -> None:
        self.gates[key].set()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the code under test has no event for what is waited for here
            await asyncio.sleep(0)


@pytest.fixture
def visits() -> Visits:
    return Visits()


async def test_no_more_than_the_limit_run_at_once(visits: Visits) -> None:
    queue = Queue(visits.visit, limit=2)
    for key in "abc":
        queue.wake(key)
    run = asyncio.create_task(queue.run())
    await until(lambda: visits.started == ["a", "b"])
    assert queue.depth() == 1
    visits.let_go("a")
    await until(lambda: visits.started == ["a", "b", "c"])
    visits.let_go("b")
    visits.let_go("c")
    await until(lambda: len(queue.schedule) == 0)
    run.cancel()


async def test_hung_visits_give_up_their_places_and_end_all_the_same(visits: Visits) -> None:
    queue = Queue(visits.visit, limit=2, slow=0.01)
    hung = [f"hung {n}" for n in range(5)]
    for key in (*hung, "quick"):
        queue.wake(key)
    run = asyncio.create_task(queue.run())
    await until(lambda: "quick" in visits.started)
    visits.let_go("quick")
    await until(lambda: len(queue.schedule) == len(hung))
    queue.wake(hung[0])  # it runs: no second visit beside it, and nothing that waits for a place
    queue.wake("quick")
    await until(lambda: visits.started == [*hung, "quick", "quick"])
    visits.let_go("quick")
    await until(lambda: len(queue.schedule) == len(hung))
    run.cancel()
    drained = asyncio.create_task(queue.drain(10.0))
    await asyncio.sleep(0.02)
    assert not drained.done(), "a slow visit is waited for at the end too"
    for key in hung:
        visits.let_go(key)
    assert await drained


async def test_only_young_visits_hold_places(visits: Visits) -> None:
    queue = Queue(visits.visit, limit=2, slow=0.5)
    for key in "abcde":
        queue.wake(key)
    run = asyncio.create_task(queue.run())
    await until(lambda: visits.started == ["a", "b"])
    await asyncio.sleep(0)
    assert (visits.started, queue.depth()) == (["a", "b"], 3)
    await until(lambda: visits.started == ["a", "b", "c", "d"])
    await asyncio.sleep(0)
    assert (visits.started, queue.depth()) == (["a", "b", "c", "d"], 1)
    run.cancel()
    assert not await queue.drain(0.0)


async def test_a_visit_never_gives_up_the_place_of_the_next_one_of_its_key(visits: Visits) -> None:
    queue = Queue(visits.visit, limit=1, slow=1.0)
    queue.wake("a")
    run = asyncio.create_task(queue.run())
    await until(lambda: visits.started == ["a"])
    await asyncio.sleep(0.6)
    queue.wake("a")
    visits.let_go("a")
    await until(lambda: visits.started == ["a", "a"])
    queue.wake("b")
    await asyncio.sleep(0.6)
    assert visits.started == ["a", "a"], "the second visit is young: the first one's time is not its own"
    run.cancel()
    assert not await queue.drain(0.0)


async def test_slow_visits_are_bounded_too(visits: Visits) -> None:
    queue = Queue(visits.visit, limit=1, slow=0.0)
    for n in range(VISITS_PER_PLACE + 1):
        queue.wake(str(n))
    run = asyncio.create_task(queue.run())
    await until(lambda: len(visits.started) == VISITS_PER_PLACE)
    await asyncio.sleep(0.02)
    assert (len(visits.started), queue.depth()) == (VISITS_PER_PLACE, 1)
    visits.let_go("0")
    await until(lambda: len(visits.started) == VISITS_PER_PLACE + 1)
    run.cancel()
    assert not await queue.drain(0.0)


async def test_one_key_never_runs_twice_at_once(visits: Visits) -> None:
    queue = Queue(visits.visit, limit=5)
    queue.wake("a")
    run = asyncio.create_task(queue.run())
    await until(lambda: visits.started == ["a"])
    queue.wake("a")
    queue.wake("b")
    await until(lambda: visits.started == ["a", "b"])
    visits.let_go("a")
    await until(lambda: visits.started == ["a", "b", "a"])
    run.cancel()
    visits.let_go("a")
    visits.let_go("b")
    assert await queue.drain(10.0)


async def test_a_settling_key_holds_no_place_and_does_not_run(visits: Visits) -> None:
    settled = asyncio.Event()

    async def settle() -> None:
        await settled.wait()

    visits.verdicts["a"] = Verdict(None, settle)
    queue = Queue(visits.visit, limit=1)
    queue.wake("a")
    run = asyncio.create_task(queue.run())
    await until(lambda: visits.started == ["a"])
    visits.let_go("a")
    queue.wake("b")
    await until(lambda: visits.started == ["a", "b"])
    queue.wake("a")
    visits.let_go("b")
    await until(lambda: queue.schedule.waiting(float("inf")) == 0)
    assert visits.started == ["a", "b"]
    settled.set()
    await until(lambda: visits.started == ["a", "b", "a"])
    run.cancel()
    visits.let_go("a")
    assert await queue.drain(10.0)


async def test_a_delay_is_kept() -> None:
    now = 100.0
    seen: list[float] = []

    async def visit(key: str) -> Verdict:
        seen.append(now)
        return Verdict(50.0 if len(seen) == 1 else None)

    queue = Queue(visit, limit=1, clock=lambda: now)
    queue.wake("a")
    run = asyncio.create_task(queue.run())
    await until(lambda: seen == [100.0])
    await until(lambda: queue.schedule.next_due() == 150.0)
    now = 149.0
    queue.wake("other", after=500.0)  # turns the loop once
    await asyncio.sleep(0)
    assert seen == [100.0]
    now = 150.0
    queue.wake("other", after=400.0)
    await until(lambda: seen == [100.0, 150.0])
    run.cancel()


async def test_time_alone_brings_a_delayed_key() -> None:
    came = asyncio.Event()

    async def visit(key: str) -> Verdict:
        came.set()
        return Verdict(None)

    queue = Queue(visit, limit=1)
    queue.wake("a", after=0.01)
    run = asyncio.create_task(queue.run())
    async with asyncio.timeout(10):
        await came.wait()
    run.cancel()


async def test_drain_cancels_what_does_not_end(visits: Visits) -> None:
    queue = Queue(visits.visit, limit=1)
    assert await queue.drain(0.0)
    queue.wake("a")
    run = asyncio.create_task(queue.run())
    await until(lambda: visits.started == ["a"])
    run.cancel()
    assert not await queue.drain(0.01)


@pytest.mark.parametrize("place", ["visit", "settle"])
async def test_a_key_whose_visit_raises_comes_again_after_a_while(place: str, caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    seen: list[float] = []

    async def fail() -> None:
        raise KeyError("metadata")

    async def visit(key: str) -> Verdict:
        seen.append(now)
        if len(seen) > 1:
            return Verdict(None)
        if place == "visit":
            await fail()
        return Verdict(600.0, fail)

    queue = Queue(visit, limit=1, clock=lambda: now)
    queue.wake("a")
    run = asyncio.create_task(queue.run())
    await until(lambda: queue.schedule.next_due() == 100.0 + AGAIN_SECONDS)
    assert "the visit of a did not end as it should" in caplog.text
    assert "KeyError" in caplog.text
    now += AGAIN_SECONDS
    queue.wake("other", after=500.0)
    await until(lambda: seen == [100.0, 105.0])
    run.cancel()

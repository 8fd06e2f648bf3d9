from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.fakes.cluster import FakeCluster
from tests.unit.reconciling.tiny import KEY, tiny
from trainyard.reconciling.leadership import FencedCluster, Leadership, LeaseLost, fenced
from trainyard.reconciling.plan import Record
from trainyard.systems.cluster.port import (
    LEASE,
    MODEL_VERSION,
    AlreadyExists,
    Fenced,
    Ref,
    Unavailable,
)

LEASE_REF = Ref(LEASE, "system", "trainyard-operator")


class World:
    """One cluster, one clock, and processes that sleep on it."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.seconds = 1000.0
        self.ahead = 0.0  # of the wall clock
        self.at_sleep: list[Callable[[], None]] = []

    def process(self, identity: str, place: str = "", age_seconds: float = 0.0) -> Leadership:
        return Leadership(
            self.cluster,
            namespace="system",
            name="trainyard-operator",
            identity=identity,
            lease_seconds=15,
            wall=lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds + self.ahead),
            clock=lambda: self.seconds,
            sleep=self.sleep,
            place=place,
            age_seconds=age_seconds,
        )

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        if self.at_sleep:
            self.at_sleep.pop(0)()

    def spec(self) -> Any:
        lease = self.cluster.look(LEASE_REF)
        assert lease
        return lease["spec"]


@pytest.fixture
def world() -> World:
    return World()


def away(world: World, times: int = 1) -> None:
    for verb in ("get", "patch"):
        world.cluster.fail(verb, LEASE, Unavailable("away"), times=times)


class Enough(Exception):
    """Ends a loop that otherwise runs for ever."""


def enough() -> None:
    raise Enough


async def test_the_first_one_makes_the_lease(world: World) -> None:
    one = world.process("one")
    assert not one.holds()
    await one.acquire()
    assert one.holds()
    assert world.spec() == {
        "holderIdentity": "one",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T00:16:40.000000Z",
        "renewTime": "2026-01-01T00:16:40.000000Z",
        "leaseTransitions": 0,
    }


async def test_the_fence_closes_before_the_lease_ends(world: World) -> None:
    one = world.process("one")
    await one.acquire()
    world.seconds += 9.9
    assert one.holds()
    world.seconds += 0.2
    assert not one.holds()


async def test_the_deadline_counts_from_before_the_request(world: World) -> None:
    one = world.process("one")
    world.cluster.on_write(lambda write: setattr(world, "seconds", world.seconds + 11.0))
    await one.acquire()
    assert not one.holds()


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
async def test_a_wall_clock_that_is_set_moves_no_lease(world: World, jump: float) -> None:
    """The stamps in it jump; the deadline of the one and the patience of the other do not."""
    one, two = world.process("one"), world.process("two")
    await one.acquire()
    assert not await two._try()
    world.seconds, world.ahead = world.seconds + 3, jump
    assert one.holds()
    world.at_sleep = [lambda: None, enough]
    with pytest.raises(Enough):
        await one.keep()
    assert not await two._try()
    assert one.holds()
    before = world.seconds
    await two.acquire()
    assert 15 <= world.seconds - before <= 18


async def test_a_standby_takes_over_when_the_lease_stood_still_for_its_duration(world: World) -> None:
    one, two = world.process("one"), world.process("two")
    await one.acquire()
    before = world.seconds
    await two.acquire()
    assert 15 <= world.seconds - before <= 18
    assert not one.holds()
    assert two.holds()
    assert world.spec()["leaseTransitions"] == 1
    assert world.spec()["holderIdentity"] == "two"


@pytest.mark.parametrize(("age", "waits"), [(0.0, 5.0), (2.0, 3.0), (60.0, 0.0)])
async def test_the_next_process_of_a_place_waits_only_for_writes_under_way(
    world: World, age: float, waits: float
) -> None:
    one = world.process("pod_1_one", "pod_1_")
    await one.acquire()
    before = world.seconds
    two = world.process("pod_1_two", "pod_1_", age)
    assert not await two.acquire()
    assert world.seconds - before == pytest.approx(waits)
    assert two.holds()
    with pytest.raises(LeaseLost, match="held by pod_1_two"):
        await one.keep()


async def test_a_process_of_the_same_place_that_lives_all_the_same_keeps_its_lease(world: World) -> None:
    one, two = world.process("pod_1_one", "pod_1_"), world.process("pod_1_two", "pod_1_")
    await one.acquire()

    def renewed(n: int) -> None:
        world.cluster.edit(LEASE_REF, {"spec": {"renewTime": f"2026-01-01T00:17:{n:02}.000000Z"}})

    world.at_sleep = [*(partial(renewed, n) for n in range(20)), enough]
    with pytest.raises(Enough):
        await two.acquire()


async def test_another_place_waits_to_the_end_of_the_lease_and_knows_that_somebody_wrote(world: World) -> None:
    one, two = world.process("pod_1_one", "pod_1_"), world.process("pod_2_two", "pod_2_", 60.0)
    assert not await one.acquire()
    before = world.seconds
    assert await two.acquire()
    assert world.seconds - before == pytest.approx(15.0)


async def test_a_lease_that_is_renewed_is_not_taken(world: World) -> None:
    one, two = world.process("one"), world.process("two")
    await one.acquire()

    def renewed(n: int) -> None:
        world.cluster.edit(LEASE_REF, {"spec": {"renewTime": f"2026-01-01T00:17:{n:02}.000000Z"}})

    world.at_sleep = [*(partial(renewed, n) for n in range(20)), enough]
    with pytest.raises(Enough):
        await two.acquire()


async def test_renewing_keeps_the_fence_open_and_the_acquire_time(world: World) -> None:
    one = world.process("one")
    await one.acquire()
    acquired = world.spec()["acquireTime"]
    checks: list[bool] = []
    world.at_sleep = [*[lambda: checks.append(one.holds())] * 10, enough]
    with pytest.raises(Enough):
        await one.keep()
    assert checks == [True] * 10
    assert world.spec()["acquireTime"] == acquired
    assert world.spec()["renewTime"] > acquired


async def test_a_renewal_is_one_request(world: World) -> None:
    one = world.process("one")
    await one.acquire()
    reads, writes = world.cluster.reads, len(world.cluster.writes)
    world.at_sleep = [*[lambda: None] * 10, enough]
    with pytest.raises(Enough):
        await one.keep()
    assert (world.cluster.reads - reads, len(world.cluster.writes) - writes) == (0, 10)


async def test_a_lease_that_somebody_touched_is_looked_at(world: World) -> None:
    one = world.process("one")
    await one.acquire()
    world.cluster.edit(LEASE_REF, {"metadata": {"labels": {"a": "b"}}})
    world.at_sleep = [lambda: None, lambda: None, enough]
    with pytest.raises(Enough):
        await one.keep()
    assert one.holds()


async def test_renewals_that_fail_until_the_deadline_lose_it(world: World) -> None:
    one = world.process("one")
    await one.acquire()
    start = world.seconds
    away(world, times=100)
    with pytest.raises(LeaseLost, match="not renewed in 15 s"):
        await one.keep()
    assert world.seconds - start == pytest.approx(15.0)


async def test_one_failed_renewal_is_made_up_for(world: World, caplog: pytest.LogCaptureFixture) -> None:
    one = world.process("one")
    await one.acquire()
    away(world)
    world.at_sleep = [lambda: None] * 7 + [enough]
    with pytest.raises(Enough):
        await one.keep()
    assert one.holds()
    assert "away" in caplog.text


async def test_another_s_hand_on_the_lease_loses_it_at_once(world: World) -> None:
    one = world.process("one")
    await one.acquire()
    world.cluster.edit(LEASE_REF, {"spec": {"holderIdentity": "two"}})
    with pytest.raises(LeaseLost, match="held by two"):
        await one.keep()


async def test_a_race_for_the_lease_has_one_winner(world: World) -> None:
    one = world.process("one")
    world.cluster.fail("create", LEASE, AlreadyExists("faster"))
    await one.acquire()
    assert one.holds()


async def test_released_it_is_free_at_once(world: World) -> None:
    one, two = world.process("one"), world.process("two")
    await one.acquire()
    await one.release()
    assert not one.holds()
    before = world.seconds
    await two.acquire()
    assert world.seconds == before
    await one.release()
    assert world.spec()["holderIdentity"] == "two"


async def test_another_s_lease_is_not_released(world: World) -> None:
    one = world.process("one")
    await one.acquire()
    world.cluster.edit(LEASE_REF, {"spec": {"holderIdentity": "two"}})
    await one.release()
    assert world.spec()["holderIdentity"] == "two"


async def test_a_release_that_fails_is_told_and_no_error(world: World, caplog: pytest.LogCaptureFixture) -> None:
    one = world.process("one")
    await one.acquire()
    away(world)
    await one.release()
    assert "not released" in caplog.text


async def test_behind_the_fence_only_reads_pass() -> None:
    cluster = FakeCluster()
    open_ = True
    fenced = FencedCluster(cluster, lambda: open_)
    await fenced.create(tiny())
    await fenced.apply(tiny(), "m")
    await fenced.patch(KEY, {"spec": {"a": 1}})
    open_ = False
    assert await fenced.get(KEY)
    assert len(await fenced.list(MODEL_VERSION, "ns")) == 1
    before = len(cluster.writes)
    for write in (
        lambda: fenced.create(tiny("b")),
        lambda: fenced.apply(tiny(), "m"),
        lambda: fenced.patch(KEY, {}),
        lambda: fenced.delete(KEY),
    ):
        with pytest.raises(Fenced):
            await write()
    assert len(cluster.writes) == before
    open_ = True
    await fenced.delete(KEY)
    assert cluster.look(KEY) is None


async def test_rows_are_sent_only_while_the_lease_is_held() -> None:
    open_ = True
    sent: list[Record] = []

    async def record(rows: Sequence[Record]) -> bool:
        sent.extend(rows)
        return True

    row = Record("u", 6, "decision", "2026-03-01T12:00:00Z", "ns", "n", {"decision": "Aborted"})
    checked = fenced(record, lambda: open_)
    assert await checked((row,))
    open_ = False
    with pytest.raises(Fenced):
        await checked((row,))
    assert sent == [row]

"""The wall clock is set an hour forward or back in the middle of a Rollout: only time that passed counts.

"A clock that jumps an hour promotes nothing", and it rejects nothing either; set back, it holds up nothing that is
counted.
"""

import pytest

from tests.golden.rollout.manifests import TARGET
from tests.golden.rollout.stories import MEASURED, TIMED, v2_comes
from tests.golden.rollout.stories_of_strategies import ab, arms, canary
from tests.golden.rollout.world import World

HOUR = 3600.0
BOTH_WAYS = pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
NAMED = {"v1": 100, "v2": 0}
AT_FIRST = {"v1": 80, "v2": 20}
AT_SECOND = {"v1": 40, "v2": 60}


async def jumps(w: World, seconds: float) -> None:
    """The clock is set while the operator runs; everybody says what there is to say to that."""
    w.pass_time(0.5, clock=seconds)
    await w.settle()


@BOTH_WAYS
@pytest.mark.parametrize("measured", [False, True], ids=["ready pods", "measured"])
async def test_a_pause_counts_what_passed(jump: float, measured: bool) -> None:
    w = World()
    w.measure(0.0)
    await v2_comes(w, strategy=TIMED, **({"analysis": MEASURED} if measured else {}))
    await w.settle(30)
    await jumps(w, jump)
    assert w.shares() == AT_FIRST
    await w.settle(20)
    assert w.shares() == AT_FIRST
    await w.settle(60)
    assert w.weights[1:4] == [NAMED, AT_FIRST, AT_SECOND]


@BOTH_WAYS
async def test_a_restart_after_the_jump_skips_nothing(jump: float) -> None:
    w = World()
    await v2_comes(w, strategy=TIMED)
    await w.settle(10)
    w.pass_time(1.0, clock=jump)
    w.start()
    await w.settle(20)
    assert w.shares() == AT_FIRST
    await w.settle(100)
    assert w.weights[1:4] == [NAMED, AT_FIRST, AT_SECOND]


@BOTH_WAYS
async def test_a_person_is_waited_for(jump: float) -> None:
    w = World()
    await v2_comes(w)
    await jumps(w, jump)
    await w.settle(60)
    assert w.shares() == AT_FIRST
    assert w.condition("Paused")["reason"] == "WaitsForPromotion"


@BOTH_WAYS
async def test_a_failing_metric_is_not_counted_for_the_hour(jump: float) -> None:
    """failureLimit is two: the third failure rejects, and each takes its interval."""
    w = World()
    w.measure(0.05)
    await v2_comes(w, strategy=TIMED, analysis=MEASURED)
    await w.settle(1)
    await jumps(w, jump)
    assert w.shares() == AT_FIRST
    assert w.outcome() == ["v1 Promoted"]
    await w.settle(60)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


@BOTH_WAYS
async def test_no_data_is_held_for_as_long_as_it_may(jump: float) -> None:
    w = World()
    w.measure(0.0)
    limit = MEASURED | {"maxHoldSeconds": 600, "onNoData": "Abort"}
    await v2_comes(w, strategy=canary({"setWeight": 20}, {"pause": {"durationSeconds": 300}}), analysis=limit)
    await w.settle(30)
    w.measure(float("nan"))
    await w.settle(30)
    await jumps(w, jump)
    await w.settle(60)
    assert w.shares() == AT_FIRST
    assert w.outcome() == ["v1 Promoted"]


@BOTH_WAYS
async def test_the_deadline_for_ready_pods_runs_on_as_it_did(jump: float) -> None:
    serving = {"replicas": 2, "progressDeadlineSeconds": 120}
    w = World()
    w.broken.add("v2")
    await v2_comes(w, target={"kubernetes": {**TARGET["kubernetes"], "serving": serving}})
    await w.settle(30)
    await jumps(w, jump)
    await w.settle(30)
    assert w.outcome() == ["v1 Promoted"]
    await w.settle(200)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]
    assert w.shares() == {"v1": 100}


@BOTH_WAYS
async def test_an_experiment_lasts_its_time(jump: float) -> None:
    w = World()
    arms(w, canary=0.1, stable=0.1)
    await ab(w, durationSeconds=1200)
    await w.settle(100)
    await jumps(w, jump)
    await w.settle(300)
    assert w.shares() == AT_FIRST
    assert w.outcome() == ["v1 Promoted"]

"""What a person asks for, at the wrong time as well, and edits of the ladder."""

from tests.golden.rollout.stories import v1_serves, v2_comes
from tests.golden.rollout.world import KEY, World
from tests.unit.rollout.making import events, told
from trainyard.systems.cluster.port import DEPLOYMENT


async def test_actions_that_do_not_fit_are_said_once() -> None:
    w = World()
    await v1_serves(w)
    for number, kind in enumerate(("Abort", "Promote", "PromoteFull", "Retry")):
        w.act(kind, str(number))
        await w.settle(60)
    assert events(w).count("ActionStale") == 4
    assert w.shares() == {"v1": 100}


async def test_promote_while_the_weight_is_on_its_way_is_stale() -> None:
    w = World(broken={"v2"})
    await v2_comes(w)
    w.act("Promote")
    await w.settle()
    assert events(w)[-1] == "ActionStale"


async def test_promote_waits_for_paused_and_abort_does_not() -> None:
    w = World()
    await v2_comes(w)
    w.edit(paused=True)
    w.act("Promote")
    await w.settle(60)
    assert w.shares() == {"v1": 80, "v2": 20}
    w.act("Abort", "2")
    await w.settle()
    assert w.shares() == {"v1": 100, "v2": 0}


async def test_abort_after_promote_full_is_still_possible() -> None:
    w = World()
    await v2_comes(w)
    w.broken.add("v1")  # nothing of v1 is needed to go on, all of it to go back
    w.act("PromoteFull")
    await w.cycle.run(KEY, w.now)
    w.act("PromoteFull", "2")
    await w.settle()
    assert w.outcome()[-1] == "v2 FastPromoted"


async def test_no_begin_while_paused() -> None:
    w = World()
    await v1_serves(w, paused=True)
    assert not w.cluster.all(DEPLOYMENT)


async def test_steps_edited_to_none_end_in_promotion_by_the_next_visit() -> None:
    w = World()
    await v2_comes(w)
    w.edit(strategy={"canary": {"steps": []}})
    await w.settle()
    assert told(w, "Paused") == ("False", "NotPaused")
    assert w.outcome() == ["v1 Promoted", "v2 Promoted"]


async def test_no_steps_at_all_go_straight() -> None:
    w = World()
    await v2_comes(w, strategy={"canary": {"steps": []}})
    assert w.weights == [{"v1": 100}, {"v1": 100, "v2": 0}, {"v1": 0, "v2": 100}]


async def test_weight_zero_first_and_a_jumping_clock() -> None:
    steps = [{"pause": {"durationSeconds": 60}}, {"setWeight": 0}, {"pause": {}}]
    w = World()
    await v2_comes(w, strategy={"canary": {"steps": steps}})
    w.pass_time(1, clock=3600)
    await w.settle()
    assert w.status()["step"] == 0
    await w.settle(120)
    assert (w.status()["step"], w.shares()["v2"]) == (2, 0)

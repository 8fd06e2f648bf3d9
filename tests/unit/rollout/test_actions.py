"""What a person asks for, at the wrong time as well, and edits of the ladder."""

from tests.golden.rollout.manifests import version
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


def stale(w: World) -> list[str]:
    """What is said of actions that are ignored."""
    return [w.plain(line).split("ActionStale: ")[1] for line in w.lines if "ActionStale" in line]


async def test_an_action_that_is_ignored_says_what_is_in_its_way() -> None:
    w = World(broken={"v1"})
    await v1_serves(w)
    w.act("Abort", "0", revision=w.status()["canary"]["revision"])
    await w.settle()
    w.broken = {"v2"}
    w.add(version("v2", 2))
    await w.settle(5)
    canary = w.status()["canary"]["revision"]
    w.act("Promote", "1", revision=canary, step=0)
    await w.settle(5)
    w.broken.clear()
    await w.settle(5)
    w.act("Retry", "2", revision=canary, step=None)
    await w.settle(5)
    w.act("Retry", "3", revision=None)
    await w.settle(5)
    w.broken.add("v1")
    w._deployments()
    w.act("Abort", "4")
    await w.settle(5)
    w.act("Promote", "5")
    await w.settle(5)
    assert stale(w) == [
        "Abort for revision v1 is ignored: revision v1 is the first version, there is nothing beside it",
        "Promote for revision v2, step 0 is ignored: the weight of revision v2 is on its way",
        "Retry for revision v2 is ignored: it was not rejected",
        "Retry is ignored: nothing that is wanted was rejected",
        "Promote is ignored: revision v2 is on its way back",
    ]


async def test_promote_where_nothing_waits_says_so() -> None:
    """The step is over, and what is wanted next is not there: the canary goes no further."""
    w = World(broken={"v2"})
    await v2_comes(w, strategy={"canary": {"steps": [{"setWeight": 20}, {"setWeight": 50}]}})
    w.edit(version={"name": "v9", "latest": None})
    w.broken.clear()
    await w.settle(5)
    w.act("Promote")
    await w.settle()
    assert stale(w) == ["Promote is ignored: step 0 waits for nobody"]


async def test_a_retry_on_the_way_back_waits_until_it_has_gone() -> None:
    """To be answered then would be for nothing: it is rejected once more when it has gone."""
    w = World()
    await v2_comes(w)
    w.broken.add("v1")
    w._deployments()
    w.act("Abort", "1")
    await w.settle(10)
    rejected = w.status()["canary"]["revision"]
    w.act("Retry", "2", revision=rejected)
    await w.settle(10)
    assert [a["id"] for a in w.status()["actions"]] == ["1"]
    w.broken.clear()
    await w.settle(60)
    assert [(a["id"], a["result"]) for a in w.status()["actions"]] == [("2", "Done"), ("1", "Done")]
    assert (w.status().get("rejected", []), w.shares()) == ([], {"v1": 80, "v2": 20})
    assert events(w).count("Retried") == 1


async def test_a_retry_of_another_version_does_not_wait_for_the_one_on_its_way_back() -> None:
    w = World()
    await v2_comes(w)
    w.act("Abort", "1")
    await w.settle(40)
    w.add(version("v3", 3))
    await w.settle()
    w.broken.add("v1")
    w._deployments()
    w.act("Abort", "2")
    await w.settle(5)
    w.act("Retry", "3", revision=w.status()["rejected"][0])
    await w.settle(5)
    assert w.status()["actions"][0]["id"] == "3"


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

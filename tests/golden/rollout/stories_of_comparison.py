"""A canary that is compared with stable by blocks: worse, alike, and with a restart of the operator in between."""

from tests.golden.rollout.stories import MEASURED, v2_comes
from tests.golden.rollout.stories_of_strategies import SHARED, arms, canary
from tests.golden.rollout.world import World

COMPARED = MEASURED | {"metrics": SHARED[:1]}


async def worse_by_blocks(w: World) -> None:
    """Aborted as soon as it is sure, long before the pause is over."""
    arms(w, canary=0.3, stable=0.1)
    await v2_comes(w, strategy=canary({"setWeight": 20}, {"pause": {"durationSeconds": 3600}}), analysis=COMPARED)
    await w.settle(400)
    assert w.outcome() == ["v1 Promoted", "v2 Aborted"]


async def alike_by_blocks(w: World) -> None:
    """Held until the bounds say that it is no worse than the margin; a restart forgets nothing of that."""
    arms(w, canary=0.1, stable=0.1)
    await v2_comes(w, strategy=canary({"setWeight": 20}, {"analysis": {"count": 2}}), analysis=COMPARED)
    await w.settle(150)
    assert w.status()["waitingFor"] == "metric slow: Inconclusive (TooFewBlocks)"
    w.say("the operator starts again")
    w.start()
    await w.settle(150)
    assert w.outcome() == ["v1 Promoted", "v2 Promoted"]

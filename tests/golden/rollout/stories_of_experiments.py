"""Stories of an experiment that is decided while a freeze window holds."""

from typing import Any

from tests.golden.rollout.manifests import version
from tests.golden.rollout.stories import MEASURED, v1_serves
from tests.golden.rollout.stories_of_people import MORNING, until
from tests.golden.rollout.stories_of_strategies import A_B, SHARED, arms
from tests.golden.rollout.world import World


async def _into_the_window(w: World, begins: str, **more: Any) -> None:
    spec = {"strategy": {"experiment": A_B | more}, "analysis": MEASURED | {"metrics": SHARED}, "freeze": [MORNING]}
    await v1_serves(w, **spec)
    await until(w, begins)
    w.say("v2")
    w.add(version("v2", 2))
    await until(w, "06:05:01")
    assert (w.status()["frozen"], w.shares()) == ("morning", {"v1": 80, "v2": 20})


async def experiment_shown_while_frozen(w: World) -> None:
    """It is sure within the window, and is promoted when the window ends."""
    arms(w, canary=0.05, stable=0.2)
    await _into_the_window(w, "06:02:00")
    await until(w, "06:14:59")
    assert w.shares() == {"v1": 80, "v2": 20}
    w.say("the window ends")
    await w.settle(60)
    assert w.outcome()[-1] == "v2 Promoted"


async def experiment_harmful_while_frozen(w: World) -> None:
    """What is harmful goes back at once, window or not."""
    arms(w, canary=0.3, stable=0.1)
    await _into_the_window(w, "06:02:00")
    await until(w, "06:07:00")
    assert (w.status()["frozen"], w.outcome()[-1]) == ("morning", "v2 Aborted")


async def experiment_over_while_frozen(w: World) -> None:
    """Its time is over within the window, and nothing is shown: back to stable, which no window forbids."""
    arms(w, canary=0.1, stable=0.1)
    await _into_the_window(w, "06:02:00", durationSeconds=300)
    await until(w, "06:08:00")
    assert (w.status()["frozen"], w.outcome()[-1]) == ("morning", "v2 Aborted")

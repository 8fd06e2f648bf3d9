"""A canary that is compared with stable by blocks: worse, alike, and with a restart of the operator in between."""

from datetime import datetime

from tests.golden.rollout.stories import MEASURED, v2_comes
from tests.golden.rollout.stories_of_strategies import SHARED, arms, canary
from tests.golden.rollout.world import PRESENT, World
from trainyard.systems.prometheus.port import Answer

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


async def gone_between_two_blocks(w: World) -> None:
    """Blocks of two minutes, looked at every ten seconds: what was read of them does not speak for this moment."""
    arms(w, canary=0.1, stable=0.1)
    steps = canary({"setWeight": 20}, {"pause": {"durationSeconds": 600}})
    await v2_comes(w, strategy=steps, analysis=COMPARED | {"windowSeconds": 120})
    await _until(w, "Pass")
    rules = list(w.prometheus.rules)
    w.say("the canary's counters are gone")
    w.prometheus.on(PRESENT, lambda _, at: _stable_alone(w, at))
    await _until(w, "NoData StaleSample", 30)
    w.say("Prometheus is away")
    w.prometheus.on("", Answer(failure="connection refused"))
    await w.settle(600)
    assert _verdict(w) == "NoData ProviderError"
    w.say("and all is there again")
    w.prometheus.rules[:] = rules
    await _until(w, "Pass", 30)
    await w.settle(600)
    assert w.outcome() == ["v1 Promoted", "v2 Promoted"]


async def _until(w: World, verdict: str, seconds: int = 6000) -> None:
    for _ in range(seconds // 10):
        if _verdict(w) == verdict:
            return
        await w.settle(10)
    assert _verdict(w) == verdict


def _verdict(w: World) -> str:
    told = (w.status().get("metrics") or [{}])[0]
    return f"{told.get('verdict')} {told.get('reason', '')}".strip()


def _stable_alone(w: World, at: datetime) -> Answer:
    found = w.series(at, lambda name, share: float(share)).samples or ()
    return Answer(samples=tuple(s for s in found if w.version_of(s.labels["revision"]) == w.stable()))

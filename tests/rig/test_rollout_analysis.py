"""What measurements do to a Rollout: a real API server, a scripted Prometheus. Scenarios 15-17 and 19-21."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.golden.rollout.stories import ERRORS, MEASURED, TIMED
from tests.rig.place import Place
from tests.rig.test_rollout import namespace, place, rig
from tests.rig.test_rollout_strategies import v2_comes
from trainyard.systems.prometheus.port import Answer, Sample

__all__ = ["namespace", "place", "rig"]  # fixtures
pytestmark = pytest.mark.rig

UNHURRIED = {"canary": {"steps": [{"setWeight": 20}, {"pause": {"durationSeconds": 7200}}]}}
AWAY = Answer(failure="connection refused")


Telling = Callable[[Place, str, datetime], Answer]


def number(value: float, age: float = 0.0) -> Telling:
    """Both revisions measure this, so long ago."""
    return lambda p, _, at: p.series(at - timedelta(seconds=age), lambda *_: value)


def thrice(p: Place, _: str, at: datetime) -> Answer:
    """Each revision has three series."""
    samples = p.series(at, lambda *_: 0.0).samples or ()
    return Answer(samples=tuple(Sample({**s.labels, "n": str(n)}, s.time, s.value) for s in samples for n in range(3)))


# What is told, the verdict in status, and whether it counts as a failure. The limit is 0.01 at most.
VERDICTS: list[tuple[Telling, str, bool]] = [
    (number(0.0), "Pass", False),
    (number(0.01), "Pass", False),
    (number(0.0101), "Fail LimitBroken", True),
    (number(math.nan), "NoData NotANumber", False),
    (number(math.inf), "Fail LimitBroken", True),
    (number(-math.inf), "NoData Infinite", False),
    (lambda *_: Answer(samples=()), "NoData NoSeries", False),
    (thrice, "Inconclusive SeveralSeries", False),
    (lambda *_: Answer(unusable="a string"), "Inconclusive NotOneNumber", False),
    (number(0.0, age=21), "NoData StaleSample", False),
    (number(0.0, age=-5), "NoData FutureSample", False),
    (lambda *_: AWAY, "NoData ProviderError", False),
]


async def v2_is_measured(p: Place, strategy: dict[str, Any] = TIMED, **analysis: Any) -> None:
    """v2 has 20 %, for a minute; measured every ten seconds."""
    await v2_comes(p, strategy=strategy, analysis=MEASURED | analysis)
    assert await p.shares() == {"v1": 80, "v2": 20}


async def test_the_verdict_table(place: Place) -> None:
    """Scenario 15: only a Fail counts, and every word is one that the API server takes."""
    place.measure(lambda *_: 0.0)
    await v2_is_measured(place, UNHURRIED, metrics=[{**ERRORS[0], "failureLimit": 100}])
    failures = 0
    for told, verdict, fails in VERDICTS:
        place.prometheus.on("code=~", partial(told, place))
        await place.settle(70)  # numbers are written once a minute
        (metric,) = (await place.status())["metrics"]
        assert f"{metric['verdict']} {metric['reason']}".strip() == verdict
        assert (metric["failures"] > failures) == fails, verdict
        failures = metric["failures"]
    assert await place.shares() == {"v1": 80, "v2": 20}


async def test_prometheus_is_away_for_ten_minutes(place: Place) -> None:
    """Scenario 16: held, and said; then it completes."""
    place.measure(lambda *_: 0.0)
    await v2_is_measured(place)
    await place.settle(20)
    rules = list(place.prometheus.rules)
    place.prometheus.on("", AWAY)
    await place.settle(600)
    assert await place.shares() == {"v1": 80, "v2": 20}
    assert await place.condition("Ready") == ("False", "NoData")
    assert (await place.status())["waitingFor"] == "metric errors: NoData (ProviderError)"
    place.prometheus.rules[:] = rules
    await place.settle(120)
    assert await place.shares() == {"v2": 100}
    assert await place.endings() == ["v2 Promoted: all steps passed", "v1 Promoted: the first version"]


async def test_data_stops_in_the_middle(place: Place) -> None:
    """Scenario 17: held where it is, however long; after `maxHoldSeconds` it is said to stall."""
    place.measure(lambda *_: 0.0)
    await v2_is_measured(place, maxHoldSeconds=120)
    await place.settle(20)
    place.prometheus.on("code=~", Answer(samples=()))
    await place.settle(100)
    assert await place.condition("Stalled") == ("False", "Moving")
    await place.settle(200)
    assert await place.shares() == {"v1": 80, "v2": 20}
    assert await place.condition("Stalled") == ("True", "AnalysisHeld")
    (metric,) = (await place.status())["metrics"]
    assert (metric["verdict"], metric["failures"]) == ("NoData", 0)


async def test_inconclusive_to_the_end_of_the_pause_and_past_it(place: Place) -> None:
    """Scenario 19: with too few requests it stays, and says how many there were."""
    place.measure(lambda *_: 0.0, requests=200.0)
    await v2_is_measured(place)
    await place.settle(200)
    assert await place.shares() == {"v1": 80, "v2": 20}
    (metric,) = (await place.status())["metrics"]
    assert (metric["verdict"], metric["samples"]) == ("Inconclusive", 40)
    place.measure(lambda *_: 0.0)
    await place.settle(120)
    assert await place.shares() == {"v2": 100}


async def test_of_two_metrics_the_one_that_breaches_is_named(place: Place) -> None:
    """Scenario 20: metric, value, limit and samples; the spec stays as it was written."""
    slow = {"name": "slow", "builtin": "SlowShare", "slowerThanSeconds": "1", "max": "0.1", "failureLimit": 0}
    place.measure(lambda *_: 0.0)
    place.prometheus.on("_bucket", 0.0)
    await v2_is_measured(place, metrics=[*ERRORS, slow])
    before = (await place.object())["spec"]
    place.measure(lambda name, _: 0.05 if name == "v2" else 0.0)
    await place.settle(40)
    assert await place.shares() == {"v1": 100, "v2": 0}
    assert (await place.endings())[0] == (
        "v2 Aborted: errors was 0.05, above max 0.01 (200 requests; failed 3 times, failureLimit 2)"
    )
    assert (await place.object())["spec"] == before


async def test_good_bad_good_bad_is_counted_exactly(place: Place) -> None:
    """Scenario 21: every second measurement fails, by hand: the third failure is the fifth measurement."""
    measured: list[datetime] = []

    def errors(name: str, at: datetime) -> float:
        if name == "v2" and at not in measured:
            measured.append(at)
        return 0.05 if name == "v2" and len(measured) % 2 else 0.0

    place.measure(errors)
    await v2_is_measured(place)
    counted = []
    while (await place.status()).get("canary"):
        await place.settle(10)
        counted += [m["failures"] for m in (await place.status()).get("metrics", ())]
    assert counted == [1, 1, 2, 2, 3]
    assert (await place.endings())[0].startswith("v2 Aborted: errors was 0.05")

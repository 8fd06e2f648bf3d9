"""A policy, a past, and a Prometheus that recorded it, for tests of the replay."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.prometheus import ScriptedPrometheus, vector
from trainyard.replay.past import Past, Policy, Revision

START = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)
CANARY, STABLE = Revision("bbbbbbbbbb", "churn-b"), Revision("aaaaaaaaaa", "churn-a")
STEPS = [{"setWeight": 20}, {"pause": {"durationSeconds": 60}}, {"setWeight": 50}, {"pause": {"durationSeconds": 60}}]
ERRORS = {"name": "errors", "builtin": "ErrorRate", "max": "0.05"}


def past(minutes: float = 30, **more: Any) -> Past:
    """Half an hour in which churn-b was tried against churn-a."""
    return Past(
        "shop", "churn", **{"canary": CANARY, "stable": STABLE, "start": START, "end": at(60 * minutes), **more}
    )


def at(seconds: float) -> datetime:
    """Return a moment of the past."""
    return START + timedelta(seconds=seconds)


def policy(steps: Any = STEPS, metrics: Any = (ERRORS,), *, spec: Any = None, **more: Any) -> Policy:
    """Return a policy that measures every ten seconds."""
    made: dict[str, Any] = {
        "model": "churn",
        "version": {"latest": {}},
        "target": {"kubernetes": {"traffic": {"parentRefs": [{"name": "gate"}]}}},
        "strategy": {"canary": {"steps": steps}},
        "analysis": {"intervalSeconds": 10, "metrics": list(metrics), "minRequests": 10},
        **(spec or {}),
    }
    return Policy(made, **{"scrape_interval_seconds": 2, **more})


def recorded(rate: Callable[[datetime], float]) -> ScriptedPrometheus:
    """A Prometheus in which the canary failed by this rate at each moment; the requests split 10 to 90 throughout."""
    prometheus = ScriptedPrometheus()
    labels = {"namespace": "shop", "rollout": "churn"}
    ours, theirs = labels | {"revision": CANARY.revision}, labels | {"revision": STABLE.revision}
    prometheus.on(re.compile("5"), lambda _, moment: vector(moment, (ours, rate(moment)), (theirs, 0.0)))
    prometheus.on("increase", lambda _, moment: vector(moment, (ours, 100.0), (theirs, 900.0)))
    return prometheus

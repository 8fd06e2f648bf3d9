"""A Rollout in the middle of its ladder, as `trainyard rollout get --watch` shows it.

`python -m tests.unit.cli.watched` draws docs/rollout.svg from it.
"""

import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from trainyard.cli.rollout_screen import screen
from trainyard.cli.trail import Trail

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PICTURE = Path(__file__).parents[3] / "docs/rollout.svg"
PODS = {"aaaaaaaaaa": "3/3 pods ready", "bbbbbbbbbb": "1/1 pod ready"}
P99 = (0.081, 0.084, 0.083, 0.09, 0.097, 0.095, 0.103, 0.118, 0.109, 0.104, 0.111, 0.112)
ERRORS = (0.0, 0.0, 0.0021, 0.0008, 0.0, 0.0, 0.0012, 0.0, 0.0, 0.0004, 0.0, 0.0011)


def drawn(what: RenderableType, **options: Any) -> str:
    """Return what a terminal would show, without the blanks at the ends of lines."""
    file = io.StringIO()
    Console(**{"file": file, "width": 160, **options}).print(what)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def told(*conditions: str) -> list[dict[str, Any]]:
    """Make conditions out of `Type=Status Reason: message`."""
    made = []
    for text in conditions:
        what, _, message = text.partition(": ")
        kind, _, rest = what.partition("=")
        status, _, reason = rest.partition(" ")
        made.append({"type": kind, "status": status, "reason": reason, "message": message})
    return made


def canary(**status: Any) -> dict[str, Any]:
    """A Rollout with everything on its screen; keyword arguments lay over the status."""
    steps = [
        {"setHeaderRoute": {"name": "testers", "match": [{"name": "X-Tester", "exact": "1"}]}},
        {"analysis": {"count": 2}}, {"setWeight": 10}, {"pause": {"durationSeconds": 300}},
        {"setWeight": 50}, {"analysis": {"count": 3, "metrics": ["errors"]}}, {"pause": {}},
    ]  # fmt: skip
    metrics = [
        {"name": "errors", "builtin": "ErrorRate", "max": "0.01", "failureLimit": 2},
        {"name": "p99", "builtin": "LatencyP99", "maxIncreasePercent": "20", "min": "0"},
        {"name": "slow", "builtin": "SlowShare", "slowerThanSeconds": "0.25", "margin": "0.02", "sequential": {}},
    ]
    base: dict[str, Any] = {
        "observedGeneration": 4,
        "stable": {"version": "churn-a1b2c3d4e5", "revision": "aaaaaaaaaa"},
        "canary": {"version": "churn-0f9e8d7c6b", "revision": "bbbbbbbbbb"},
        "weight": 10, "routedWeight": 10, "observedShare": "9.8", "step": 3, "countedSeconds": 185,
        "canaryStartedTime": "2026-03-01T11:48:00Z", "heldSince": "2026-03-01T11:59:30Z",
        "waitingFor": "metric slow: Inconclusive (NotDecided)",
        "conditions": told(
            "Ready=False Inconclusive: waits for metric slow: Inconclusive (NotDecided)",
            "Accepted=True Accepted", "Degraded=False AsWanted", "Stalled=False Moving", "Paused=True TimedPause",
            "Reconciling=True Inconclusive: waits for metric slow: Inconclusive (NotDecided)",
        ),
        "metrics": [
            {"name": "errors", "verdict": "Pass", "value": "0.0011", "samples": 2710, "failures": 1},
            {"name": "p99", "verdict": "Pass", "value": "0.112", "samples": 2710, "failures": 0},
            {"name": "slow", "verdict": "Inconclusive", "reason": "NotDecided", "value": "0.031", "samples": 2710,
             "lower": "-0.0042", "upper": "0.0262", "needs": 1900, "needsSeconds": 210},
        ],
        "history": [
            {"revision": "cccccccccc", "version": "churn-5d4c3b2a19", "outcome": "Aborted",
             "finishedTime": "2026-03-01T09:50:00Z",
             "message": "errors was 0.4448, above max 0.01 (49 requests; failed 1 times, failureLimit 0)"},
            {"revision": "aaaaaaaaaa", "version": "churn-a1b2c3d4e5", "outcome": "Promoted",
             "finishedTime": "2026-02-26T08:12:00Z", "message": "all steps passed"},
        ],
    }  # fmt: skip
    return {
        "apiVersion": "trainyard.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "churn", "namespace": "shop", "generation": 4, "resourceVersion": "17"},
        "spec": {"strategy": {"canary": {"steps": steps}}, "analysis": {"intervalSeconds": 30, "metrics": metrics}},
        "status": {**base, **status},
    }


def trail() -> Trail:
    """What was measured before."""
    made = Trail()
    made.begin(canary(), {"errors": ERRORS, "p99": P99, "slow": [0.044, 0.041, 0.037, 0.035, 0.033, 0.034, 0.031]})
    return made


def main() -> None:
    """Draw the picture; its fonts are the reader's own, so that nothing is fetched to look at it."""
    console = Console(width=96, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(screen(canary(), NOW, trail(), PODS))
    drawn = console.export_svg(title="trainyard rollout get churn --watch", unique_id="rollout")
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL))


if __name__ == "__main__":
    main()

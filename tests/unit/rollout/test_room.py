"""What the process remembers of a Rollout, for its metrics."""

from datetime import UTC, datetime
from typing import Any

from trainyard.resources.rollout import MetricStatus
from trainyard.rollout.room import RolloutRoom
from trainyard.rollout.state import Progress, Remember

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
STARTED = "2026-11-24T06:00:00Z"
OBJ: dict[str, Any] = {
    "metadata": {"uid": "1", "name": "churn", "namespace": "shop"},
    "status": {"canary": {"revision": "bbbbbbbbbb"}, "step": 1, "stepStartedTime": STARTED, "weight": 20},
}


async def test_metrics_see_what_is_not_written_yet() -> None:
    room = RolloutRoom()
    assert room.newest(OBJ) is OBJ
    measured = (MetricStatus(name="p99", verdict="Pass", value="0.2"),)
    progress = Progress(f"bbbbbbbbbb/1/{STARTED}", NOW, 0.0, 0.0, metrics=measured, share="19.8", held_since=STARTED)
    await room.act(Remember(progress), OBJ, systems=None)  # type: ignore[arg-type] # remembering asks nobody
    told = room.newest(OBJ)["status"]
    assert told["metrics"][0] | {"name": "p99", "verdict": "Pass", "value": "0.2"} == told["metrics"][0]
    assert (told["observedShare"], told["heldSince"], told["weight"]) == ("19.8", STARTED, 20)


async def test_what_was_remembered_of_another_step_is_not_told() -> None:
    room = RolloutRoom()
    await room.act(Remember(Progress("bbbbbbbbbb/0/x", NOW, 0.0, 0.0)), OBJ, systems=None)  # type: ignore[arg-type] # as above
    assert room.newest(OBJ) is OBJ

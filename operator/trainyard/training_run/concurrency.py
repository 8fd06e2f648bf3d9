"""Whom a run of an event waits for, where its pipeline's concurrency is Forbid. Pure; used by `observe`.

A receiver creates a run for every event at once, so that none is lost; here they get in line. One-off runs never wait,
and runs by change or schedule are not created before their time.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from trainyard.resources.foreign import condition_status, part
from trainyard.resources.training_run import TrainingRun

WAITING_TYPES = ("Event",)


def may_wait(run: TrainingRun, pipeline: Mapping[str, Any] | None) -> bool:
    """Whether the run is of a kind that waits, and its pipeline wants one at a time."""
    wanted = part(pipeline, "spec").get("concurrency", "Forbid")
    return run.spec.trigger.type in WAITING_TYPES and pipeline is not None and wanted == "Forbid"


def ahead_of(run: TrainingRun, others: Iterable[Mapping[str, Any]]) -> str:
    """Return the oldest run of the same pipeline that is older than this one and has not ended, "" for none."""
    mine = (run.metadata.creation_timestamp or "", run.metadata.name)
    older = [_age(o) for o in others if _pipeline(o) == run.spec.pipeline and _age(o) < mine and not _has_ended(o)]
    return min(older)[1] if older else ""


def _age(run: Mapping[str, Any]) -> tuple[str, str]:
    return str(run["metadata"].get("creationTimestamp", "")), str(run["metadata"]["name"])


def _pipeline(run: Mapping[str, Any]) -> Any:
    return part(run, "spec").get("pipeline")


def _has_ended(run: Mapping[str, Any]) -> bool:
    return condition_status(run, "Succeeded") != "Unknown"

"""`trainyard runs` and `versions`, newest first, and `trainyard pipelines`. Pure."""

from collections.abc import Sequence
from datetime import datetime

from trainyard.cli import clock, selection
from trainyard.cli.console import Columns, table, word
from trainyard.cli.objects import Obj, at, condition, reason

RUNS = ("NAME", "PIPELINE", "STATE", "TOOK", "VERSION", "TRIGGER", "BY", "AGE")
RUNS_DROPPED = ("VERSION", "BY", "TRIGGER", "PIPELINE", "TOOK", "AGE")
VERSIONS = ("NAME", "MODEL", "READY", "REASON", "HOLDS", "METRICS", "SERVED BY", "AGE")
VERSIONS_DROPPED = ("METRICS", "MODEL", "HOLDS", "READY", "AGE")
PIPELINES = ("NAME", "MODEL", "ENGINE", "READY", "REASON", "LAST RUN", "VERSION", "NEXT", "AGE")
PIPELINES_DROPPED = ("ENGINE", "VERSION", "MODEL", "READY", "LAST RUN", "AGE")


def newest_first(objects: Sequence[Obj]) -> list[Obj]:
    """Sort objects by their making; a ModelVersion says it finer than Kubernetes does."""
    return sorted(
        objects, key=lambda o: (at(o, "spec.createdAt") or at(o, "metadata.creationTimestamp"), at(o, "metadata.name")),
        reverse=True,
    )  # fmt: skip


def runs(objects: Sequence[Obj], present: datetime) -> Columns:
    """Return TrainingRuns as a table."""
    return table(
        RUNS,
        [
            (
                at(run, "metadata.name"),
                at(run, "spec.pipeline"),
                word(selection.state(run)),
                clock.spoken(
                    clock.seconds_between(at(run, "status.startTime"), at(run, "status.completionTime"), present)
                ),
                at(run, "status.modelVersion"),
                selection.trigger(run),
                selection.asker(run),
                clock.age(at(run, "metadata.creationTimestamp"), present),
            )
            for run in newest_first(objects)
        ],
        RUNS_DROPPED,
    )


def pipelines(objects: Sequence[Obj], present: datetime) -> Columns:
    """Return TrainingPipelines as a table."""
    return table(
        PIPELINES,
        [
            (
                at(pipeline, "metadata.name"),
                at(pipeline, "spec.model"),
                ",".join(at(pipeline, "spec.engine", {})),
                word(condition(pipeline, "Ready").get("status", "")),
                reason(pipeline, "Ready"),
                at(pipeline, "status.lastRun"),
                at(pipeline, "status.latestVersion"),
                _soonest(pipeline, present),
                clock.age(at(pipeline, "metadata.creationTimestamp"), present),
            )
            for pipeline in sorted(objects, key=lambda p: str(at(p, "metadata.name")))
        ],
        PIPELINES_DROPPED,
    )


def _soonest(pipeline: Obj, present: datetime) -> str:
    """Return in how long the next schedule is due."""
    if at(pipeline, "spec.suspend", False):
        return "suspended"
    slots = [moment for s in at(pipeline, "status.schedules", ()) if (moment := clock.parse(s.get("next")))]
    if not slots:
        return ""
    left = (min(slots) - present).total_seconds()
    return f"in {clock.spoken(left)}" if left > 0 else "due"


def versions(objects: Sequence[Obj], present: datetime) -> Columns:
    """Return ModelVersions as a table; metrics are those that the gate judged."""
    return table(
        VERSIONS,
        [
            (
                at(version, "metadata.name"),
                at(version, "spec.model"),
                word(condition(version, "Ready").get("status", "")),
                reason(version, "Ready"),
                ",".join(at(version, "status.holds", ())),
                _judged(version),
                ",".join(at(version, "status.servedBy", ())),
                clock.age(at(version, "spec.createdAt"), present),
            )
            for version in newest_first(objects)
        ],
        VERSIONS_DROPPED,
    )


def _judged(version: Obj) -> str:
    rules = at(version, "status.decision.rules", ())
    return "; ".join(r.get("message") or f"{r.get('value', '')} ({r['rule']})" for r in rules)

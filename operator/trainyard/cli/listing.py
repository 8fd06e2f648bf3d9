"""`trainyard runs` and `trainyard versions`: newest first."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table

from trainyard.cli import clock
from trainyard.cli.console import table, word
from trainyard.cli.objects import Obj, at, condition, reason

RUNS = ("NAME", "PIPELINE", "SUCCEEDED", "REASON", "TOOK", "VERSION", "TRIGGER", "AGE")
VERSIONS = ("NAME", "MODEL", "READY", "REASON", "METRICS", "SERVED BY", "AGE")


def newest_first(objects: Sequence[Obj]) -> list[Obj]:
    """Sort objects by their making; a ModelVersion says it finer than Kubernetes does."""
    return sorted(
        objects, key=lambda o: (at(o, "spec.createdAt") or at(o, "metadata.creationTimestamp"), at(o, "metadata.name")),
        reverse=True,
    )  # fmt: skip


def runs(objects: Sequence[Obj], present: datetime) -> Table:
    """Return TrainingRuns as a table."""
    return table(
        RUNS,
        [
            (
                at(run, "metadata.name"),
                at(run, "spec.pipeline"),
                word(condition(run, "Succeeded").get("status", "")),
                reason(run, "Succeeded"),
                clock.spoken(
                    clock.seconds_between(at(run, "status.startTime"), at(run, "status.completionTime"), present)
                ),
                at(run, "status.modelVersion"),
                at(run, "spec.trigger.type"),
                clock.age(at(run, "metadata.creationTimestamp"), present),
            )
            for run in newest_first(objects)
        ],
    )


def versions(objects: Sequence[Obj], present: datetime) -> Table:
    """Return ModelVersions as a table; metrics are those that the gate judged."""
    return table(
        VERSIONS,
        [
            (
                at(version, "metadata.name"),
                at(version, "spec.model"),
                word(condition(version, "Ready").get("status", "")),
                reason(version, "Ready"),
                _judged(version),
                ",".join(at(version, "status.servedBy", ())),
                clock.age(at(version, "spec.createdAt"), present),
            )
            for version in newest_first(objects)
        ],
    )


def _judged(version: Obj) -> str:
    rules = at(version, "status.decision.rules", ())
    return "; ".join(r.get("message") or f"{r.get('value', '')} ({r['rule']})" for r in rules)

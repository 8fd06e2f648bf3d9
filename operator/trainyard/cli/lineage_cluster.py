"""Lineage as the cluster tells it: ModelVersions, TrainingRuns and Rollouts that are there now."""

from collections.abc import Iterator

from trainyard.cli import selection
from trainyard.cli.connection import Connection
from trainyard.cli.lineage import Dataset, Decision, Facts, Run, Version
from trainyard.cli.objects import Obj, at, reason
from trainyard.systems.cluster.port import MODEL_VERSION, ROLLOUT, TRAINING_RUN


async def facts(connection: Connection) -> Facts:
    """Read the namespace."""
    versions, runs, rollouts = [
        await connection.cluster.list(kind, connection.namespace) for kind in (MODEL_VERSION, TRAINING_RUN, ROLLOUT)
    ]
    decisions = [d for v in versions for d in _gate(v)] + [d for r in rollouts for d in _rollout(r)]
    return Facts(tuple(map(version_of, versions)), tuple(map(run_of, runs)), tuple(decisions))


def version_of(obj: Obj) -> Version:
    """Return a ModelVersion as lineage tells it."""
    return Version(
        name=at(obj, "metadata.name"),
        model=at(obj, "spec.model"),
        at=at(obj, "spec.createdAt"),
        run=at(obj, "spec.source.run"),
        uri=at(obj, "spec.artifact.uri"),
        digest=at(obj, "spec.artifact.digest"),
        metrics=at(obj, "spec.metrics", {}),
        datasets=_datasets(at(obj, "spec.source.datasets", ())),
        images=tuple(at(obj, "spec.source.images", ())),
        state=reason(obj, "Ready"),
        served_by=tuple(at(obj, "status.servedBy", ())),
    )


def run_of(obj: Obj) -> Run:
    """Return a TrainingRun as lineage tells it."""
    return Run(
        name=at(obj, "metadata.name"),
        pipeline=at(obj, "spec.pipeline"),
        at=at(obj, "metadata.creationTimestamp"),
        state=selection.state(obj),
        requested_by=selection.asker(obj),
        trigger=selection.trigger(obj),
        experiment=at(obj, "status.experiment") or at(obj, "spec.experiment"),
        description=at(obj, "status.description") or at(obj, "spec.description"),
        revision=at(obj, "status.revision"),
        package_digest=at(obj, "status.packageDigest"),
        parameters=at(obj, "status.parameters", {}) or at(obj, "spec.parameters", {}),
        datasets=_datasets(at(obj, "status.datasets", ())),
        images=tuple(at(obj, "status.images", ())),
        version=at(obj, "status.modelVersion"),
        attempts=tuple(a["reason"] for a in at(obj, "status.attempts", ())),
    )


def _datasets(told: list[Obj]) -> tuple[Dataset, ...]:
    return tuple(Dataset(d["name"], d["uri"], d.get("digest", "")) for d in told)


def _gate(version: Obj) -> Iterator[Decision]:
    decision = at(version, "status.decision", {})
    if decision:
        failed = [r.get("message") or r["rule"] for r in decision.get("rules", ()) if not r["passed"]]
        name = at(version, "metadata.name")
        yield Decision(decision["at"], "Evaluated", decision["verdict"], "trainyard", name, "; ".join(failed))


def _rollout(rollout: Obj) -> Iterator[Decision]:
    by = f"Rollout {at(rollout, 'metadata.name')}"
    for entry in at(rollout, "status.history", ()):
        ended = entry.get("finishedTime", "")
        yield Decision(ended, entry["outcome"], "", by, entry["version"], entry.get("message", ""))

"""What a decision about a TrainingPipeline needs: its revision, its runs, the ModelVersions that came from them."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from trainyard.resources.base import ObjectMeta
from trainyard.resources.training_pipeline import TrainingPipeline, TrainingPipelineStatus
from trainyard.resources.training_run import TrainingRun
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import CONTROLLER_REVISION, MODEL_VERSION, TRAINING_RUN, Obj, Ref
from trainyard.training_pipeline import children, package
from trainyard.training_pipeline.state import Observed


async def observe(obj: Mapping[str, Any], systems: Systems) -> Observed:
    """Read what `decide` needs."""
    seen = read(obj)
    if seen.pipeline is None or seen.meta.deletion_timestamp is not None:
        return seen
    found = await package.resolve(seen.pipeline, systems)
    pipeline = found.pipeline
    namespace, cluster = seen.meta.namespace, systems.cluster
    revision = await cluster.get(Ref(CONTROLLER_REVISION, namespace, children.revision_name(pipeline)))
    due = await cluster.get(Ref(TRAINING_RUN, namespace, children.run_name(pipeline)), live=True)
    runs = await cluster.list(TRAINING_RUN, namespace)
    versions = await cluster.list(MODEL_VERSION, namespace)
    return Observed(
        seen.meta,
        seen.before,
        pipeline,
        revision=None if revision is None else revision.get("data") or {},
        runs=_runs_of(seen.meta.name, runs),
        named={run["metadata"]["name"]: run for run in runs},
        due=due,
        sources=frozenset(run for version in versions if (run := _source(version))),
        latest_version=_latest(pipeline.spec.model, versions),
        package_digest=found.digest,
        package_reason=found.reason,
        package_problem=found.problem,
        package_elsewhere=found.elsewhere,
    )


def read(obj: Mapping[str, Any]) -> Observed:
    """Read the object itself; one of another schema becomes an Observed that says why."""
    meta = ObjectMeta.model_validate(obj["metadata"])
    try:
        before = TrainingPipelineStatus.model_validate(obj.get("status") or {})
    except ValidationError:
        before = TrainingPipelineStatus()  # a lost status is survivable, so is one that cannot be read
    try:
        pipeline = TrainingPipeline.model_validate({"metadata": obj["metadata"], "spec": obj.get("spec") or {}})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return Observed(meta, before, problem=f"{where}: {first['msg']}.")
    return Observed(meta, before, pipeline)


def _runs_of(pipeline: str, found: Iterable[Obj]) -> tuple[TrainingRun, ...]:
    """Return the pipeline's runs. One that cannot be read is its own room's business, and counts as active."""
    mine = [obj for obj in found if (obj.get("spec") or {}).get("pipeline") == pipeline]
    return tuple(_readable(obj) for obj in mine)


def _readable(obj: Obj) -> TrainingRun:
    try:
        return TrainingRun.model_validate(obj)
    except ValidationError:
        pipeline = {"pipeline": obj["spec"]["pipeline"]}
        return TrainingRun.model_validate({"metadata": obj["metadata"], "spec": pipeline})


def _source(version: Obj) -> str:
    return str(((version.get("spec") or {}).get("source") or {}).get("run") or "")


def _latest(model: str, versions: Iterable[Obj]) -> str | None:
    """Return the newest Ready version of a model: by (createdAt, name)."""
    ready = [v for v in versions if v.get("spec", {}).get("model") == model and _is_ready(v)]
    newest = max(ready, key=lambda v: (str(v["spec"].get("createdAt")), str(v["metadata"]["name"])), default=None)
    return None if newest is None else str(newest["metadata"]["name"])


def _is_ready(version: Obj) -> bool:
    conditions = (version.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)

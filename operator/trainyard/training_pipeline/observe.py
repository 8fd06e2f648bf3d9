"""What a decision about a TrainingPipeline needs: its revision, its runs, the ModelVersions that came from them."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from trainyard import naming
from trainyard.resources.base import ObjectMeta, first_wrong, status_of
from trainyard.resources.foreign import condition_status, part
from trainyard.resources.training_pipeline import TrainingPipeline, TrainingPipelineStatus
from trainyard.resources.training_run import TrainingRun, TrainingRunStatus
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import CONTROLLER_REVISION, MODEL_VERSION, TRAINING_RUN, Obj, Ref
from trainyard.training_pipeline import children, package, secrets
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
        secrets=await secrets.looked_at(pipeline, systems),
    )


def read(obj: Mapping[str, Any]) -> Observed:
    """Read the object itself; one of another schema becomes an Observed that says why."""
    meta = ObjectMeta.model_validate(obj["metadata"])
    before = status_of(obj, TrainingPipelineStatus)
    try:
        pipeline = TrainingPipeline.model_validate({"metadata": obj["metadata"], "spec": obj.get("spec") or {}})
    except ValidationError as error:
        return Observed(meta, before, problem=f"{first_wrong(error)}.")
    return Observed(meta, before, pipeline)


def _runs_of(pipeline: str, found: Iterable[Obj]) -> tuple[TrainingRun, ...]:
    """Return the pipeline's runs. One that cannot be read is its own room's business."""
    mine = (obj for obj in found if part(obj, "spec").get("pipeline") == pipeline)
    return tuple(run for obj in mine if (run := _readable(obj)) is not None)


def _readable(obj: Obj) -> TrainingRun | None:
    """Read a run; one that cannot be read counts as active where it was started, and holds nobody up where not."""
    try:
        return TrainingRun.model_validate({**obj, "status": status_of(obj, TrainingRunStatus)})
    except ValidationError:
        if naming.ANNOTATION_ENGINE_ID not in (obj["metadata"].get("annotations") or {}):
            return None
        pipeline = {"pipeline": obj["spec"]["pipeline"]}
        return TrainingRun.model_validate({"metadata": obj["metadata"], "spec": pipeline})


def _source(version: Obj) -> str:
    return str(part(version, "spec", "source").get("run") or "")


def _latest(model: str, versions: Iterable[Obj]) -> str | None:
    """Return the newest Ready version of a model: by (createdAt, name)."""
    ready = [v for v in versions if part(v, "spec").get("model") == model and condition_status(v, "Ready") == "True"]
    newest = max(ready, key=lambda v: (str(v["spec"].get("createdAt")), str(v["metadata"]["name"])), default=None)
    return None if newest is None else str(newest["metadata"]["name"])

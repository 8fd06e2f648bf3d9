"""Runs as the tests of this room begin with them."""

from dataclasses import replace
from typing import Any

from tests.golden.training.world import NAMESPACE, SPEC
from trainyard import naming
from trainyard.resources.pipeline_revision import PipelineState, state_of
from trainyard.resources.training_pipeline import TrainingPipelineSpec
from trainyard.systems.engine.port import EngineState
from trainyard.training_run import request
from trainyard.training_run.observe import read
from trainyard.training_run.sources import Source
from trainyard.training_run.state import Observed

STATE = PipelineState.model_validate(state_of(TrainingPipelineSpec.model_validate(SPEC)))


def obj(*, status: Any = None, annotations: Any = None, spec: Any = None, **metadata: Any) -> dict[str, Any]:
    meta = {"name": "once", "namespace": NAMESPACE, "uid": "u1", "generation": 1, "annotations": annotations or {}}
    return {"metadata": {**meta, **metadata}, "spec": spec or {"pipeline": "churn"}, "status": status or {}}


def started(engine: EngineState | None, **changes: Any) -> Observed:
    """Return a run that was started under its own identity."""
    identity = naming.engine_id("u1", 1)
    body = obj(
        annotations={naming.ANNOTATION_ENGINE_ID: identity},
        finalizers=[naming.FINALIZER],
        status={"steps": [{"name": "train", "state": "Pending"}]},
    )
    seen = read(body)
    assert seen.run is not None
    whole = request.whole(seen.run, STATE, "models")
    source = Source("churn-1", STATE)
    return replace(seen, engine=engine, kind="job", request=whole, source=source, **changes)

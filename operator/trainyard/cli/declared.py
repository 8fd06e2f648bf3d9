"""Which parameters a run of a pipeline takes: the pipeline's own, or those of its Kubeflow package."""

from collections.abc import Sequence

from pydantic import ValidationError

from trainyard.cli.connection import Connection
from trainyard.cli.objects import Obj, at, said
from trainyard.cli.problem import Problem
from trainyard.resources import kfp_package
from trainyard.resources.base import first_wrong
from trainyard.resources.training_pipeline import Parameter, TrainingPipeline
from trainyard.systems.cluster.port import CONTROLLER_REVISION, Ref


async def declared(connection: Connection, obj: Obj) -> Sequence[Parameter]:
    """Return the parameters by name. Raises Problem."""
    pipeline = _read(obj)
    own, kubeflow = pipeline.spec.parameters, pipeline.spec.engine.kubeflow
    if kubeflow is None:
        return own
    name = pipeline.metadata.name
    text = kubeflow.package.inline or await _kept(connection, pipeline)
    if not text:
        why = said(obj, "Accepted") or "no operator has seen it"
        raise Problem(f"The package of TrainingPipeline {name} is not read yet: {why}")
    try:
        return kfp_package.parameters(kfp_package.parse(text), own)
    except kfp_package.Malformed as error:
        raise Problem(f"The package of TrainingPipeline {name}: {error}.") from error


async def _kept(connection: Connection, pipeline: TrainingPipeline) -> str:
    """Return the package as the operator has read it: it stands in the pipeline's revision."""
    revision = pipeline.status.revision
    if revision is None:
        return ""
    found = await connection.cluster.get(Ref(CONTROLLER_REVISION, connection.namespace, revision))
    return str(at(found, "data.engine.kubeflow.package.inline"))


def _read(obj: Obj) -> TrainingPipeline:
    try:
        return TrainingPipeline.model_validate(obj)
    except ValidationError as error:
        raise Problem(f"This version of trainyard cannot read the pipeline: {first_wrong(error)}") from error

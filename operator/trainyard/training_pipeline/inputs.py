"""What makes a pipeline's run by change due: the inputs digest. Pure.

Only what changes a model counts: engine, parameters, data URIs. A moved gate or node pool, suspend and history
apply from the next run and start none (api.md). Fields at their defaults are left out, so that an operator with more
fields than this one finds the same digest and retrains nothing.
"""

from trainyard import naming
from trainyard.resources.training_pipeline import TrainingPipelineSpec


def digest(spec: TrainingPipelineSpec) -> str:
    """Return the digest of the inputs."""
    engine = spec.engine.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    parameters = {p.name: [p.type, p.default] for p in spec.parameters}
    data = {d.name: d.uri for d in spec.data.datasets}
    return naming.digest({"engine": engine, "parameters": parameters, "data": data})

"""A pipeline's Kubeflow package: where it is read, and whether it can be run. Used by `observe`.

What was read replaces the reference in the pipeline, so that revisions, digests and runs have the package itself and
never look anything up.
"""

from dataclasses import dataclass

from trainyard.resources import kfp_compute, kfp_package, kfp_platform
from trainyard.resources.training_pipeline import KubeflowEngine, Package, TrainingPipeline
from trainyard.systems.artifacts.addresses import address
from trainyard.systems.artifacts.port import ArtifactError
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import CONFIG_MAP, Forbidden, Ref
from trainyard.training_pipeline import reasons

LOOK_AGAIN_SECONDS = 30.0  # neither a ConfigMap nor an object is watched
READ_LIMIT = 1 << 20  # bytes; twice what a package may have, for YAML is longer than JSON


@dataclass(frozen=True)
class Resolved:
    """The pipeline with its package in place, or why it has none (`reason`, `problem`).

    digest: of the canonical package, None for another engine. elsewhere: it can change without the pipeline.
    """

    pipeline: TrainingPipeline
    digest: str | None = None
    elsewhere: bool = False
    reason: str = ""
    problem: str = ""


@dataclass(frozen=True)
class _Text:
    text: str = ""
    problem: str = ""


async def resolve(pipeline: TrainingPipeline, systems: Systems) -> Resolved:
    """Read the package live and put it in place; a pipeline of another engine is returned as it is."""
    engine = pipeline.spec.engine.kubeflow
    if engine is None:
        return Resolved(pipeline)
    elsewhere = engine.package.inline is None
    if not systems.offers("kubeflow", pipeline.metadata.namespace):
        return Resolved(pipeline, elsewhere=elsewhere, reason=reasons.ENGINE_NOT_AVAILABLE)
    found = await _read(engine.package, pipeline.metadata.namespace, systems)
    if found.problem:
        return Resolved(pipeline, elsewhere=elsewhere, reason=reasons.PACKAGE_NOT_FOUND, problem=found.problem)
    return in_place(pipeline, engine, found.text, elsewhere)


def in_place(pipeline: TrainingPipeline, engine: KubeflowEngine, text: str, elsewhere: bool) -> Resolved:
    """Put a package's text into the pipeline, if it can be run. Pure."""
    try:
        package = kfp_package.parse(text)
        parameters = kfp_package.parameters(package, pipeline.spec.parameters)
    except kfp_package.Malformed as error:
        problem = f"The package cannot be run: {error}."
        return Resolved(pipeline, elsewhere=elsewhere, reason=reasons.PACKAGE_MALFORMED, problem=problem)
    outputs = tuple(o.task for o in (engine.model_output, engine.metrics_output) if o is not None)
    problem = (
        kfp_platform.problem(package)
        or kfp_compute.problem(package, pipeline.spec.compute.to_wire(), outputs)
        or kfp_package.inexact({p.name: p.default for p in parameters})
        or _unused(engine)
    )
    if problem:
        return Resolved(pipeline, elsewhere=elsewhere, reason=reasons.PACKAGE_REFUSED, problem=problem)
    whole = engine.model_copy(update={"package": Package(inline=package.text)})
    spec = pipeline.spec.model_copy(
        update={"engine": pipeline.spec.engine.model_copy(update={"kubeflow": whole}), "parameters": parameters}
    )
    return Resolved(pipeline.model_copy(update={"spec": spec}), package.digest, elsewhere)


def _unused(engine: KubeflowEngine) -> str:
    alone = engine.metrics_output is not None and engine.model_output is None
    return "metricsOutput: metrics belong to a model, and there is no modelOutput." if alone else ""


async def _read(package: Package, namespace: str, systems: Systems) -> _Text:
    if package.inline is not None:
        return _Text(package.inline)
    if package.config_map is not None:
        return await _from_config_map(package.config_map.name, package.config_map.key, namespace, systems)
    return await _from_store(package.artifact or "", namespace, systems)


async def _from_config_map(name: str, key: str, namespace: str, systems: Systems) -> _Text:
    try:
        found = await systems.cluster.get(Ref(CONFIG_MAP, namespace, name), live=True)
    except Forbidden:
        return _Text(problem=f"The operator may not read ConfigMap {name}.")
    if found is None:
        return _Text(problem=f"ConfigMap {name} does not exist.")
    text = (found.get("data") or {}).get(key)
    return _Text(text) if text else _Text(problem=f"ConfigMap {name} has no key {key}.")


async def _from_store(uri: str, namespace: str, systems: Systems) -> _Text:
    own = f"s3://{systems.config.bucket}/{namespace}/"
    try:
        address(uri)
    except ValueError as error:
        return _Text(problem=f"The package's address is wrong: {error}.")
    if "%" in uri or not uri.startswith(own):
        return _Text(problem=f"The package does not lie below {own}.")
    try:
        data = await systems.artifacts.read(uri, READ_LIMIT)
    except ArtifactError as error:
        return _Text(problem=f"The package cannot be read: {error}.")
    if data is None:
        return _Text(problem=f"There is no object {uri}.")
    return _Text(data.decode(errors="replace"))

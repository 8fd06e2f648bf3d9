"""Where a pipeline's Kubeflow package comes from, and what is said when it cannot be run."""

from typing import Any

import pytest
import yaml

from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.cluster import FakeCluster
from tests.fakes.engine import FakeEngine
from tests.scenarios.kubeflow import two_steps
from trainyard.resources.kfp_package import KfpPackage
from trainyard.resources.training_pipeline import TrainingPipeline
from trainyard.systems.bundle import Config, KubeflowConfig, Systems
from trainyard.systems.cluster.port import CONFIG_MAP, Forbidden
from trainyard.training_pipeline import children, inputs, package, reasons

TEXT = yaml.safe_dump(two_steps())
URI = "s3://models/team/packages/two.yaml"


def systems(**kubeflow: Any) -> Systems:
    config = Config("i", {}, "models", "", kubeflow=KubeflowConfig("http://k", **{"namespaces": ("team",), **kubeflow}))
    absent: Any = None
    return Systems(FakeCluster(), {"kubeflow": FakeEngine()}, FakeArtifacts(), absent, absent, config)


def pipeline(source: dict[str, Any], **more: Any) -> TrainingPipeline:
    engine = {"kubeflow": {"package": source, **more.pop("kubeflow", {})}}
    spec = {"model": "churn", "engine": engine, **more}
    return TrainingPipeline.model_validate({"metadata": {"name": "churn", "namespace": "team"}, "spec": spec})


def seed(world: Systems, data: dict[str, str]) -> None:
    meta = {"name": "pkg", "namespace": "team"}
    world.cluster.seed({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})  # type: ignore[attr-defined] # the fake


async def test_every_source_is_the_same_package() -> None:
    world = systems()
    seed(world, {"pipeline.yaml": TEXT})
    world.artifacts.objects[URI] = TEXT.encode()  # type: ignore[attr-defined] # the fake
    sources: list[dict[str, Any]] = [{"inline": TEXT}, {"configMap": {"name": "pkg"}}, {"artifact": URI}]
    found = [await package.resolve(pipeline(source), world) for source in sources]
    assert {f.digest for f in found} == {KfpPackage(two_steps(), {}).digest}
    assert len({inputs.digest(f.pipeline.spec) for f in found}) == 1
    assert len({children.revision_name(f.pipeline) for f in found}) == 1
    assert [f.elsewhere for f in found] == [False, True, True]


async def test_the_pipeline_gets_the_packages_parameters() -> None:
    declared = [{"name": "text", "type": "String", "default": "hello"}]
    found = await package.resolve(pipeline({"inline": TEXT}, parameters=declared), systems())
    assert [(p.name, p.default, p.required) for p in found.pipeline.spec.parameters] == [("text", "hello", False)]
    bare = await package.resolve(pipeline({"inline": TEXT}), systems())
    assert [(p.name, p.required) for p in bare.pipeline.spec.parameters] == [("text", True)]


async def test_a_pipeline_of_jobs_is_left_alone() -> None:
    spec = {"model": "churn", "engine": {"job": {"template": {"image": "x"}}}}
    made = TrainingPipeline.model_validate({"metadata": {"name": "churn", "namespace": "team"}, "spec": spec})
    assert (await package.resolve(made, systems())).pipeline is made


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({"configMap": {"name": "none"}}, "ConfigMap none does not exist."),
        ({"configMap": {"name": "pkg", "key": "other"}}, "ConfigMap pkg has no key other."),
        ({"artifact": "s3://models/team/no.yaml"}, "There is no object s3://models/team/no.yaml."),
        ({"artifact": "s3://models/other/two.yaml"}, "does not lie below s3://models/team/."),
        ({"artifact": "s3://models/team/%2e%2e/two.yaml"}, "does not lie below s3://models/team/."),
        ({"artifact": "s3://models/team//two.yaml"}, "address is wrong"),
    ],
)
async def test_what_is_missing_is_said(source: dict[str, Any], sentence: str) -> None:
    world = systems()
    seed(world, {"pipeline.yaml": TEXT})
    found = await package.resolve(pipeline(source), world)
    assert found.reason == reasons.PACKAGE_NOT_FOUND
    assert sentence in found.problem
    assert (found.elsewhere, found.digest) == (True, None)


async def test_what_cannot_be_read_is_said() -> None:
    world = systems()
    world.artifacts.away = True  # type: ignore[attr-defined] # the fake
    assert "cannot be read" in (await package.resolve(pipeline({"artifact": URI}), world)).problem
    world.cluster.fail("get", CONFIG_MAP, Forbidden("no"))  # type: ignore[attr-defined] # the fake
    found = await package.resolve(pipeline({"configMap": {"name": "pkg"}}), world)
    assert found.problem == "The operator may not read ConfigMap pkg."


async def test_a_namespace_that_is_not_listed_has_no_kubeflow() -> None:
    found = await package.resolve(pipeline({"inline": TEXT}), systems(namespaces=("other",)))
    assert found.reason == reasons.ENGINE_NOT_AVAILABLE
    many = systems(namespaces=(), multi_user=True)
    assert (await package.resolve(pipeline({"inline": TEXT}), many)).reason == ""


@pytest.mark.parametrize(
    ("more", "reason", "sentence"),
    [
        ({"parameters": [{"name": "x", "type": "String"}]}, reasons.PACKAGE_MALFORMED, "the package has no such input"),
        ({"compute": {"queue": "q"}}, reasons.PACKAGE_REFUSED, "compute.queue"),
        ({"kubeflow": {"modelOutput": {"task": "x", "artifact": "y"}}}, reasons.PACKAGE_REFUSED, "no task x"),
        ({"kubeflow": {"metricsOutput": {"task": "make", "artifact": "y"}}}, reasons.PACKAGE_REFUSED, "no modelOutput"),
    ],
)
async def test_a_package_that_cannot_be_run(more: dict[str, Any], reason: str, sentence: str) -> None:
    found = await package.resolve(pipeline({"inline": TEXT}, **more), systems())
    assert found.reason == reason
    assert sentence in found.problem


async def test_a_platforms_section_that_goes_too_far() -> None:
    platforms: dict[str, Any] = {
        "platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-make": {"hostPath": {}}}}}}
    }
    found = await package.resolve(pipeline({"inline": yaml.safe_dump_all([two_steps(), platforms])}), systems())
    assert (found.reason, found.problem) == (
        reasons.PACKAGE_REFUSED,
        "exec-make: hostPath is not allowed in a package's platforms section.",
    )

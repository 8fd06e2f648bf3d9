"""The example packages of examples/kubeflow as the operator sees them, without the SDK."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from trainyard.resources import kfp_compute, kfp_package, kfp_platform
from trainyard.resources.training_pipeline import TrainingPipeline

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/kubeflow"
BOTH = (("pipeline.yaml", "churn.yaml"), ("two-steps-pipeline.yaml", "two-steps.yaml"))


def manifest(name: str) -> TrainingPipeline:
    """Read a manifest strictly: an unknown field is an error."""
    return TrainingPipeline.model_validate(yaml.safe_load((EXAMPLES / name).read_text()))


def package(name: str) -> kfp_package.KfpPackage:
    return kfp_package.parse((EXAMPLES / name).read_text())


def component(found: kfp_package.KfpPackage, task: str) -> dict[str, Any]:
    reference = found.spec["root"]["dag"]["tasks"][task]["componentRef"]["name"]
    return dict(found.spec["components"][reference])


@pytest.mark.parametrize(("pipeline", "compiled"), BOTH)
def test_the_operator_takes_the_package_with_its_manifest(pipeline: str, compiled: str) -> None:
    spec, found = manifest(pipeline).spec, package(compiled)
    engine = spec.engine.kubeflow
    assert engine is not None
    assert engine.package.config_map is not None
    assert engine.package.config_map.key == compiled
    assert kfp_platform.problem(found) == ""
    assert kfp_compute.problem(found, spec.compute.to_wire()) == ""
    assert {one.name for one in kfp_package.parameters(found, spec.parameters)} >= {one.name for one in spec.parameters}
    for output in (engine.model_output, engine.metrics_output):
        assert output is not None
        assert output.artifact in component(found, output.task)["outputDefinitions"]["artifacts"]


def test_the_model_and_its_report_are_what_the_gate_and_the_server_need() -> None:
    found = package("churn.yaml")
    train = component(found, "train")["outputDefinitions"]["artifacts"]
    assert train["model"]["artifactType"]["schemaTitle"] == "system.Model"
    report = component(found, "evaluate")["outputDefinitions"]["artifacts"]["report"]
    # A system.Metrics would have no object in the store, only a row in ML Metadata.
    assert report["artifactType"]["schemaTitle"] == "system.Artifact"


def test_only_the_training_asks_for_a_gpu_and_bears_its_taint() -> None:
    found = package("churn.yaml")
    asking = {label for label, one in found.executors.items() if "accelerator" in one["container"].get("resources", {})}
    assert asking == {"exec-train"}
    assert found.executors["exec-train"]["container"]["resources"]["accelerator"]["resourceCount"] == "1"
    platforms = found.platforms["kubernetes"]["deploymentSpec"]["executors"]
    assert platforms["exec-train"]["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert [task.name for task in found.tasks] == ["data", "validate", "train", "evaluate"]


def test_steps_run_on_images_of_the_table() -> None:
    from local import image_table

    known = {image.reference for image in image_table.read().values()}
    for compiled in ("churn.yaml", "two-steps.yaml"):
        assert {one["container"]["image"] for one in package(compiled).executors.values()} <= known


def test_the_kustomization_makes_the_config_map_that_the_manifest_reads() -> None:
    made = yaml.safe_load((EXAMPLES / "kustomization.yaml").read_text())
    engine = manifest("pipeline.yaml").spec.engine.kubeflow
    assert engine is not None
    assert engine.package.config_map is not None
    (generated,) = made["configMapGenerator"]
    assert (generated["name"], generated["files"]) == (engine.package.config_map.name, [engine.package.config_map.key])
    assert made["generatorOptions"]["disableNameSuffixHash"] is True

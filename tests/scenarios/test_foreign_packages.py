"""Packages from Kubeflow's own archive, byte for byte as they are, each run through a TrainingPipeline."""

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cluster import Cluster, Obj
from tests.scenarios.kubeflow import Kubeflow
from tests.scenarios.step_images import step_images
from tests.servers.kubeflow_archive import archive

__all__ = ["step_images"]  # a fixture
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200), pytest.mark.usefixtures("step_images")]
FOLDER = Path("sdk/python/test_data/pipelines")
PATIENCE = 900.0  # seconds for one run on two busy cores


@pytest.fixture(scope="module")
def packages(kubeflow: Kubeflow) -> Path:
    return archive() / FOLDER


def begin(ns: Cluster, name: str, package: Path, parameters: Obj, **engine: Any) -> None:
    """Put the file into a ConfigMap as `kubectl` does, and start a run of it."""
    ns.kubectl("create", "configmap", name, f"--from-file=pipeline.yaml={package}")
    kubeflow = {"package": {"configMap": {"name": name}}, "caching": False, **engine}
    meta = {"name": name}
    head = {"apiVersion": "trainyard.dev/v1alpha1", "metadata": meta}
    ns.apply({**head, "kind": "TrainingPipeline", "spec": {"model": name, "engine": {"kubeflow": kubeflow}}})
    ns.create({**head, "kind": "TrainingRun", "spec": {"pipeline": name, "parameters": parameters}})


def ended(ns: Cluster, name: str, status: str, reason: str) -> dict[str, Obj]:
    """Wait for the run's end; return its steps by name."""
    run = ns.wait("trainingrun", name, "Succeeded", status, reason, PATIENCE)
    return {step["name"]: step for step in run["status"]["steps"]}


def test_typed_parameters_artifacts_and_a_model(kubeflow_ns: Cluster, packages: Path) -> None:
    model = {"modelOutput": {"task": "train", "artifact": "model"}, "format": "Custom"}
    file = packages / "lightweight_python_functions_pipeline.yaml"
    begin(kubeflow_ns, "light", file, {"message": "hello", "input_dict": {"a": 1, "b": 2}}, **model)
    steps = ended(kubeflow_ns, "light", "True", "Succeeded")
    assert {name: one["state"] for name, one in steps.items()} == dict.fromkeys(
        ("preprocess", "train", "publish"), "Succeeded"
    )
    version = kubeflow_ns.wait("modelversion", "light", "Verified")
    assert version["spec"]["artifact"]["format"] == "Custom"


def test_branches_of_which_one_runs(kubeflow_ns: Cluster, packages: Path) -> None:
    begin(kubeflow_ns, "coin", packages / "if_else_with_oneof_parameters.yaml", {})
    steps = ended(kubeflow_ns, "coin", "True", "Succeeded")
    assert steps["flip-coin"]["state"] == "Succeeded"
    assert steps["print-and-return-3"]["state"] == "Succeeded"


def test_a_loop_with_a_default_parameter(kubeflow_ns: Cluster, kubeflow: Kubeflow, packages: Path) -> None:
    begin(kubeflow_ns, "loop", packages / "pipeline_with_params_containing_format.yaml", {})
    steps = ended(kubeflow_ns, "loop", "True", "Succeeded")
    run = kubeflow_ns.get("trainingrun", "loop")
    assert run
    assert run["status"]["parameters"] == {"name": "KFP"}
    (workflow,) = kubeflow.workflows(run["status"]["engine"]["id"])
    nodes = workflow["status"]["nodes"].values()
    assert sum(node["displayName"] == "print-op2-driver" for node in nodes) == 2, "one turn for each item"
    assert steps["print-op-2"]["state"] == "Succeeded"


def test_a_step_that_fails_and_the_exit_handler_after_it(kubeflow_ns: Cluster, packages: Path) -> None:
    begin(kubeflow_ns, "exits", packages / "pipeline_with_exit_handler.yaml", {"message": "well"})
    steps = ended(kubeflow_ns, "exits", "False", "StepFailed")
    failed = {name: step for name, step in steps.items() if step["state"] == "Failed"}
    assert [name.rsplit("/", 1)[-1] for name in failed] == ["fail-op"]
    assert steps["print-op"]["state"] == "Succeeded", "the exit handler ran"

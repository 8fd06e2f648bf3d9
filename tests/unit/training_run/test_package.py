"""A run of a Kubeflow package: its parameters, and what its pods may use."""

from typing import Any

import pytest
import yaml

from tests.fakes.cluster import FakeCluster
from tests.scenarios.kubeflow import two_steps
from trainyard.resources.pipeline_revision import PipelineState
from trainyard.systems.bundle import Config, KubeflowConfig, Systems
from trainyard.systems.cluster.port import SECRET, Forbidden
from trainyard.training_run import parameters, usable

TYPES: dict[str, tuple[str, Any, Any]] = {
    "s": ("STRING", "x", 1),
    "i": ("NUMBER_INTEGER", 3, 1.5),
    "d": ("NUMBER_DOUBLE", 1.5, "1.5"),
    "b": ("BOOLEAN", True, 1),
    "l": ("LIST", [1, "a"], {}),
    "t": ("STRUCT", {"a": [1]}, []),
}


def state(inputs: dict[str, Any], platforms: dict[str, Any] | None = None, **more: Any) -> PipelineState:
    spec = two_steps()
    spec["root"]["inputDefinitions"]["parameters"] = inputs
    documents = [spec] + ([{"platforms": platforms}] if platforms else [])
    engine = {"kubeflow": {"package": {"inline": yaml.safe_dump_all(documents)}}}
    times = {"timeoutSeconds": 1, "pendingTimeoutSeconds": 1}
    return PipelineState.model_validate({"model": "churn", "engine": engine, **times, **more})


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_passed_exactly_or_refused(name: str) -> None:
    kind, good, bad = TYPES[name]
    declared = parameters.declared(state({name: {"parameterType": kind}}))
    assert parameters.problem(declared, {name: good}) == ""
    assert parameters.complete(declared, {name: good}) == {name: good}
    assert f"{name} is " in parameters.problem(declared, {name: bad})
    assert parameters.problem(declared, {}) == f"Parameters: {name} has no default and no value."
    assert "other is not a parameter" in parameters.problem(declared, {name: good, "other": 1})


def test_defaults_and_optional_ones() -> None:
    inputs = {
        "a": {"parameterType": "STRING", "defaultValue": "x"},
        "o": {"parameterType": "STRING", "isOptional": True},
        "p": {"parameterType": "NUMBER_INTEGER", "defaultValue": 1.0},
    }
    own = [{"name": "p", "type": "Integer", "default": 7}]
    declared = parameters.declared(state(inputs, parameters=own))
    assert parameters.problem(declared, {}) == ""
    assert parameters.complete(declared, {}) == {"a": "x", "p": 7}
    assert parameters.complete(declared, {"o": "y", "p": 8}) == {"a": "x", "o": "y", "p": 8}


def test_a_package_that_no_revision_keeps() -> None:
    found = state({}, parameters=[{"name": "p", "type": "Integer"}])
    kubeflow = found.engine.kubeflow
    assert kubeflow is not None
    broken = kubeflow.model_copy(update={"package": kubeflow.package.model_copy(update={"inline": "{"})})
    made = found.model_copy(update={"engine": found.engine.model_copy(update={"kubeflow": broken})})
    assert parameters.declared(made) == made.parameters


NAMES = {
    "kubernetes": {
        "deploymentSpec": {
            "executors": {
                "exec-make": {
                    "secretAsEnv": [{"secretName": "key"}],
                    "configMapAsEnv": [{"configMapName": "settings"}],
                    "pvcMount": [{"constant": "disk"}],
                }
            }
        }
    }
}


def world(**kubeflow: Any) -> Systems:
    absent: Any = None
    config = Config("i", {}, "models", "", kubeflow=KubeflowConfig("http://k", **kubeflow))
    return Systems(FakeCluster(), {}, absent, absent, absent, config)


def seed(systems: Systems, kind: str, namespace: str, name: str, label: str) -> None:
    meta = {"name": name, "namespace": namespace, "labels": {usable.LABEL_USABLE: label}}
    systems.cluster.seed({"apiVersion": "v1", "kind": kind, "metadata": meta})  # type: ignore[attr-defined] # the fake


def text(systems_state: PipelineState) -> str:
    assert systems_state.engine.kubeflow is not None
    return systems_state.engine.kubeflow.package.inline or ""


async def test_a_single_tenant_kubeflows_objects_are_somebody_elses() -> None:
    systems, package = world(namespaces=("team",)), text(state({}, NAMES))
    told = await usable.unusable_of_package("team", package, systems)
    assert told == ("key", "(PersistentVolumeClaim) disk", "(ConfigMap) settings")
    for kind, name in (("Secret", "key"), ("PersistentVolumeClaim", "disk"), ("ConfigMap", "settings")):
        seed(systems, kind, "kubeflow", name, "true")
    assert await usable.unusable_of_package("team", package, systems) == ()


async def test_ones_own_secrets_need_the_label_too() -> None:
    systems, package = world(multi_user=True), text(state({}, NAMES))
    seed(systems, "Secret", "team", "key", "false")
    assert await usable.unusable_of_package("team", package, systems) == ("key",)


async def test_what_may_not_be_read_may_not_be_used() -> None:
    systems = world(multi_user=True)
    systems.cluster.fail("get", SECRET, Forbidden("no"))  # type: ignore[attr-defined] # the fake
    assert await usable.unusable_of_package("team", text(state({}, NAMES)), systems) == ("key",)


async def test_nothing_is_looked_up_for_nothing() -> None:
    absent: Any = None
    bare = Systems(FakeCluster(), {}, absent, absent, absent, Config("i", {}, "models", ""))
    assert await usable.unusable_of_package("team", text(state({}, NAMES)), bare) == ()
    assert await usable.unusable_of_package("team", "{", world()) == ()

"""Which parameters a run takes: for Kubeflow those of the package, wherever that is kept."""

from typing import Any

import pytest
import yaml

from tests.fakes.cluster import FakeCluster
from trainyard.cli.connection import Connection
from trainyard.cli.declared import declared
from trainyard.cli.problem import Problem

TASK = {"cachingOptions": {}, "componentRef": {"name": "comp-train"}, "taskInfo": {"name": "train"}}
PACKAGE = yaml.safe_dump(
    {
        "pipelineInfo": {"name": "churn"}, "schemaVersion": "2.1.0", "sdkVersion": "kfp-2.17.0",
        "components": {"comp-train": {"executorLabel": "exec-train"}},
        "deploymentSpec": {"executors": {"exec-train": {"container": {"image": "example/trainer:1"}}}},
        "root": {
            "dag": {"tasks": {"train": TASK}},
            "inputDefinitions": {
                "parameters": {
                    "epochs": {"parameterType": "NUMBER_INTEGER", "defaultValue": 3},
                    "label": {"parameterType": "STRING"},
                }
            },
        },
    }
)  # fmt: skip


def pipeline(package: dict[str, Any], **more: Any) -> dict[str, Any]:
    spec = {"model": "churn", "engine": {"kubeflow": {"package": package}}, **more.pop("spec", {})}
    return {"metadata": {"name": "churn", "namespace": "shop"}, "spec": spec, "status": more}


def connection() -> tuple[Connection, FakeCluster]:
    cluster = FakeCluster()
    return Connection(cluster, None, "shop"), cluster  # type: ignore[arg-type] # no transport is used


async def test_a_package_in_the_pipeline_itself() -> None:
    found = await declared(connection()[0], pipeline({"inline": PACKAGE}))
    assert {(p.name, p.type, p.required) for p in found} == {("epochs", "Integer", False), ("label", "String", True)}


async def test_a_package_that_the_operator_has_read() -> None:
    connected, cluster = connection()
    data = {"engine": {"kubeflow": {"package": {"inline": PACKAGE}}}}
    meta = {"name": "churn-1", "namespace": "shop"}
    cluster.seed({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": meta, "data": data})
    label = {"name": "label", "type": "String", "default": "churned"}
    obj = pipeline({"configMap": {"name": "p"}}, revision="churn-1", spec={"parameters": [label]})
    assert [(p.name, p.default) for p in await declared(connected, obj)] == [("epochs", 3), ("label", "churned")]


@pytest.mark.parametrize("revision", [{}, {"revision": "churn-gone"}])
async def test_a_package_that_nobody_has_read(revision: dict[str, str]) -> None:
    obj = pipeline({"configMap": {"name": "p"}}, **revision)
    with pytest.raises(Problem, match="is not read yet: no operator has seen it"):
        await declared(connection()[0], obj)
    obj["status"]["conditions"] = [
        {"type": "Accepted", "status": "False", "reason": "PackageNotFound", "message": "There is no ConfigMap p."}
    ]
    with pytest.raises(Problem, match="is not read yet: PackageNotFound: There is no ConfigMap p"):
        await declared(connection()[0], obj)


async def test_a_package_that_is_none() -> None:
    with pytest.raises(Problem, match="The package of TrainingPipeline churn: "):
        await declared(connection()[0], pipeline({"inline": "a: 1"}))


async def test_a_pipeline_of_another_version() -> None:
    with pytest.raises(Problem, match=r"cannot read the pipeline: spec\.engine\.magic: Extra inputs"):
        await declared(connection()[0], pipeline({}, spec={"engine": {"magic": {}}}))

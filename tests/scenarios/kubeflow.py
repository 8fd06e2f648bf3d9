"""The real Kubeflow Pipelines of the local cluster, as scenarios use it: its REST API and its Workflows.

`make up KUBEFLOW=1` brings it up. Single-tenant: every Workflow runs in namespace `kubeflow`.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.scenarios.cluster import Cluster, Obj, Objs, Refused, wait_until

NAMESPACE = "kubeflow"
STEP_IMAGE = "localhost/trainyard/base-python:3.11"
# A single-tenant Kubeflow serves the namespaces that the operator's configuration lists, so their names are fixed.
TENANTS = [f"kubeflow-tenant-{number}" for number in range(1, 31)]
ENDED = {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}


@dataclass(frozen=True)
class Kubeflow:
    """One Kubeflow Pipelines API server. `url` reaches it from this machine, `cluster_url` from pods."""

    url: str
    cluster_url: str
    cluster: Cluster

    def call(self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> tuple[int, Obj]:
        """Ask /apis/v2beta1/<path>; return the HTTP status and the JSON, errors included."""
        url = f"{self.url}/apis/v2beta1/{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 - http
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - always http
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else {"message": text.decode()}

    def start(self, package: Obj, name: str, root: str = "", **parameters: Any) -> str:
        """Start a run of a package given as dict, under its own pipeline root where one is given; return its id."""
        runtime: Obj = {"parameters": parameters}
        if root:
            runtime["pipeline_root"] = root
        body = {"display_name": name, "pipeline_spec": package, "runtime_config": runtime}
        status, run = self.call("POST", "runs", body)
        assert status == 200, run
        return str(run["run_id"])

    def wait(self, run_id: str, state: str = "SUCCEEDED", timeout: float = 300) -> Obj:
        """Wait until a run ended, in this state; AssertionError with the Workflow's words otherwise."""

        def ended() -> Obj | None:
            _, run = self.call("GET", f"runs/{run_id}")
            return run if run.get("state") in ENDED else None

        run = wait_until(f"end of run {run_id}", ended, timeout, every=1)
        assert run["state"] == state, (run["state"], [self.reasons(one) for one in self.workflows(run_id)])
        return run

    def workflows(self, run_id: str) -> Objs:
        """Return the Workflows of a run; more than one means that it was started twice."""
        return self.cluster.list("workflows.argoproj.io", f"pipeline/runid={run_id}")

    @staticmethod
    def reasons(workflow: Obj) -> list[str]:
        """Return what the nodes of a Workflow say besides their phase."""
        nodes = workflow.get("status", {}).get("nodes", {}).values()
        return [f"{node['displayName']}: {node['message']}" for node in nodes if node.get("message")]


@pytest.fixture(scope="session")
def kubeflow(cluster_env: dict[str, str]) -> Kubeflow:
    """Return the cluster's Kubeflow Pipelines."""
    found = Kubeflow(
        cluster_env["TRAINYARD_KUBEFLOW_HOST_URL"],
        cluster_env["TRAINYARD_KUBEFLOW_CLUSTER_URL"],
        Cluster(cluster_env, NAMESPACE),
    )
    try:
        status, _ = found.call("GET", "healthz")
    except OSError as error:
        raise AssertionError("Kubeflow is not there: make up KUBEFLOW=1") from error
    assert status == 200
    return found


def operator_values(cluster_env: Mapping[str, str], url: str = "") -> list[str]:
    """Return Helm's arguments by which the operator uses the cluster's Kubeflow, or another URL; none without it."""
    if not Cluster(cluster_env).get("namespace", NAMESPACE):
        return []
    chosen = url or cluster_env["TRAINYARD_KUBEFLOW_CLUSTER_URL"]
    return ["--set", f"kubeflow.url={chosen}", "--set", f"kubeflow.namespaces={{{','.join(TENANTS)}}}"]


def take_tenant(env: Mapping[str, str]) -> str:
    """Make the first of the listed namespaces that is free, and return its name."""
    for name in TENANTS:
        with suppress(Refused):
            Cluster(env).kubectl("create", "namespace", name)
            return name
    raise AssertionError(f"all of {TENANTS[0]} … {TENANTS[-1]} are in use")


def two_steps(image: str = STEP_IMAGE) -> Obj:
    """A package as the kfp compiler writes it, without kfp in the pods: `make` writes a text, `shout` reads it."""
    make = 'mkdir -p "$(dirname "$1")"; printf %s "$0" > "$1"'
    shout = 'mkdir -p "$(dirname "$1")"; tr a-z A-Z < "$0" > "$1"'
    return {
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "pipelineInfo": {"name": "two-steps"},
        "root": {
            "inputDefinitions": {"parameters": {"text": {"parameterType": "STRING"}}},
            "dag": {
                "tasks": {
                    "make": _task("make", parameters={"text": {"componentInputParameter": "text"}}),
                    "shout": {
                        **_task("shout", artifacts={"data": {"taskOutputArtifact": _output("make", "data")}}),
                        "dependentTasks": ["make"],
                    },
                }
            },
        },
        "components": {
            "comp-make": {
                "executorLabel": "exec-make",
                "inputDefinitions": {"parameters": {"text": {"parameterType": "STRING"}}},
                "outputDefinitions": {"artifacts": {"data": _artifact("system.Dataset")}},
            },
            "comp-shout": {
                "executorLabel": "exec-shout",
                "inputDefinitions": {"artifacts": {"data": _artifact("system.Dataset")}},
                "outputDefinitions": {"artifacts": {"model": _artifact("system.Model")}},
            },
        },
        "deploymentSpec": {
            "executors": {
                "exec-make": _executor(
                    image, make, "{{$.inputs.parameters['text']}}", "{{$.outputs.artifacts['data'].path}}"
                ),
                "exec-shout": _executor(
                    image, shout, "{{$.inputs.artifacts['data'].path}}", "{{$.outputs.artifacts['model'].path}}"
                ),
            }
        },
    }


def _task(name: str, **inputs: Any) -> Obj:
    return {
        "taskInfo": {"name": name},
        "componentRef": {"name": f"comp-{name}"},
        "inputs": inputs,
        "cachingOptions": {"enableCache": True},
    }


def _output(task: str, key: str) -> Obj:
    return {"producerTask": task, "outputArtifactKey": key}


def _artifact(title: str) -> Obj:
    return {"artifactType": {"schemaTitle": title, "schemaVersion": "0.0.1"}}


def _executor(image: str, script: str, *arguments: str) -> Obj:
    return {"container": {"image": image, "command": ["sh", "-ec", script], "args": list(arguments)}}

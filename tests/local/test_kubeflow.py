"""Kubeflow Pipelines on the local cluster: a run from POST to SUCCEEDED with its artifacts in the chart's MinIO."""

import asyncio
import base64
import subprocess
import sys
import time
import uuid
from collections.abc import Callable

import pytest

from examples.demo.settings import local_environment
from local import places
from tests.scenarios.cluster import Cluster, Obj, wait_until
from tests.scenarios.kubeflow import NAMESPACE, STEP_IMAGE, Kubeflow, two_steps
from trainyard.systems.artifacts.client import ObstoreArtifacts

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
BUCKET = "trainyard"


def local(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", *arguments]
    return subprocess.run(command, cwd=places.CHECKOUT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def up() -> str:
    done = local("up", "--kubeflow")
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def kubeflow(up: str) -> Kubeflow:
    env = local_environment()
    return Kubeflow(env["TRAINYARD_KUBEFLOW_HOST_URL"], env["TRAINYARD_KUBEFLOW_CLUSTER_URL"], Cluster(env, NAMESPACE))


@pytest.fixture(scope="module")
def stored(kubeflow: Kubeflow) -> Callable[[str], dict[str, bytes]]:
    """What lies in the chart's MinIO below a prefix, by the path after it."""
    system = Cluster(kubeflow.cluster.env, "trainyard-system")
    service, secret = system.get("service", "trainyard-minio"), system.get("secret", "trainyard-minio")
    assert service
    assert secret
    root = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    endpoint = f"http://{service['spec']['clusterIP']}:9000"

    async def read(prefix: str) -> dict[str, bytes]:
        store = ObstoreArtifacts(endpoint, "us-east-1", root["root-user"], root["root-password"])
        found = {}
        for entry in await store.list(prefix):
            content = await store.read(f"{prefix}{entry.path}", 1 << 20)
            assert content is not None
            found[entry.path] = content
        return found

    return lambda prefix: asyncio.run(read(prefix))


@pytest.fixture(scope="module")
def finished(kubeflow: Kubeflow) -> tuple[Obj, str]:
    """A run that succeeded, and its pipeline root."""
    root = f"s3://{BUCKET}/kubeflow-test/{uuid.uuid4().hex[:8]}"
    begun = time.monotonic()
    run = kubeflow.wait(kubeflow.start(two_steps(), "two steps", root, text=f"hello {root}"))
    print(f"two steps took {time.monotonic() - begun:.0f} s")
    return run, root


def test_a_run_reaches_succeeded_with_its_artifacts_in_minio(finished: tuple[Obj, str], stored: Callable):
    run, root = finished
    found = stored(f"{root}/")
    where = f"two-steps/{run['run_id']}"
    assert [path for path in found if path.startswith(f"{where}/make/") and path.endswith("/data")]
    outputs = {path: content for path, content in found.items() if path.startswith(f"{where}/shout/")}
    (model,) = (content for path, content in outputs.items() if path.endswith("/model"))
    assert model == f"hello {root}".upper().encode(), list(outputs)


def test_it_ran_once_in_the_one_namespace_under_the_runners_account(kubeflow: Kubeflow, finished: tuple[Obj, str]):
    (workflow,) = kubeflow.workflows(finished[0]["run_id"])
    assert workflow["spec"]["serviceAccountName"] == "pipeline-runner"
    pods = kubeflow.cluster.list("pods", f"workflows.argoproj.io/workflow={workflow['metadata']['name']}")
    assert {pod["spec"]["serviceAccountName"] for pod in pods} == {"pipeline-runner"}


def test_a_step_that_was_made_before_is_taken_from_the_cache(kubeflow: Kubeflow, finished: tuple[Obj, str]):
    root = finished[1]
    again = kubeflow.start(two_steps(), "two steps again", root, text=f"hello {root}")
    kubeflow.wait(again)
    (workflow,) = kubeflow.workflows(again)
    names = [node["displayName"] for node in workflow["status"]["nodes"].values() if node["type"] == "Pod"]
    assert "make-driver" in names
    assert "executor" not in names


def test_a_run_whose_step_fails_says_so(kubeflow: Kubeflow):
    package = two_steps()
    package["deploymentSpec"]["executors"]["exec-shout"]["container"]["args"] = ["/missing", "/tmp/x"]
    failed = kubeflow.start(package, "fails", text="x")
    kubeflow.wait(failed, "FAILED")
    (workflow,) = kubeflow.workflows(failed)
    assert any("exit code" in reason for reason in kubeflow.reasons(workflow))


def test_pods_reach_the_api_server_by_its_services_name(kubeflow: Kubeflow):
    script = f"import urllib.request as u; print(u.urlopen('{kubeflow.cluster_url}/apis/v2beta1/healthz').read())"
    name = f"asks-{uuid.uuid4().hex[:6]}"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": STEP_IMAGE, "command": ["python3", "-c", script]}],
        },
    }
    kubeflow.cluster.create(pod)
    kubeflow.cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=90s")
    said = kubeflow.cluster.kubectl("logs", name)
    kubeflow.cluster.kubectl("delete", "pod", name, "--wait=false")
    assert "multi_user" in said


def test_up_again_replaces_no_pod_and_status_lists_them(kubeflow: Kubeflow, up: str):
    def pods() -> set[str]:
        found = kubeflow.cluster.list("pods", "app in (ml-pipeline, workflow-controller, metadata-grpc)")
        return {pod["metadata"]["uid"] for pod in found}

    before = pods()
    assert len(before) == 3
    again = local("up", "--kubeflow")
    assert again.returncode == 0, again.stderr
    assert pods() == before
    status = local("status")
    rows = {line.split()[0]: line for line in status.stdout.splitlines() if line}
    assert "running" in rows["ml-pipeline-persistenceagent"]
    assert status.returncode == 0, status.stdout


@pytest.mark.soak
@pytest.mark.parametrize("made", ["namespace/kubeflow", "deployment/metadata-grpc"])
def test_killed_while_it_comes_up_it_is_taken_up_again(kubeflow: Kubeflow, made: str):
    kubeflow.cluster.kubectl("delete", "namespace", NAMESPACE, "--wait", timeout=300)
    with subprocess.Popen(
        [sys.executable, "-m", "local", "up", "--kubeflow"], cwd=places.CHECKOUT, stderr=subprocess.DEVNULL
    ) as cut_short:
        try:
            wait_until(made, lambda: kubeflow.cluster.get(*made.split("/")), every=0.05)
        finally:
            cut_short.kill()
    again = local("up", "--kubeflow")
    assert again.returncode == 0, again.stderr
    # Its database outlived the namespace, and so did the cache, whose entries point into ML Metadata.
    kubeflow.wait(kubeflow.start(two_steps(), "after a kill", text="hello"))

"""The running cluster, as its users meet it: idempotent, reachable, with volumes, names, routes and simulated GPUs."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local import addresses, locking, places, processes
from local.cluster import Cluster
from local.supervisor import recorded

pytestmark = pytest.mark.cluster
IMAGE = "localhost/trainyard/base-python:3.11"
RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def local(*arguments: str, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", *arguments]
    return subprocess.run(command, cwd=places.CHECKOUT, capture_output=True, text=True, check=False, timeout=timeout)


def until(found: Callable[[], Any], what: str, seconds: float = 90.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.2)
    return value


def get(url: str, host: str | None = None) -> bytes:
    """Body of an answer, with another Host header where one is given."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})  # noqa: S310 - always http
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - always http
        return bytes(answer.read())


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    done = local("up")
    assert done.returncode == 0, done.stderr
    return Cluster()


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    name = f"local-{uuid.uuid4().hex[:6]}"
    meta = {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def apply(cluster: Cluster, *objects: dict[str, Any]) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    cluster.kubectl("apply", "-f", "-", given=json.dumps(listed))


def pod(namespace: str, name: str, command: list[str], gpus: int = 0, claim: str | None = None) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "main",
        "image": IMAGE,
        "command": command,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec: dict[str, Any] = {
        "securityContext": RESTRICTED,
        "containers": [container],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
    }
    if gpus:
        container["resources"] = {"limits": {addresses.GPU: gpus}}
    if claim:
        container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    meta = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


@pytest.fixture(scope="module")
def web(cluster: Cluster, namespace: str) -> str:
    """A pod that serves the file /data/hello from a volume it claimed, behind a Service of its name."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]},
    }
    script = "id -u > /data/hello; echo serving; exec python3 -m http.server -d /data 8000"
    apply(cluster, claim, service, pod(namespace, "web", ["sh", "-c", script], claim="web"))
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/web", "--timeout=90s")
    return "web"


def test_up_again_is_harmless(cluster: Cluster):
    before = recorded(cluster.state)
    done = local("up")
    assert done.returncode == 0, done.stderr
    assert recorded(cluster.state) == before
    assert "slowest parts" in done.stderr


def test_a_second_up_waits_and_says_who_holds_the_lock(cluster: Cluster):
    with locking.exclusive(places.lock_file(), "a test"):
        second = subprocess.Popen(
            [sys.executable, "-m", "local", "up"], cwd=places.CHECKOUT, stderr=subprocess.PIPE, text=True
        )
        assert second.stderr is not None
        said = second.stderr.readline()
        assert "waiting for 'a test'" in said
        assert f"process {os.getpid()}" in said
        assert second.poll() is None
    with second:
        second.communicate(timeout=120)
    assert second.returncode == 0


def test_env_makes_a_shell_work_with_the_cluster(cluster: Cluster):
    done = local("env")
    script = done.stdout + "kubectl get node -o name && helm version --short && printenv TRAINYARD_GATEWAY_URL"
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert shell.stdout.splitlines()[0] == f"node/{addresses.NODE}"
    assert shell.stdout.splitlines()[-1] == addresses.GATEWAY_URL
    exported = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
    assert Path(shlex.split(exported["TRAINYARD_AUDIT_LOG"])[0]).stat().st_size > 0


def test_status_says_that_the_gpus_are_simulated(cluster: Cluster):
    done = local("status")
    assert done.returncode == 0, done.stdout
    assert f"{addresses.GPU}: {addresses.SIMULATED_GPUS}, SIMULATED" in done.stdout


def test_logs_exec_and_a_volume_that_a_non_root_pod_writes(cluster: Cluster, namespace: str, web: str):
    assert "serving" in cluster.kubectl("-n", namespace, "logs", web)
    assert cluster.kubectl("-n", namespace, "exec", web, "--", "cat", "/data/hello") == "1000\n"
    phase = cluster.kubectl("-n", namespace, "get", "pvc", "web", "-o", "jsonpath={.status.phase}")
    assert phase == "Bound"


def test_port_forward(cluster: Cluster, namespace: str, web: str):
    from local import builds

    command = [str(builds.program("kubectl")), f"--kubeconfig={cluster.kubeconfig}"]
    command += ["-n", namespace, "port-forward", f"pod/{web}", ":8000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        assert forward.stdout is not None
        port = forward.stdout.readline().split()[2].rpartition(":")[2]
        assert get(f"http://127.0.0.1:{port}/hello") == b"1000\n"
        forward.terminate()


def test_names_and_service_addresses_work_inside(cluster: Cluster, namespace: str, web: str):
    script = f"import urllib.request as u; print(u.urlopen('http://web.{namespace}.svc.cluster.local/hello').read())"
    assert "1000" in cluster.kubectl("-n", namespace, "exec", web, "--", "python3", "-c", script)


def test_a_route_reaches_the_pod_through_the_gateway(cluster: Cluster, namespace: str, web: str):
    host = f"{namespace}.example.com"
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": "trainyard", "namespace": "projectcontour"}],
            "hostnames": [host],
            "rules": [{"backendRefs": [{"name": web, "port": 80}]}],
        },
    }
    apply(cluster, route)

    def answered() -> bool:
        try:
            return get(f"{addresses.GATEWAY_URL}/hello", host) == b"1000\n"
        except OSError:
            return False

    until(answered, "the route", 30)


def test_prometheus_finds_an_annotated_pod_under_the_labels_of_its_rollout(cluster: Cluster, namespace: str):
    script = (
        "import http.server as h\n"
        "class H(h.BaseHTTPRequestHandler):\n"
        " def do_GET(self):\n"
        "  self.send_response(200); self.end_headers(); self.wfile.write(b'liar{rollout=\"other\"} 1\\n')\n"
        "h.HTTPServer(('', 8000), H).serve_forever()\n"
    )
    model = pod(namespace, "model", ["python3", "-c", script])
    model["metadata"]["labels"] |= {"trainyard.dev/rollout": "fraud", "trainyard.dev/version": "v7"}
    model["metadata"]["annotations"] = {"prometheus.io/scrape": "true", "prometheus.io/port": "8000"}
    apply(cluster, model)

    def measured() -> Any:
        query = f"{addresses.PROMETHEUS_URL}/api/v1/query?query=liar%7Bnamespace=%22{namespace}%22%7D"
        return json.loads(get(query))["data"]["result"]

    (series,) = until(measured, "the pod's metric")
    metric = series["metric"]
    assert (metric["job"], metric["pod"]) == ("trainyard-models", "model")
    assert (metric["rollout"], metric["version"], metric["exported_rollout"]) == ("fraud", "v7", "other")


def test_a_pod_that_wants_more_gpus_than_there_are_stays_pending(cluster: Cluster, namespace: str):
    apply(cluster, pod(namespace, "greedy", ["sleep", "60"], gpus=addresses.SIMULATED_GPUS + 1))
    message = '{.status.conditions[?(@.type=="PodScheduled")].message}'
    said = until(
        lambda: cluster.kubectl("-n", namespace, "get", "pod", "greedy", "-o", f"jsonpath={message}"), "the scheduler"
    )
    assert f"Insufficient {addresses.GPU}" in said


@pytest.mark.soak
def test_the_gpus_come_back_when_the_kubelet_starts_again(cluster: Cluster, namespace: str):
    kubelet = recorded(cluster.state)["kubelet"]
    processes.send(kubelet, signal.SIGKILL)
    until(lambda: recorded(cluster.state).get("kubelet", kubelet) != kubelet, "another kubelet")
    apply(cluster, pod(namespace, "accelerated", ["true"], gpus=1))
    cluster.kubectl(
        "-n", namespace, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/accelerated", "--timeout=90s"
    )

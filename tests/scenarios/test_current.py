"""The demo on a cluster that is there already: nothing of `local/` is started, images come from a registry."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.demo.settings import RELEASE
from local import builds, images
from tests.scenarios.cluster import ROOT, SYSTEM, Cluster, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(1800)]

ADDRESS = "127.0.0.1:5055"
CONFIGURATION = """
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {room}}}}}
http: {{addr: {address}}}
"""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A registry of the user's, with every image that the demo and the chart need; gone afterwards."""
    configuration = tmp_path / "registry.yaml"
    configuration.write_text(CONFIGURATION.format(room=tmp_path / "images", address=ADDRESS))
    command = [str(builds.program("registry")), "serve", str(configuration)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            prefix = f"{ADDRESS}/team"
            wait_until("the registry answers", lambda: _pushed(prefix), 120)
            yield prefix
        finally:
            process.terminate()


def _pushed(prefix: str) -> bool:
    try:
        for name in ("operator", "trainer", "server", "mysql", "minio"):
            images.push(name, prefix)
    except images.ImageFailed as failed:
        if "connection refused" in str(failed):
            return False
        raise
    return True


@pytest.fixture
def bare(cluster_env: dict[str, str]) -> Iterator[Cluster]:
    """The cluster without Trainyard, before and after: the release has other sizes than the scenarios' own."""
    system = Cluster(cluster_env, SYSTEM)
    _uninstall(system)
    yield system
    # The demo leaves its namespace to be looked at; without an operator nothing there could be deleted.
    system.kubectl("delete", "namespace", "-l", "trainyard.dev/demo=true", "--wait=true", timeout=320)
    _uninstall(system)


def _uninstall(system: Cluster) -> None:
    helm = ["helm", "uninstall", RELEASE, "-n", SYSTEM, "--ignore-not-found", "--wait", "--timeout", "5m"]
    subprocess.run(helm, env={**os.environ, **system.env}, check=True, capture_output=True)
    system.kubectl("delete", "pvc", "--all", "--wait=true", "--ignore-not-found", timeout=180)


def test_the_demo_on_a_cluster_that_is_there(
    bare: Cluster, registry: str, cluster_env: dict[str, str], tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    sizes = ("minio.persistence.size=2Gi", "mysql.persistence.size=1Gi", "prometheus.scrapeIntervalSeconds=2")
    own = (f"{part}.image.{key}" for part in ("minio", "mysql") for key in (f"repository={registry}/{part}", "tag=dev"))
    chosen = [option for value in (*sizes, *own, "prometheus.customQueries=true") for option in ("--set", value)]
    command = [
        sys.executable, "-m", "examples.demo", "--plain", "--cluster", "current", "--registry", registry,
        "--gateway-url", cluster_env["TRAINYARD_GATEWAY_URL"],
        "--prometheus-url", cluster_env["TRAINYARD_PROMETHEUS_CLUSTER_URL"],
        "--prometheus-query-url", cluster_env["TRAINYARD_PROMETHEUS_URL"],
        "--figures", str(figures), "--transcript", str(tmp_path / "transcript.txt"), *chosen,
    ]  # fmt: skip
    # As a user's shell has it: the kubeconfig, and nothing that names the local cluster.
    shell = {name: value for name, value in os.environ.items() if not name.startswith("TRAINYARD_")}
    code = subprocess.run(
        command, cwd=ROOT, env=shell | {"KUBECONFIG": cluster_env["KUBECONFIG"], "PATH": _path(cluster_env)},
        check=False, timeout=1500,
    ).returncode  # fmt: skip
    assert code == 0, f"the demo ended with {code}"
    assert json.loads(figures.read_text())["ok"]
    used = {container["image"] for pod in bare.list("pods") for container in pod["spec"]["containers"]}
    assert used
    assert all(image.startswith(registry) for image in used)


def _path(cluster_env: dict[str, str]) -> str:
    return cluster_env.get("PATH", os.environ["PATH"])

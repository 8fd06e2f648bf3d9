"""Fixtures of the scenarios: one local cluster, one operator installed by Helm, a namespace for each test."""

import base64
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from examples.demo.installing import ran, sources
from examples.demo.settings import local_environment
from examples.demo.shell import Shell
from tests.scenarios.cluster import ROOT, SYSTEM, Cluster, wait_until
from tests.scenarios.kubeflow import Kubeflow, kubeflow, operator_values, take_tenant

__all__ = ["kubeflow"]  # a fixture

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def cluster_env() -> dict[str, str]:
    """Return the environment of the running local cluster."""
    return local_environment()


@pytest.fixture(scope="session")
def system(cluster_env: dict[str, str]) -> Cluster:
    """Install the operator, MySQL and MinIO with Helm, as a user does, and return its namespace."""
    helm = [
        "helm", "upgrade", "--install", "trainyard", str(ROOT / "charts/trainyard"), "--namespace", SYSTEM,
        "--create-namespace", "-f", str(ROOT / "charts/trainyard/ci/local-values.yaml"),
        "--set", f"prometheus.url={cluster_env['TRAINYARD_PROMETHEUS_CLUSTER_URL']}",
        "--set", "operator.visitSeconds=30", "--set", f"operator.podAnnotations.checkout=sources-{sources()}",
        *operator_values(cluster_env), "--wait", "--timeout", "10m",
    ]  # fmt: skip
    shell = Shell({**os.environ, **cluster_env}, SYSTEM)
    wait_until("Helm's turn at the release", lambda: ran(shell, helm), 900, every=5)
    return Cluster(cluster_env, SYSTEM)


def _secret(system: Cluster, name: str) -> dict[str, str]:
    found = system.get("secret", name)
    assert found, f"Secret {name} is missing"
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


@pytest.fixture(scope="session")
def store(system: Cluster) -> dict[str, str]:
    """Return the environment that reaches the chart's MinIO as root from this machine."""
    service = system.get("service", "trainyard-minio")
    assert service
    root = _secret(system, "trainyard-minio")
    return {
        "TRAINYARD_STORE_ENDPOINT": f"http://{service['spec']['clusterIP']}:9000",
        "TRAINYARD_STORE_BUCKET": "trainyard",
        "MINIO_ROOT_USER": root["root-user"],
        "MINIO_ROOT_PASSWORD": root["root-password"],
    }


@contextmanager
def _tenant(system: Cluster, store: dict[str, str], name: str) -> Iterator[Cluster]:
    """Give a namespace that was just made its three Secrets; delete it in the end."""
    setup = {
        **os.environ, **system.env, **store, "TRAINYARD_SETUP_NAMESPACES": name,
        "TRAINYARD_SETUP_RELEASE_NAMESPACE": SYSTEM, "TRAINYARD_SETUP_MYSQL_SECRET": "trainyard-mysql",
        "TRAINYARD_SETUP_STORE_SECRET": "trainyard-minio",
        "TRAINYARD_SETUP_OPERATOR_SECRET": "trainyard-operator-store",
    }  # fmt: skip
    subprocess.run([sys.executable, "-m", "trainyard.setup", "store"], env=setup, check=True, capture_output=True)
    yield Cluster(system.env, name)
    Cluster(system.env).kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def ns(request: pytest.FixtureRequest, system: Cluster, store: dict[str, str]) -> Iterator[Cluster]:
    """Return a fresh namespace that has the three Secrets; it is deleted after the test."""
    name = f"t{os.getpid()}-{next(_NUMBERS)}"
    Cluster(system.env).kubectl("create", "namespace", name)
    with _tenant(system, store, name) as made:
        yield made


@pytest.fixture
def kubeflow_ns(kubeflow: Kubeflow, system: Cluster, store: dict[str, str]) -> Iterator[Cluster]:
    """Return a namespace as `ns` does, one of those whose pipelines may use the single-tenant Kubeflow."""
    with _tenant(system, store, take_tenant(system.env)) as made:
        yield made


@pytest.fixture
def kubectl(ns: Cluster) -> Callable[..., str]:
    """`kubectl(...)` in the test's namespace."""
    return ns.kubectl


@pytest.fixture
def apply(ns: Cluster) -> Callable[..., None]:
    """`apply(manifest, ...)` in the test's namespace."""
    return ns.apply


@pytest.fixture
def wait(ns: Cluster) -> Callable[..., dict[str, Any]]:
    """`wait(kind, name, type, status, reason)` in the test's namespace."""
    return ns.wait


@pytest.fixture(scope="session")
def audit_log(cluster_env: dict[str, str]) -> Path:
    """Return the API server's audit log (level Metadata)."""
    return Path(cluster_env["TRAINYARD_AUDIT_LOG"])

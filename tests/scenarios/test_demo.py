"""The demo as a test, and what its objects do at rest. It has a stream of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cluster import ROOT, SYSTEM, Cluster, operator_writes, wait_until
from tests.scenarios.kubeflow import operator_values

pytestmark = pytest.mark.cluster

REST_SECONDS = 300  # the five minutes


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, cluster_env: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Run `make demo`'s main part with its objects kept, and return its figures; they are removed afterwards."""
    figures = tmp_path_factory.mktemp("demo") / "figures.json"
    # The same values as the other stream's, so that neither starts the operator anew under the other.
    values = ["--set", "operator.visitSeconds=30", *operator_values(cluster_env)]
    command = [sys.executable, "-m", "examples.demo", "--plain", "--keep", *values]
    code = subprocess.run([*command, "--figures", str(figures)], cwd=ROOT, check=False, timeout=1500).returncode
    assert code == 0, f"the demo ended with {code}"
    yield json.loads(figures.read_text())
    Cluster(cluster_env).kubectl("delete", "namespace", "-l", "trainyard.dev/demo=true", "--wait=true", timeout=320)


def _namespace(cluster_env: dict[str, str]) -> str:
    names = Cluster(cluster_env).kubectl("get", "namespaces", "-l", "trainyard.dev/demo=true", "-o", "name")
    return names.split()[0].removeprefix("namespace/")


@pytest.mark.timeout(2400)
def test_the_demo_ends_well_and_at_rest_nothing_is_written(
    told: dict[str, Any], cluster_env: dict[str, str], audit_log: Path
) -> None:
    assert told
    demo = Cluster(cluster_env, _namespace(cluster_env))
    rollouts = demo.list("rollouts")
    assert [r["status"]["conditions"] for r in rollouts]
    begun = audit_log.stat().st_size
    deadline = time.monotonic() + REST_SECONDS
    while time.monotonic() < deadline:  # the passing of time is what is tested: nothing may happen in it
        written = list(operator_writes(audit_log, begun, demo.namespace))
        assert not written, json.dumps([(w["verb"], w["objectRef"]) for w in written])
        time.sleep(5)
    assert Cluster(cluster_env, SYSTEM).list("pods", "app.kubernetes.io/name=trainyard")


def test_the_demo_is_on_record(told: dict[str, Any], cluster_env: dict[str, str]) -> None:
    """Runs, artifacts, versions and decisions of the demo are rows in MySQL."""
    system, name = Cluster(cluster_env, SYSTEM), _namespace(cluster_env)
    login = '--protocol=tcp -h127.0.0.1 -u"$MYSQL_USER" -p"$MYSQL_PASSWORD" -N "$MYSQL_DATABASE"'

    def count(table: str, also: str = "") -> int:
        query = f"SELECT COUNT(*) FROM {table} WHERE namespace='{name}' {also}"  # noqa: S608 - both names are the test's own
        text = system.kubectl("exec", "trainyard-mysql-0", "--", "sh", "-c", f'exec mysql {login} -e "{query}"')
        return int(text)

    wait_until("four runs are on record", lambda: count("executions") >= 4, 60)
    wait_until("their artifacts are on record", lambda: count("artifacts") >= 4, 60)
    wait_until("decisions about v1 to v4 are on record", lambda: count("decisions") >= 8, 60)

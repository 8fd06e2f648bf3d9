"""What the chart installs keeps what it was given."""

import json
from typing import Any

import pytest

from tests.scenarios.cluster import Cluster, wait_until
from tests.scenarios.test_training import one_off, pipeline

pytestmark = pytest.mark.cluster


def _sql(system: Cluster, statement: str) -> str:
    """Run SQL inside the database's pod, with the password that the pod has."""
    login = '--protocol=tcp -h127.0.0.1 -u"$MYSQL_USER" -p"$MYSQL_PASSWORD" -N "$MYSQL_DATABASE"'
    client = f'exec mysql {login} -e "{statement}"'
    return system.kubectl("exec", "trainyard-mysql-0", "--", "sh", "-c", client)


def _uid(system: Cluster, pod: str) -> str:
    found: dict[str, Any] = system.get("pod", pod) or {"metadata": {"uid": ""}}
    return str(found["metadata"]["uid"])


def _replace(system: Cluster, pod: str) -> None:
    before = _uid(system, pod)
    system.kubectl("delete", "pod", pod, "--wait=true", timeout=180)
    wait_until(f"{pod} is another pod", lambda: _uid(system, pod) not in ("", before))
    system.wait("pod", pod, "Ready")


def test_data_survives_the_deletion_of_both_pods(system: Cluster, ns: Cluster) -> None:
    _sql(system, "CREATE TABLE IF NOT EXISTS survival (word VARCHAR(20)); DELETE FROM survival")
    _sql(system, "INSERT INTO survival VALUES ('kept')")
    users = json.loads(system.kubectl("get", "secret", "trainyard-minio", "-o", "json"))["data"]
    marker = "/data/survival-marker"
    system.kubectl("exec", "trainyard-minio-0", "--", "sh", "-c", f"echo kept > {marker}")
    _replace(system, "trainyard-mysql-0")
    _replace(system, "trainyard-minio-0")
    assert _sql(system, "SELECT word FROM survival").split() == ["kept"]
    assert system.kubectl("exec", "trainyard-minio-0", "--", "cat", marker).split() == ["kept"]
    assert json.loads(system.kubectl("get", "secret", "trainyard-minio", "-o", "json"))["data"] == users
    _sql(system, "DROP TABLE survival")
    system.kubectl("exec", "trainyard-minio-0", "--", "rm", marker)


def test_the_operator_works_while_mysql_is_away_and_catches_up(system: Cluster, ns: Cluster) -> None:
    system.kubectl("scale", "statefulset", "trainyard-mysql", "--replicas=0")
    try:
        system.gone("pod", "trainyard-mysql-0")
        ns.apply(pipeline(), one_off())
        ns.wait("trainingrun", "once", "Succeeded", "True")
        ns.wait("modelversion", "once", "Ready", "True")
        waits = ns.wait("trainingrun", "once", "Recorded", "False", "DatabaseUnavailable")
        assert waits["status"]["unrecorded"]
    finally:
        system.kubectl("scale", "statefulset", "trainyard-mysql", "--replicas=1")
    recorded = ns.wait("trainingrun", "once", "Recorded", "True", timeout=240)
    assert "unrecorded" not in recorded["status"]
    ns.wait("modelversion", "once", "Recorded", "True")
    rows = _sql(system, f"SELECT event FROM executions WHERE namespace='{ns.namespace}'").split()  # noqa: S608 - our own name
    assert len(rows) == len(set(rows)) == 2, rows

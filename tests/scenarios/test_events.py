"""Scenario 41 on a whole cluster: the receiver as the chart runs it, its pods' own token, runs that really train."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.rig.receiving import Reply, post
from tests.scenarios.cluster import ROOT, Cluster, wait_until
from tests.scenarios.test_training import pipeline

pytestmark = pytest.mark.cluster

HEADERS = {
    "ce-specversion": "1.0",
    "ce-source": "https://ci.example.com/builds",
    "ce-type": "ci.build.finished",
    "content-type": "application/json",
}
TRIGGER = {"name": "ci", "auth": {"kubernetes": {}}}


@pytest.fixture(scope="module")
def address(system: Cluster) -> Iterator[tuple[str, int]]:
    """Install two replicas of the receiver as a release of its own; return where its Service listens."""
    namespace = f"events-{os.getpid()}"
    release = ["events", "--namespace", namespace]
    off = ("crds.install=false", "minio.enabled=false", "mysql.enabled=false", "operator.replicas=0")
    chart = [str(ROOT / "charts/trainyard"), "-f", str(ROOT / "charts/trainyard/ci/local-values.yaml")]
    chosen = [flag for value in (*off, "rbac.aggregate=false", "events.enabled=true") for flag in ("--set", value)]
    _helm(system, "install", *release, "--create-namespace", *chart, *chosen, "--wait", "--timeout", "5m")
    try:
        service = Cluster(system.env, namespace).get("service", "events-trainyard-events")
        assert service
        yield service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]
    finally:
        _helm(system, "uninstall", *release, "--wait")
        Cluster(system.env).kubectl("delete", "namespace", namespace, "--wait=false")


def _helm(system: Cluster, *arguments: str) -> None:
    done = subprocess.run(
        ["helm", *arguments], env={**os.environ, **system.env}, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _token(ns: Cluster, account: str) -> str:
    return ns.kubectl("create", "token", account, "--audience", "trainyard").strip()


def test_an_event_trains_once_however_often_it_comes(address: tuple[str, int], ns: Cluster) -> None:
    ns.apply(pipeline(triggers={"events": [TRIGGER]}))
    for account in ("ci", "eve"):
        ns.kubectl("create", "serviceaccount", account)
    ns.kubectl("create", "role", "ci", "--verb=create", "--resource=trainingruns.trainyard.dev")
    ns.kubectl("create", "rolebinding", "ci", "--role=ci", f"--serviceaccount={ns.namespace}:ci")
    ci, eve = _token(ns, "ci"), _token(ns, "eve")

    def send(token: str, body: bytes = b"{}", number: str = "1") -> Reply:
        proof = {"authorization": f"Bearer {token}"} if token else {}
        return post(address, f"/events/{ns.namespace}/tiny/ci", body, HEADERS | {"ce-id": number} | proof)

    assert [send(token).status for token in ("", eve)] == [401, 403]
    assert send(ci, b"{").short == (400, "Malformed")
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: send(ci), range(6)))
    assert sorted(r.status for r in replies) == [200] * 5 + [202]
    (name,) = {r.run for r in replies}
    run = ns.wait("trainingrun", name, "Succeeded")
    assert run["spec"]["requestedBy"] == run["status"]["requestedBy"] == f"system:serviceaccount:{ns.namespace}:ci"
    assert ns.get("modelversion", name)

    def handled() -> bool:
        found = ns.get("trainingpipeline", "tiny") or {}
        return any(trigger.get("handled") for trigger in found.get("status", {}).get("events", ()))

    wait_until("the pipeline has written down the event", handled)
    ns.kubectl("delete", "modelversion,trainingrun", name, timeout=180)
    assert send(ci).short == (200, "Duplicate")
    assert ns.list("trainingruns") == []
    assert send(ci, number="2").short == (202, "RunCreated")


def test_a_pipeline_tells_that_its_trigger_s_secret_cannot_be_used(address: tuple[str, int], ns: Cluster) -> None:
    proof = {"bearer": {"secretRef": {"name": "trainyard-triggers", "key": "ci"}}}
    ns.apply(pipeline(triggers={"events": [{"name": "ci", "auth": proof}]}))
    secret = "s" * 32

    def send() -> Reply:
        given = {"ce-id": "1", "authorization": f"Bearer {secret}"}
        return post(address, f"/events/{ns.namespace}/tiny/ci", b"{}", HEADERS | given)

    ns.wait("trainingpipeline", "tiny", "TriggersReady", "False", "SecretMissing")
    assert send().status == 401
    ns.kubectl("create", "secret", "generic", "trainyard-triggers", f"--from-literal=ci={secret}")
    ns.wait("trainingpipeline", "tiny", "TriggersReady", "False", "SecretNotUsable")
    assert [e["type"] for e in ns.events("TrainingPipeline", "tiny") if e["reason"].startswith("Secret")] == [
        "Warning"
    ] * 2
    ns.kubectl("label", "secret", "trainyard-triggers", "trainyard.dev/usable-by-triggers=true")
    told = ns.wait("trainingpipeline", "tiny", "TriggersReady", "True", "TriggersReady", 60)
    assert "s" * 32 not in str(told)
    assert send().short == (202, "RunCreated")

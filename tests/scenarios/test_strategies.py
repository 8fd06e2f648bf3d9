"""Scenario 30 and the strategies on a whole cluster: headers, mirror, cookies and blue-green through a real Envoy."""

import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping

import pytest

from examples.demo.load import Load
from tests.scenarios.cluster import Cluster, Obj, wait_until
from tests.scenarios.serving import ended, host, load_of, pipeline, revision_of, rollout, status, train

__all__ = ["host"]  # a fixture

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

BAD = 9.0  # v2 fails for it, v1 does not: so an answer tells who gave it
LIMIT = 5.0
PEOPLE = 24


@pytest.fixture
def load(cluster_env: dict[str, str], host: str) -> Iterator[Load]:
    """A load of rows that v2 does not fail for."""
    with load_of(cluster_env, host, range(1, 5)) as made:
        yield made


class Person:
    """Somebody with a browser: keeps the cookies that answers bring."""

    def __init__(self, ns: Cluster, host: str) -> None:
        self.url = f"{ns.env['TRAINYARD_GATEWAY_URL']}/v1/models/sums:predict"
        self.host = host
        self.cookies = {"theme": "dark"}

    def asks(self, value: float = BAD, headers: Mapping[str, str] | None = None) -> int:
        """Send one request and return the answer's code."""
        jar = "; ".join(f"{name}={told}" for name, told in self.cookies.items())
        sent = {"Host": self.host, "Content-Type": "application/json", "Cookie": jar, **(headers or {})}
        request = urllib.request.Request(self.url, b'{"instances": [[%f]]}' % value, sent)  # noqa: S310 - this machine
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - this machine
                return self._took(answer.status, answer.headers.get_all("Set-Cookie"))
        except urllib.error.HTTPError as error:
            return self._took(error.code, error.headers.get_all("Set-Cookie"))

    def _took(self, code: int, cookies: list[str] | None) -> int:
        for cookie in cookies or ():
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return code


def serve_v1_then_v2(ns: Cluster, host: str, strategy: Obj) -> None:
    """Let v1 serve, and train a v2 that fails above its limit."""
    ns.apply(pipeline())
    train(ns, "v1")
    made = rollout(host, [])
    ns.apply({**made, "spec": {**made["spec"], "strategy": strategy}})
    ns.wait("rollout", "sums", "Ready", "True", "Promoted", 300)
    train(ns, "v2", limit=LIMIT)


def waits_at(ns: Cluster, step: int) -> None:
    wait_until(
        f"the ladder waits at step {step}",
        lambda: status(ns).get("step") == step and "a person" in status(ns).get("waitingFor", ""),
        300,
    )


def act(ns: Cluster, kind: str, number: int) -> None:
    who = ns.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    ns.patch("rollout", "sums", {"spec": {"action": {"kind": kind, "id": str(number), "by": who}}})


def predictions(ns: Cluster, revision: str) -> float:
    """Return how many predictions the pods of a revision answered so far, good and bad."""
    total = 0.0
    for pod in ns.list("pods", f"trainyard.dev/rollout=sums,trainyard.dev/revision={revision}"):
        path = f"/api/v1/namespaces/{ns.namespace}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
        counts = re.findall(
            r"^trainyard_server_requests_total\{[^}]*\} (\S+)$", ns.kubectl("get", "--raw", path), re.MULTILINE
        )
        total += sum(map(float, counts))
    return total


def rules(ns: Cluster) -> list[Obj]:
    found: list[Obj] = (ns.get("httproute", "sums") or {})["spec"]["rules"]
    return found


def test_30_headers_and_mirror_stand_during_their_steps_only(ns: Cluster, host: str) -> None:
    testers = {"name": "testers", "match": [{"name": "X-Tester", "exact": "yes"}]}
    steps = [{"setHeaderRoute": testers}, {"pause": {}}, {"setMirrorRoute": {"percent": 100}}, {"pause": {}}]
    serve_v1_then_v2(ns, host, {"canary": {"steps": steps}})
    ada, tester = Person(ns, host), {"X-Tester": "yes"}

    waits_at(ns, 1)
    wait_until("the header leads to v2", lambda: ada.asks(headers=tester) >= 400, 30)
    assert {ada.asks() for _ in range(40)} == {200}, "without the header nobody sees v2"
    assert {ada.asks(1.0, tester) for _ in range(5)} == {200}

    act(ns, "Promote", 1)
    waits_at(ns, 3)
    canary = revision_of(ns, "v2")
    before = predictions(ns, canary)
    assert {ada.asks() for _ in range(40)} == {200}, "the mirror's failures reach nobody"
    wait_until("v2 got 40 copies", lambda: predictions(ns, canary) - before >= 40, 30)
    assert predictions(ns, canary) - before < 60, "copies, once each (readiness is asked meanwhile)"

    act(ns, "Abort", 2)
    wait_until("v2 is aborted", lambda: ended(ns, "v2"), 60)
    assert len(rules(ns)) == 1
    assert "filters" not in rules(ns)[0]
    wait_until("the header leads nowhere", lambda: ada.asks(headers=tester) == 200, 30)
    wait_until("v2's pods are gone", lambda: len(ns.list("deployments")) == 1, 120)


def test_a_user_who_saw_the_canary_keeps_seeing_it(ns: Cluster, host: str) -> None:
    affinity = {"cookie": {"name": "rev", "maxAgeSeconds": 600}}
    steps = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 80}, {"pause": {}}]
    serve_v1_then_v2(ns, host, {"canary": {"steps": steps, "sessionAffinity": affinity}})
    waits_at(ns, 1)
    people = [Person(ns, host) for _ in range(PEOPLE)]
    first = [person.asks() for person in people]
    saw_canary = [p for p, code in zip(people, first, strict=True) if code >= 400]
    saw_stable = [p for p, code in zip(people, first, strict=True) if code == 200]
    assert saw_canary, "of 24 people at 50 % somebody sees it"
    assert saw_stable, "and somebody does not"
    canary = revision_of(ns, "v2")
    assert {p.cookies["rev"] for p in saw_canary} == {canary}
    for _ in range(10):
        assert all(p.asks() >= 400 for p in saw_canary), "whoever saw it stays there"
        assert all(p.asks() == 200 for p in saw_stable), "and is not dealt anew at every request"

    act(ns, "Promote", 1)
    waits_at(ns, 3)
    for _ in range(5):
        assert all(p.asks() >= 400 for p in saw_canary), "also when the weight rises"
    assert {p.cookies["rev"] for p in saw_canary} == {canary}
    wait_until("some of the others are dealt to it now", lambda: any(p.asks() >= 400 for p in saw_stable), 30)

    act(ns, "Abort", 2)
    wait_until("v2 is aborted", lambda: ended(ns, "v2"), 60)
    wait_until("everybody is served by v1", lambda: all(p.asks() == 200 for p in people), 30)


def test_blue_green_switches_under_load_without_a_failure(ns: Cluster, host: str, load: Load) -> None:
    preview = {"header": {"name": "X-Preview", "value": "1"}}
    serve_v1_then_v2(ns, host, {"blueGreen": {"preview": preview, "afterSwitchSeconds": 20}})
    load.start()
    waits_at(ns, 2)
    ada = Person(ns, host)
    wait_until("the preview leads to v2", lambda: ada.asks(headers={"X-Preview": "1"}) >= 400, 30)
    assert {ada.asks() for _ in range(20)} == {200}
    assert status(ns)["weight"] == 0
    load.phase = "switch"
    act(ns, "Promote", 1)
    wait_until("all traffic is on v2", lambda: status(ns).get("routedWeight") == 100, 60)
    assert len(ns.list("deployments")) == 2, "the old one stands while the new one is watched"
    wait_until("v2 is promoted", lambda: ended(ns, "v2"), 120)
    wait_until("v1's pods are gone", lambda: len(ns.list("deployments")) == 1, 120)
    load.stop()
    assert load.of().failed == 0, load.of()
    assert load.of().requests > 500
    assert (ended(ns, "v2") or {})["outcome"] == "Promoted"


def test_an_autoscaler_scales_through_the_subresource(ns: Cluster, host: str) -> None:
    """What HPA and KEDA do: read status.replicas and the selector, write replicas; both revisions follow."""
    serve_v1_then_v2(ns, host, {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}})
    waits_at(ns, 1)
    path = f"/apis/trainyard.dev/v1alpha1/namespaces/{ns.namespace}/rollouts/sums/scale"
    assert '"selector":"' in ns.kubectl("get", "--raw", path)
    ns.kubectl("scale", "rollout", "sums", "--replicas=2")
    wait_until("both have followed", lambda: status(ns).get("replicas") == 3, 60)
    wait_until(
        "stable has two ready pods, the canary one",
        lambda: sorted(d.get("status", {}).get("availableReplicas", 0) for d in ns.list("deployments")) == [1, 2],
        240,
    )
    assert status(ns)["weight"] == 50
    assert status(ns)["step"] == 1, "no new rollout"

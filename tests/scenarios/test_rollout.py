"""Scenarios 18 and 25 on a whole cluster: real TensorFlow pods behind the gateway, under a constant load."""

from collections.abc import Iterator
from functools import partial

import pytest

from examples.demo import prometheus
from examples.demo.load import Load
from examples.demo.observing import Api, Observer
from tests.scenarios.cluster import Cluster, wait_until
from tests.scenarios.serving import ended, host, load, revision_of, serve_v1, status, train

__all__ = ["host", "load"]  # fixtures

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]


@pytest.fixture
def observer(ns: Cluster, cluster_env: dict[str, str]) -> Iterator[Observer]:
    """What the route says, and by Prometheus' counters who answered."""
    share = partial(prometheus.share, cluster_env["TRAINYARD_PROMETHEUS_URL"], ns.namespace)
    made = Observer(Api(cluster_env["KUBECONFIG"], ns.namespace), "sums", share)
    made.start()
    yield made
    made.stop()


def test_25_constant_load_sees_no_failure_and_shares_follow_the_weights(
    ns: Cluster, host: str, load: Load, observer: Observer
) -> None:
    pause = {"pause": {"durationSeconds": 20}}
    errors = {"name": "errors", "builtin": "ErrorRate", "max": "0.05"}
    serve_v1(
        ns, host, [{"setWeight": 10}, pause, {"setWeight": 30}, pause, {"setWeight": 100}, pause], metrics=[errors]
    )
    load.start()
    train(ns, "v2")
    wait_until("v2 is promoted", lambda: ended(ns, "v2"), 500)
    ns.wait("rollout", "sums", "Ready", "True", "Promoted", 60)
    wait_until("v1's pods are gone", lambda: len(ns.list("deployments")) == 1, 120)
    load.stop()
    assert load.of().failed == 0, load.of()
    assert (ended(ns, "v2") or {})["outcome"] == "Promoted"
    shares = observer.shares_of("v2")
    assert set(shares) == {10, 30, 100}
    for weight, share in shares.items():
        assert abs(share - weight) < 12, shares


def test_18_a_breach_aborts_and_stables_users_see_no_failure(ns: Cluster, host: str, load: Load) -> None:
    errors = {"name": "errors", "builtin": "ErrorRate", "max": "0.05", "failureLimit": 1}
    serve_v1(ns, host, [{"setWeight": 20}, {"pause": {}}], metrics=[errors])
    load.start()
    train(ns, "v2", limit=5.0)  # half of the requests are above it
    wait_until("v2 is aborted", lambda: ended(ns, "v2"), 400)
    load.phase = "after"
    found = ended(ns, "v2") or {}
    assert found["outcome"] == "Aborted"
    assert "errors was 0." in found["message"]
    assert "above max 0.05" in found["message"]
    assert "failed 2 times, failureLimit 1" in found["message"]
    ns.wait("rollout", "sums", "Degraded", "True", "RevisionRejected", 30)
    gone = f"sums-{revision_of(ns, 'v2')}"
    wait_until("v2's pods are gone", lambda: ns.get("deployment", gone) is None, 120)
    load.stop()
    # What v2 refused is v2's own answer; stable's users and everybody afterwards see none.
    assert set(load.of("").statuses) <= {"200", "500"}, load.of("")
    assert load.of("after").failed == 0, load.of("after")
    assert status(ns)["stable"]["version"] == "v1"

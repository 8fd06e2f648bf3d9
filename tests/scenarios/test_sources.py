"""Where numbers come from on a whole cluster: Contour's Envoy and the kubelet's figures beside our own server's."""

import pytest

from examples.demo.load import Load
from tests.scenarios.cluster import Cluster, Obj, condition, wait_until
from tests.scenarios.serving import RATE, ended, host, load, rollout, serve_v1, status, train

__all__ = ["host", "load"]  # fixtures

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

METRICS = [
    {"name": "errors", "builtin": "ErrorRate", "max": "0.05", "failureLimit": 1},
    {"name": "p95", "builtin": "LatencyP95", "max": "60"},
    {"name": "slow", "builtin": "SlowShare", "slowerThanSeconds": "30", "max": "0.5"},
    {"name": "rate", "builtin": "Requests", "min": "0.1"},
    {"name": "cpu", "builtin": "CPU", "max": "64"},
    {"name": "memory", "builtin": "Memory", "min": "50000000"},
    {"name": "drift", "builtin": "PredictionDrift", "max": "0.5"},
]


def measured(ns: Cluster) -> dict[str, Obj]:
    """Metric -> its last measurement, once all of them are numbers."""
    found = {m["name"]: m for m in status(ns).get("metrics", [])}
    return found if len(found) == len(METRICS) and all(m.get("value") for m in found.values()) else {}


def test_envoys_numbers_promote_and_abort(ns: Cluster, host: str, load: Load) -> None:
    analysis = {"source": "Contour", "metrics": METRICS, "onNoData": "Hold"}
    serve_v1(ns, host, [{"setWeight": 50}, {"pause": {"durationSeconds": 20}}], **analysis)
    load.start()
    train(ns, "v2")
    told = wait_until("every metric has a number", lambda: measured(ns), 300)
    assert all(m["verdict"] == "Pass" for m in told.values()), told
    assert float(told["errors"]["value"]) == 0.0
    assert 0.3 * RATE < float(told["rate"]["value"]) < 0.7 * RATE
    assert 0.0 < float(told["p95"]["value"]) < 60.0
    assert float(told["drift"]["value"]) < 0.3, "the same model, the same requests"
    assert abs(float(status(ns)["observedShare"]) - 50) < 15
    wait_until("v2 is promoted", lambda: ended(ns, "v2"), 300)
    assert (ended(ns, "v2") or {})["outcome"] == "Promoted"

    train(ns, "v3", limit=5.0)  # fails for half of the requests
    wait_until("v3 is aborted", lambda: ended(ns, "v3"), 300)
    last = ended(ns, "v3") or {}
    assert last["outcome"] == "Aborted"
    assert "errors was 0." in last["message"]
    load.stop()


def test_what_a_source_lacks_is_said_before_anything_moves(ns: Cluster, host: str) -> None:
    slow = {"name": "p95", "builtin": "LatencyP95", "max": "1"}
    ns.apply(rollout(host, [{"setWeight": 50}], source="EnvoyGateway", metrics=[slow]))
    refused = condition(ns.wait("rollout", "sums", "Accepted", "False", "SourceLacksMetric", 60), "Accepted")
    assert "both revisions are one" in refused["message"]
    bucket = {"name": "slow", "builtin": "SlowShare", "slowerThanSeconds": "0.26", "max": "0.1"}
    ns.apply(rollout(host, [{"setWeight": 50}], source="Contour", metrics=[bucket]))
    ns.wait("rollout", "sums", "Accepted", "False", "NoSuchBucket", 60)

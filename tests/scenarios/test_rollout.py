"""Scenarios 18 and 25 on a whole cluster: real TensorFlow pods behind the gateway, under a constant load."""

from collections.abc import Iterator
from typing import Any

import pytest

from examples.demo.load import Load
from tests.scenarios.cluster import Cluster, Obj, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

RATE = 30.0  # requests a second
TRAINER = "localhost/trainyard/trainer:dev"
# The model sums a row, and fails for values above its parameter `limit`.
SCRIPT = """
import json, os
import tensorflow as tf

limit = json.loads(os.environ["TRAINYARD_PARAMETERS"])["limit"]
out = os.environ["TRAINYARD_OUTPUT"]

class Model(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 1), tf.float32, name="x")])
    def serve(self, x):
        check = tf.debugging.Assert(tf.reduce_all(x <= limit), ["a value above the limit"])
        with tf.control_dependencies([check]):
            return {"total": tf.reduce_sum(x, axis=1)}

model = Model()
tf.saved_model.save(model, out + "/model", signatures={"serving_default": model.serve})
with open(out + "/metrics.json", "w") as file:
    json.dump({"auc": 0.9}, file)
"""


def pipeline() -> Obj:
    resources = {"requests": {"cpu": "200m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}
    template = {"image": TRAINER, "command": ["python", "-c", SCRIPT], "resources": resources}
    spec = {
        "model": "sums",
        "engine": {"job": {"template": template, "volume": {"size": "64Mi"}}},
        "parameters": [{"name": "limit", "type": "Double", "default": 100.0}],
        "evaluation": {"metrics": [{"name": "auc", "min": "0.8"}]},
    }
    return _object("TrainingPipeline", "sums", spec)


def rollout(host: str, steps: list[Obj], **analysis: Any) -> Obj:
    serving = {
        "replicas": 1,
        "resources": {"requests": {"cpu": "100m", "memory": "400Mi"}, "limits": {"memory": "2Gi"}},
    }
    parents = [{"namespace": "projectcontour", "name": "trainyard"}]
    spec = {
        "model": "sums",
        "version": {"latest": {}},
        "target": {"kubernetes": {"serving": serving, "traffic": {"parentRefs": parents, "hostnames": [host]}}},
        "strategy": {"canary": {"steps": steps}},
        "analysis": {"intervalSeconds": 5, "windowSeconds": 10, "minRequests": 20, **analysis},
        "scaleDownDelaySeconds": 10,
    }
    return _object("Rollout", "sums", spec)


def _object(kind: str, name: str, spec: Obj) -> Obj:
    return {"apiVersion": "trainyard.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def train(ns: Cluster, name: str, **parameters: float) -> None:
    """Train a version and wait until it may serve."""
    ns.apply(_object("TrainingRun", name, {"pipeline": "sums", "parameters": parameters}))
    ns.wait("trainingrun", name, "Succeeded", timeout=400)
    ns.wait("modelversion", name, "Ready", timeout=60)


def status(ns: Cluster) -> Obj:
    found = ns.get("rollout", "sums") or {}
    told: Obj = found.get("status", {})
    return told


def revision_of(ns: Cluster, version: str) -> str:
    """Return the revision that a version serves or served as."""
    told = status(ns)
    roles = [told[role] for role in ("stable", "canary") if told.get(role)] + told.get("history", [])
    return next(str(r["revision"]) for r in roles if r["version"] == version)


def ended(ns: Cluster, version: str) -> Obj | None:
    return next((e for e in status(ns).get("history", []) if e["version"] == version), None)


@pytest.fixture
def host(ns: Cluster) -> str:
    return f"{ns.namespace}.example.com"


@pytest.fixture
def load(cluster_env: dict[str, str], host: str) -> Iterator[Load]:
    """A load through the gateway of this machine; each test starts it when there is something to answer."""
    url = f"{cluster_env['TRAINYARD_GATEWAY_URL']}/v1/models/sums:predict"
    made = Load(url, host, [{"instances": [[float(x)]]} for x in range(1, 11)], RATE)
    yield made
    made.stop()


def serve_v1(ns: Cluster, host: str, steps: list[Obj], **analysis: Any) -> None:
    ns.apply(pipeline())
    train(ns, "v1")
    ns.apply(rollout(host, steps, **analysis))
    ns.wait("rollout", "sums", "Ready", "True", "Promoted", 300)


def test_25_constant_load_sees_no_failure_and_shares_follow_the_weights(ns: Cluster, host: str, load: Load) -> None:
    pause = {"pause": {"durationSeconds": 20}}
    serve_v1(ns, host, [{"setWeight": 10}, pause, {"setWeight": 30}, pause, {"setWeight": 100}, pause])
    load.start()
    train(ns, "v2")
    shares: dict[int, float] = {}

    def promoted() -> bool:
        told = status(ns)
        weight, share = told.get("weight", 0), told.get("observedShare")
        if share is not None and told.get("routedWeight") == weight:
            shares[weight] = float(share)
        return ended(ns, "v2") is not None

    wait_until("v2 is promoted", promoted, 500)
    ns.wait("rollout", "sums", "Ready", "True", "Promoted", 60)
    wait_until("v1's pods are gone", lambda: len(ns.list("deployments")) == 1, 120)
    load.stop()
    assert load.of().failed == 0, load.of()
    assert (ended(ns, "v2") or {})["outcome"] == "Promoted"
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

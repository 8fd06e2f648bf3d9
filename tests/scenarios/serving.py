"""A model that sums, its pipeline and Rollout, and a load on it: what the scenarios about serving share."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from examples.demo.load import Load
from tests.scenarios.cluster import Cluster, Obj

RATE = 30.0  # requests a second
TRAINER = "localhost/trainyard/trainer:dev"
# The model sums a row and its parameter `bias`, and fails for values above its parameter `limit`.
SCRIPT = """
import json, os
import tensorflow as tf

parameters = json.loads(os.environ["TRAINYARD_PARAMETERS"])
limit, bias = parameters["limit"], parameters["bias"]
out = os.environ["TRAINYARD_OUTPUT"]

class Model(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 1), tf.float32, name="x")])
    def serve(self, x):
        check = tf.debugging.Assert(tf.reduce_all(x <= limit), ["a value above the limit"])
        with tf.control_dependencies([check]):
            return {"total": tf.reduce_sum(x, axis=1) + bias}

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
        "parameters": [
            {"name": "limit", "type": "Double", "default": 100.0},
            {"name": "bias", "type": "Double", "default": 0.0},
        ],
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


@contextmanager
def load_of(cluster_env: dict[str, str], host: str, rows: Iterable[int]) -> Iterator[Load]:
    """A load that asks for these rows in turn; it is stopped at the end."""
    url = f"{cluster_env['TRAINYARD_GATEWAY_URL']}/v1/models/sums:predict"
    made = Load(url, host, [{"instances": [[float(x)]]} for x in rows], RATE)
    yield made
    made.stop()


@pytest.fixture
def load(cluster_env: dict[str, str], host: str) -> Iterator[Load]:
    """A load of ten rows through the gateway of this machine; each test starts it when there is something to answer."""
    with load_of(cluster_env, host, range(1, 11)) as made:
        yield made


def serve_v1(ns: Cluster, host: str, steps: list[Obj], **analysis: Any) -> None:
    ns.apply(pipeline())
    train(ns, "v1")
    ns.apply(rollout(host, steps, **analysis))
    ns.wait("rollout", "sums", "Ready", "True", "Promoted", 300)

"""The objects of a Rollout's world as users and rooms write them; `world` plays what becomes of them."""

from typing import Any

from trainyard import naming
from trainyard.systems.bundle import Config

NAMESPACE = "team"
NAME = "churn"
PARENTS = [{"name": "gateway", "namespace": "infra"}]
CONFIG = Config(
    courier_image="trainyard/operator:1",
    server_images={"TensorFlow": "trainyard/server:1"},
    bucket="models",
    store_endpoint="http://store:9000",
    scrape_interval_seconds=2,
    custom_queries=True,
    proven_actions=True,
)
TARGET: dict[str, Any] = {
    "kubernetes": {
        "serving": {"replicas": 2},
        "traffic": {"parentRefs": PARENTS, "hostnames": ["churn.test"]},
    }
}
CANARY = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {"durationSeconds": 60}}]


def version(name: str, minute: int, ready: bool = True) -> dict[str, Any]:
    """A ModelVersion as its own room leaves it."""
    return {
        "apiVersion": naming.API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "model": "churn",
            "artifact": {
                "uri": f"s3://models/team/churn/{name}/",
                "digest": naming.digest(name),
                "format": "SavedModel",
            },
            "createdAt": f"2026-11-24T05:{minute:02d}:00.000000Z",
        },
        "status": {"conditions": [condition("Ready", ready)]},
    }


def rollout(name: str = NAME, **spec: Any) -> dict[str, Any]:
    """A Rollout; keyword arguments lay over the spec's fields."""
    base: dict[str, Any] = {
        "model": "churn",
        "version": {"latest": {}},
        "target": TARGET,
        "strategy": {"canary": {"steps": CANARY}},
        "scaleDownDelaySeconds": 30,
    }
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": naming.API_VERSION, "kind": "Rollout", "metadata": meta, "spec": base | spec}


def condition(kind: str, status: bool) -> dict[str, Any]:
    """A condition as our rooms write it."""
    reason = "Ready" if status else "NotReady"
    return {"type": kind, "status": "True" if status else "False", "reason": reason, "message": ""}

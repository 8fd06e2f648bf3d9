"""Trainyard's objects that the benchmark makes, and the statuses that its played controllers write. Pure.

Used by `ours`; `argo` has the same things in Argo's words.
"""

from collections.abc import Mapping
from typing import Any

from bench.store import BUCKET, digest
from trainyard import naming
from trainyard.systems.cluster.port import Obj

NAMESPACE = "bench"
PARENTS = ({"name": "gateway", "namespace": "infra"},)
# One pod of two carries every weight up to 50 %, so each step after the first changes the weight alone.
LADDER = (10, 20)
REPLICAS = 2
# A minute, not the 30 s of our default: a thousand background analyses in flight leave Argo Rollouts at its default of
# 40 requests a second nothing to work with otherwise.
INTERVAL_SECONDS = 60
MOST_ERRORS = "0.05"
SCALE_DOWN_DELAY_SECONDS = 1  # at 0 Argo Rollouts reconciles without a pause until the pods are gone


def names(count: int) -> list[str]:
    """Name the Rollouts; each is also the name of its model."""
    return [f"model-{number:04d}" for number in range(count)]


def version_name(rollout: str, number: int) -> str:
    """Name a version of a Rollout's model."""
    return f"{rollout}-v{number}"


def model_version(rollout: str, number: int) -> Obj:
    """Return a ModelVersion whose artifact the scripted store shows; the operator itself judges it."""
    name = version_name(rollout, number)
    key = f"{NAMESPACE}/{rollout}/{name}/1/"
    return {
        "apiVersion": naming.API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "model": rollout,
            "artifact": {"uri": f"s3://{BUCKET}/{key}", "digest": digest(key), "format": "SavedModel"},
            "evaluation": {"noRules": "Accept"},
            "createdAt": f"2026-11-24T05:{number:02d}:00.000000Z",
        },
    }


def rollout(name: str) -> Obj:
    """Return a Rollout at its first version, with an analysis, whose steps wait for a person."""
    pause: dict[str, Any] = {"pause": {}}
    steps = [step for weight in LADDER for step in ({"setWeight": weight}, pause)]
    return {
        "apiVersion": naming.API_VERSION,
        "kind": "Rollout",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "model": name,
            "version": {"name": version_name(name, 1)},
            "target": {
                "kubernetes": {
                    "serving": {"replicas": REPLICAS},
                    "traffic": {"parentRefs": list(PARENTS), "hostnames": [f"{name}.example.com"]},
                }
            },
            "strategy": {"canary": {"steps": steps}},
            "analysis": {
                "intervalSeconds": INTERVAL_SECONDS,
                "metrics": [{"name": "errors", "builtin": "ErrorRate", "max": MOST_ERRORS}],
            },
            "scaleDownDelaySeconds": SCALE_DOWN_DELAY_SECONDS,
        },
    }


def ready(deployment: Obj) -> dict[str, Any]:
    """Return the status of a Deployment all of whose pods are ready."""
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    generation = deployment["metadata"].get("generation")
    return {"observedGeneration": generation, **dict.fromkeys(counts, deployment["spec"]["replicas"])}


def accepted(route: Obj) -> dict[str, Any]:
    """Return the status of a route that every Gateway took as it is."""
    generation = route["metadata"].get("generation")
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": kind,
            "message": "",
            "observedGeneration": generation,
            "lastTransitionTime": "2026-11-24T06:00:00Z",
        }
        for kind in ("Accepted", "ResolvedRefs")
    ]
    parents = [
        {"parentRef": ref, "controllerName": "bench.example/gateway", "conditions": conditions}
        for ref in route["spec"]["parentRefs"]
    ]
    return {"parents": parents}


def shares(route: Obj) -> dict[str, int]:
    """Return backend -> weight of a route."""
    return {b["name"]: int(b.get("weight", 1)) for rule in route["spec"]["rules"] for b in rule.get("backendRefs", ())}


def canary_weight(route: Obj) -> int:
    """Return the weight that the canary has in a route, 0 without a canary."""
    meta = route["metadata"]
    annotations: Mapping[str, str] = meta.get("annotations") or {}
    canary = annotations.get(naming.ANNOTATION_CANARY_REVISION, "")
    return shares(route).get(naming.revision_object(meta["name"], canary), 0) if canary else 0

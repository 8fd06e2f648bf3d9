"""The cluster's own HorizontalPodAutoscaler scales a Rollout, stable and canary, without a fight (issue 5, section 1).

The autoscaler is kube-controller-manager's; only the load that it reads is scripted. It wants half of each pod's
request of 100 millicores, over all pods that the Rollout's selector finds, the canary's too.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.cluster import Cluster, Obj, condition, operator_writes, wait_until
from tests.scenarios.pod_metrics import Script, scripted_metrics
from tests.scenarios.serving import host, pipeline, rollout, status, train
from tests.scenarios.watching import RULES, Watch

__all__ = ["host"]  # a fixture

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(1800)]

# Cores a pod, a little below the target: millicores are rounded up, and one more would be one more pod.
WORTH = 0.048
SCALER = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
LOOKS = 2  # the autoscaler looks every 15 s; so many more times nothing may change for it to count as settled
ROLLOUT = {"apiVersion": "trainyard.dev/v1alpha1", "kind": "Rollout", "name": "sums"}


def autoscaler() -> Obj:
    half = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
    }
    spec = {
        "scaleTargetRef": ROLLOUT,
        "minReplicas": 1,
        "maxReplicas": 6,
        "metrics": [half],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }
    meta = {"name": "sums"}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": spec}


@pytest.fixture
def metrics(ns: Cluster, tmp_path: Path) -> Iterator[Script]:
    with scripted_metrics(ns, tmp_path) as script:
        yield script


def replicas(ns: Cluster) -> int:
    spec = (ns.get("rollout", "sums") or {})["spec"]
    return int(spec["target"]["kubernetes"]["serving"]["replicas"])


def sizes(ns: Cluster) -> dict[str, int]:
    """Return the available pods of each revision that has a Deployment."""
    return {d["metadata"]["name"]: d.get("status", {}).get("availableReplicas", 0) for d in ns.list("deployments")}


def settles(ns: Cluster, metrics: Script, pods: int, stable: int, canary: int | None = None) -> None:
    """Set the load to what so many pods are for, and wait until replicas have followed and stay so for two looks."""
    metrics.cores = WORTH * pods
    wanted = sorted([stable, *([] if canary is None else [canary])])
    wait_until(
        f"{stable} and {canary} pods at a load for {pods}",
        lambda: replicas(ns) == pods and sorted(sizes(ns).values()) == wanted,
        300,
        every=2,
    )
    end = metrics.asked + LOOKS
    wait_until("the autoscaler has looked again", lambda: metrics.asked >= end, 120, every=2)
    assert replicas(ns) == pods, "it stays"
    assert sorted(sizes(ns).values()) == wanted


def scaled_by_it(audit: Path, start: int, namespace: str) -> int:
    """Return how often the autoscaler wrote replicas."""
    found = 0
    with audit.open() as lines:
        lines.seek(start)
        for line in lines:
            entry = json.loads(line) if line.endswith("\n") else {}
            target = entry.get("objectRef", {})
            found += (
                entry.get("stage") == "ResponseComplete"
                and entry["user"]["username"] == SCALER
                and (target.get("subresource"), target.get("namespace"), entry["verb"])
                == ("scale", namespace, "update")
            )
    return found


def deployments_written(audit: Path, start: int, namespace: str) -> int:
    return sum(e["objectRef"]["resource"] == "deployments" for e in operator_writes(audit, start, namespace))


def test_the_real_autoscaler_scales_stable_and_canary(ns: Cluster, host: str, metrics: Script, audit_log: Path) -> None:
    ns.apply(pipeline())
    train(ns, "v1")
    made = rollout(host, [{"setWeight": 50}, {"pause": {}}])
    del made["spec"]["target"]["kubernetes"]["serving"]["replicas"]
    ns.apply(made)
    ns.wait("rollout", "sums", "Ready", "True", "Promoted", 300)
    first = status(ns)["stable"]["revision"]
    metrics.cores = WORTH
    ns.apply(autoscaler())
    begun = audit_log.stat().st_size

    settles(ns, metrics, pods=2, stable=2)
    assert scaled_by_it(audit_log, begun, ns.namespace) == 1
    assert deployments_written(audit_log, begun, ns.namespace) == 1

    serving = {"env": [{"name": "GENERATION", "value": "2"}]}
    ns.patch("rollout", "sums", {"spec": {"target": {"kubernetes": {"serving": serving}}}})
    wait_until("a canary is at 50 %", lambda: status(ns).get("routedWeight") == 50, 300)
    climbed = audit_log.stat().st_size
    with Watch(ns, "httproute/sums", RULES) as route:
        settles(ns, metrics, pods=2, stable=2, canary=1)
        assert scaled_by_it(audit_log, climbed, ns.namespace) == 0, "the canary's pods share the load: nothing to do"
        assert deployments_written(audit_log, climbed, ns.namespace) == 0

        settles(ns, metrics, pods=4, stable=4, canary=2)
        settles(ns, metrics, pods=1, stable=1, canary=1)
        # Each of the two new loads: one number, written to stable and, where it changes, to the canary.
        assert scaled_by_it(audit_log, climbed, ns.namespace) <= 4
        assert deployments_written(audit_log, climbed, ns.namespace) <= 8
        told = status(ns)
        assert (told["weight"], told["routedWeight"], told["step"]) == (50, 50, 1), "no new rollout"
        assert route.is_whole
        assert len({" ".join(sorted(pair.partition("=")[2] for pair in line.split()[1:])) for line in route.lines}) == 1

    who = ns.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    ns.patch("rollout", "sums", {"spec": {"action": {"kind": "Promote", "id": "1", "by": who}}})
    wait_until(
        "it is promoted", lambda: status(ns)["history"][0]["revision"] == status(ns)["stable"]["revision"] != first, 200
    )
    wait_until("the first one's pods are gone", lambda: len(ns.list("deployments")) == 1, 120)
    settles(ns, metrics, pods=2, stable=2)
    scaler = ns.get("hpa", "sums") or {}
    assert condition(scaler, "AbleToScale")["status"] == "True"
    assert condition(scaler, "ScalingActive")["status"] == "True"
    assert scaled_by_it(audit_log, begun, ns.namespace) <= 7

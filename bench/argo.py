"""Argo Rollouts as the benchmark sees it, with an Istio VirtualService as its route. Pure but `install` and `command`.

The ladder, the pods and the analysis are those of `objects`, in Argo's words. Used by `__main__`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.apiserver import apply_manifests
from bench.objects import INTERVAL_SECONDS, LADDER, MOST_ERRORS, NAMESPACE, REPLICAS, SCALE_DOWN_DELAY_SECONDS
from bench.ours import free_port
from bench.tools import Command, Edit, Made, View
from local import builds
from local.rig import ApiServerRig
from trainyard.systems.cluster.port import LEASE, SERVICE, Kind, Obj, Ref

ROLLOUT = Kind("argoproj.io", "v1alpha1", "Rollout", "rollouts")
TEMPLATE = Kind("argoproj.io", "v1alpha1", "AnalysisTemplate", "analysistemplates")
ROUTE = Kind("networking.istio.io", "v1alpha3", "VirtualService", "virtualservices")
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets")
HASH = "rollouts-pod-template-hash"
VERSION = "bench/version"
ANALYSIS = "errors"
ISTIO = Path(__file__).resolve().parent / "istio.yaml"


# What a person who runs it for a thousand Rollouts would raise first.
RAISED = ("--qps", "1000", "--burst", "2000", "--rollout-threads", "50", "--analysis-threads", "50",
          "--service-threads", "50")  # fmt: skip


def ready(replica_set: Obj) -> dict[str, Any]:
    """Return the status of a ReplicaSet all of whose pods are ready."""
    counts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    told = {"observedGeneration": replica_set["metadata"].get("generation")}
    return told | dict.fromkeys(counts, replica_set["spec"]["replicas"])


class ArgoRollouts:
    """See `tools.Tool`. A VirtualService has no status that Argo Rollouts would wait for."""

    user = "argo-bench"
    lease = "argo-rollouts-controller-lock"
    label = "app"
    rollout = ROLLOUT
    watched: tuple[Kind, ...] = (ROLLOUT, ROUTE, REPLICA_SET, LEASE)
    played: Mapping[Kind, Callable[[Obj], dict[str, Any]]] = {REPLICA_SET: ready}

    def __init__(self, key: str, title: str, flags: tuple[str, ...] = (), setup_flags: tuple[str, ...] = ()) -> None:
        """flags: what it is started with beside its defaults; setup_flags: to serve first versions."""
        self.key, self.title = key, title
        self._flags, self._setup_flags = flags, setup_flags

    def install(self, rig: ApiServerRig) -> None:
        """See `tools.Tool`. The controller is built here, before anything is timed."""
        builds.program("rollouts-controller")
        apply_manifests(rig, [*builds.manifests("argo-rollouts"), ISTIO])

    def command(self, rig: ApiServerRig, url: str) -> Command:  # noqa: ARG002 - the protocol's
        """See `tools.Tool`."""
        return self._command(rig, self._flags)

    def setup(self, rig: ApiServerRig, url: str) -> Command | None:  # noqa: ARG002 - the protocol's
        """See `tools.Tool`."""
        return self._command(rig, self._setup_flags) if self._setup_flags else None

    def _command(self, rig: ApiServerRig, flags: tuple[str, ...]) -> Command:
        ports = ("--metricsPort", str(free_port()), "--healthzPort", str(free_port()))
        kubeconfig = str(rig.kubeconfig_for(self.user, ("system:masters",)))
        program = str(builds.program("rollouts-controller"))
        environment = {**os.environ, "POD_NAMESPACE": NAMESPACE}
        return Command((program, "--kubeconfig", kubeconfig, *ports, *flags), environment)

    def ahead(self, names: Sequence[str], url: str) -> Sequence[Made]:
        """See `tools.Tool`: what Argo Rollouts wants to find, two Services and the route of each, and the analysis."""
        services = [(SERVICE, service(name, role)) for name in names for role in ("stable", "canary")]
        return [(TEMPLATE, template(url)), *services, *((ROUTE, route(name)) for name in names)]

    def rollouts(self, names: Sequence[str]) -> Sequence[Made]:
        """See `tools.Tool`."""
        return [(ROLLOUT, rollout(name)) for name in names]

    def is_prepared(self, view: View, name: str) -> bool:
        """See `tools.Tool`: nobody has to look at anything first."""
        return bool(view.get(ROUTE, name))

    def pin(self, name: str, number: int) -> Edit:
        """See `tools.Tool`."""
        body = {"spec": {"template": {"metadata": {"annotations": {VERSION: str(number)}}}}}
        return Edit(Ref(ROLLOUT, NAMESPACE, name), body)

    def promote(self, name: str, mark: str) -> Edit:  # noqa: ARG002 - the protocol's
        """See `tools.Tool`: what `kubectl argo rollouts promote` writes for a Rollout at a pause."""
        return Edit(Ref(ROLLOUT, NAMESPACE, name), {"status": {"pauseConditions": None}}, status=True)

    def weight(self, view: View, name: str) -> int:
        """See `tools.Tool`."""
        routes = view.get(ROUTE, name).get("spec", {}).get("http", ())
        found = [d["weight"] for r in routes for d in r["route"] if d["destination"]["host"] == f"{name}-canary"]
        return int(found[0]) if found else 0

    def share(self, view: View, name: str, revision: str) -> int:  # noqa: ARG002 - the protocol's
        """See `tools.Tool`."""
        return self.weight(view, name)

    def revisions(self, view: View, name: str) -> Sequence[str]:  # noqa: ARG002 - the protocol's
        """See `tools.Tool`."""
        return ()

    def is_settled(self, view: View, name: str, weight: int) -> bool:
        """See `tools.Tool`."""
        status = view.get(ROLLOUT, name).get("status") or {}
        told = ((status.get("canary") or {}).get("weights") or {}).get("canary", {}).get("weight")
        return self.weight(view, name) == told == weight and bool(status.get("pauseConditions"))

    def rests(self, view: View, name: str, number: int) -> bool:
        """See `tools.Tool`."""
        obj = view.get(ROLLOUT, name)
        status = obj.get("status") or {}
        told = status.get("observedGeneration") == str(obj.get("metadata", {}).get("generation"))
        serving = [s for s in view.of(REPLICA_SET, name) if s["spec"]["replicas"]]
        alone = [s["metadata"]["labels"].get(HASH) for s in serving] == [status.get("stableRS")]
        whole = status.get("currentPodHash") == status.get("stableRS") and status.get("phase") == "Healthy"
        return told and alone and whole and self.weight(view, name) == 0 and _number(obj) == str(number)


def _number(rollout: Obj) -> Any:
    return rollout["spec"]["template"]["metadata"]["annotations"][VERSION]


def _object(kind: Kind, name: str, spec: Mapping[str, Any]) -> Obj:
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": spec}


def service(name: str, role: str) -> Obj:
    """Return the Service of a role; Argo Rollouts points it at the pods."""
    return _object(SERVICE, f"{name}-{role}", {"selector": {"app": name}, "ports": [{"port": 80}]})


def route(name: str) -> Obj:
    """Return the VirtualService, all traffic on stable."""
    backends = [
        {"destination": {"host": f"{name}-{role}"}, "weight": w} for role, w in (("stable", 100), ("canary", 0))
    ]
    return _object(ROUTE, name, {"hosts": [f"{name}.example.com"], "http": [{"name": "main", "route": backends}]})


def template(url: str) -> Obj:
    """Return the analysis that every canary runs in the background."""
    query = 'errors{rollout="{{args.rollout}}",revision=~"canary"}'
    metric = {
        "name": ANALYSIS,
        "interval": f"{INTERVAL_SECONDS}s",
        "successCondition": f"len(result) == 0 || result[0] <= {MOST_ERRORS}",
        "provider": {"prometheus": {"address": url, "query": query}},
    }
    return _object(TEMPLATE, ANALYSIS, {"args": [{"name": "rollout"}], "metrics": [metric]})


def rollout(name: str) -> Obj:
    """Return a Rollout at its first version, with an analysis, whose steps wait for a person."""
    pause: dict[str, Any] = {"pause": {}}
    analysis = {"templates": [{"templateName": ANALYSIS}], "args": [{"name": "rollout", "value": name}]}
    canary = {
        "stableService": f"{name}-stable",
        "canaryService": f"{name}-canary",
        "scaleDownDelaySeconds": SCALE_DOWN_DELAY_SECONDS,
        "trafficRouting": {"istio": {"virtualService": {"name": name}}},
        "analysis": analysis,
        "steps": [step for weight in LADDER for step in ({"setWeight": weight}, pause)],
    }
    pods = {
        "metadata": {"labels": {"app": name}, "annotations": {VERSION: "1"}},
        "spec": {"containers": [{"name": "server", "image": "bench.example/server"}]},
    }
    spec = {
        "replicas": REPLICAS,
        "selector": {"matchLabels": {"app": name}},
        "template": pods,
        "strategy": {"canary": canary},
    }
    return _object(ROLLOUT, name, spec)

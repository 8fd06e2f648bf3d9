"""Trainyard as the benchmark sees it. Pure but `install` and `command`. Used by `__main__`."""

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import objects
from bench.apiserver import apply_manifests
from bench.objects import NAMESPACE
from bench.store import BUCKET
from bench.tools import Command, Edit, Made, View
from local import builds
from local.rig import ApiServerRig
from trainyard import naming
from trainyard.systems.cluster.port import DEPLOYMENT, HTTP_ROUTE, LEASE, MODEL_VERSION, ROLLOUT, Kind, Obj, Ref

ROOT = Path(__file__).resolve().parent.parent


class Trainyard:
    """See `tools.Tool`. Its settings are the defaults, but for the rhythm of scrapes."""

    key = "trainyard"
    title = "Trainyard"
    user = "operator-bench"
    lease = "trainyard-operator"
    label = naming.LABEL_ROLLOUT
    rollout = ROLLOUT
    watched: tuple[Kind, ...] = (ROLLOUT, MODEL_VERSION, HTTP_ROUTE, DEPLOYMENT, LEASE)
    played: Mapping[Kind, Callable[[Obj], dict[str, Any]]] = {DEPLOYMENT: objects.ready, HTTP_ROUTE: objects.accepted}

    def install(self, rig: ApiServerRig) -> None:
        """See `tools.Tool`."""
        gateway, _ = builds.manifests("gateway")
        apply_manifests(rig, [ROOT / "crds", gateway])

    def command(self, rig: ApiServerRig, url: str) -> Command:
        """See `tools.Tool`. Every process is a container of the same pod, as after a crash on a cluster."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRAINYARD_", "AWS_"))}
        environment = kept | {
            "KUBECONFIG": str(rig.kubeconfig_for(self.user, ("system:masters",))),
            "PYTHONPATH": str(ROOT / "operator"),
            "TRAINYARD_POD_NAMESPACE": NAMESPACE,
            "TRAINYARD_POD_NAME": "bench",
            "TRAINYARD_POD_UID": "6a6fdd2e-6f3c-4a0e-9d1b-bench",
            "TRAINYARD_LEASE_NAME": self.lease,
            "TRAINYARD_PROBE_PORT": str(free_port()),
            "TRAINYARD_METRICS_PORT": str(free_port()),
            "TRAINYARD_COURIER_IMAGE": "bench.example/courier",
            "TRAINYARD_SERVER_IMAGE_TENSORFLOW": "bench.example/server",
            "TRAINYARD_STORE_BUCKET": BUCKET,
            "TRAINYARD_STORE_ENDPOINT": url,
            "TRAINYARD_PROMETHEUS_URL": url,
            "TRAINYARD_SCRAPE_INTERVAL_SECONDS": "1",  # so that measurements begin within the run
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
        }
        return Command((sys.executable, "-m", "trainyard"), environment)

    def setup(self, rig: ApiServerRig, url: str) -> Command | None:  # noqa: ARG002 - the protocol's
        """See `tools.Tool`."""
        return None

    def ahead(self, names: Sequence[str], url: str) -> Sequence[Made]:  # noqa: ARG002 - the protocol's
        """See `tools.Tool`: two versions of each model."""
        return [(MODEL_VERSION, objects.model_version(name, number)) for name in names for number in (1, 2)]

    def rollouts(self, names: Sequence[str]) -> Sequence[Made]:
        """See `tools.Tool`."""
        return [(ROLLOUT, objects.rollout(name)) for name in names]

    def is_prepared(self, view: View, name: str) -> bool:
        """See `tools.Tool`: the operator has judged both versions."""
        return all(_is_ready(view.get(MODEL_VERSION, objects.version_name(name, number))) for number in (1, 2))

    def pin(self, name: str, number: int) -> Edit:
        """See `tools.Tool`."""
        body = {"spec": {"version": {"name": objects.version_name(name, number)}}}
        return Edit(Ref(ROLLOUT, NAMESPACE, name), body)

    def promote(self, name: str, mark: str) -> Edit:
        """See `tools.Tool`."""
        return Edit(Ref(ROLLOUT, NAMESPACE, name), {"spec": {"action": {"kind": "Promote", "id": mark}}})

    def weight(self, view: View, name: str) -> int:
        """See `tools.Tool`."""
        route = view.get(HTTP_ROUTE, name)
        return objects.canary_weight(route) if route else 0

    def share(self, view: View, name: str, revision: str) -> int:
        """See `tools.Tool`."""
        route = view.get(HTTP_ROUTE, name)
        return objects.shares(route).get(naming.revision_object(name, revision), 0) if route else 0

    def revisions(self, view: View, name: str) -> Sequence[str]:
        """See `tools.Tool`."""
        route = view.get(HTTP_ROUTE, name)
        return [backend.rpartition("-")[2] for backend in objects.shares(route)] if route else []

    def is_settled(self, view: View, name: str, weight: int) -> bool:
        """See `tools.Tool`."""
        status = view.get(ROLLOUT, name).get("status") or {}
        return self.weight(view, name) == status.get("weight") == status.get("routedWeight") == weight

    def rests(self, view: View, name: str, number: int) -> bool:
        """See `tools.Tool`."""
        obj = view.get(ROLLOUT, name)
        status = obj.get("status") or {}
        serving = (status.get("stable") or {}).get("version")
        told = status.get("observedGeneration") == obj.get("metadata", {}).get("generation")
        alone = len(view.of(DEPLOYMENT, name)) == 1
        return told and alone and not status.get("canary") and serving == objects.version_name(name, number)


def _is_ready(version: Obj) -> bool:
    conditions = (version.get("status") or {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])

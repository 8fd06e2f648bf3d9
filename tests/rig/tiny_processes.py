"""Processes of the tiny operator on a rig of their own, and what the API server's audit log says they wrote."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from local.free_ports import free_port
from local.rig import ApiServerRig
from trainyard.systems.cluster.port import MODEL_VERSION, ROLLOUT, TRAINING_PIPELINE, TRAINING_RUN, Kind

ROOT = Path(__file__).resolve().parents[2]
READS = {"get", "list", "watch"}
LEASE_SECONDS = 5
PATIENCE_SECONDS = 60.0


class Process:
    """One process of the tiny operator, acting as its own user."""

    module = "tests.rig.tiny_operator"

    def __init__(
        self, rig: ApiServerRig, name: str, folder: Path, group: str = "system:masters", **settings: str
    ) -> None:
        self.user = f"operator-{name}"
        self.log = folder / f"{name}.log"
        self.probes, self.metrics = free_port(), free_port()
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(rig.kubeconfig_for(self.user, (group,))),
            "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}",
            "TRAINYARD_POD_NAMESPACE": "default",
            "TRAINYARD_POD_NAME": name,
            "TRAINYARD_LEASE_SECONDS": str(LEASE_SECONDS),
            "TRAINYARD_VISIT_SECONDS": "600",
            "TRAINYARD_PROBE_PORT": str(self.probes),
            "TRAINYARD_METRICS_PORT": str(self.metrics),
            "TRAINYARD_COURIER_IMAGE": "none",
            "TRAINYARD_SERVER_IMAGE_TENSORFLOW": "none",
            "TRAINYARD_STORE_BUCKET": "none",
            **settings,
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        self._process.wait()

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", self.module]
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.poll()

    def ready(self) -> tuple[int, str]:
        return page(self.probes, "/readyz")

    def metric(self, start: str) -> float:
        """The sum of the samples whose line starts so."""
        return metric(self.metrics, start)


def page(port: int, path: str) -> tuple[int, str]:
    """(HTTP status, text) of a page; (0, "") while nothing listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def metric(port: int, start: str) -> float:
    """The sum of the samples of an operator whose line starts so."""
    _, text = page(port, "/metrics")
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(start))


def loose_crd(kind: Kind) -> dict[str, Any]:
    """A CRD of ours that takes anything: the core is tested here, not the kinds."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {"kind": kind.kind, "plural": kind.plural},
            "versions": [version],
        },
    }


def install(rig: ApiServerRig, *kinds: Kind) -> None:
    """Install loose CRDs and wait until they are served."""
    crds = {"apiVersion": "v1", "kind": "List", "items": [loose_crd(kind) for kind in kinds]}
    command = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig)]
    text = json.dumps(crds).encode()
    subprocess.run([*command, "apply", "-f", "-"], input=text, check=True, capture_output=True)
    wait = ["wait", "--for=condition=Established", "--timeout=60s", "-f", "-"]
    subprocess.run([*command, *wait], input=text, check=True, capture_output=True)


OURS = (TRAINING_PIPELINE, TRAINING_RUN, MODEL_VERSION, ROLLOUT)


def audited(rig: ApiServerRig, user: str) -> list[dict[str, Any]]:
    """The finished writes of a user, without those to the Lease, in order."""
    found = []
    for line in rig.audit_log.read_text().splitlines():
        entry = json.loads(line)
        if entry["stage"] != "ResponseComplete" or entry["user"]["username"] != user or entry["verb"] in READS:
            continue
        if entry.get("objectRef", {}).get("resource") not in ("leases", "selfsubjectaccessreviews"):
            found.append(entry)
    return found


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something to be so; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.1)

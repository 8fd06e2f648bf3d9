"""Training on a real API server with the real Job controller: the operator as its own process, the kubelet played here.

The process is forked, so that it starts in milliseconds and dies by a real SIGKILL.
"""

import asyncio
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from tests.fakes import kubelet
from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.metadata import FakeMetadata
from trainyard import naming
from trainyard.reconciling.cycle import Cycle
from trainyard.systems.artifacts.port import MANIFEST, Manifest
from trainyard.systems.bundle import Config, Systems
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import ClusterError, Obj, Ref
from trainyard.systems.cluster.transport import Transport
from trainyard.systems.engine.job import JobEngine
from trainyard.training_pipeline.room import TrainingPipelineRoom
from trainyard.training_run.room import TrainingRunRoom

PATIENCE_SECONDS = 90.0


class Published(FakeArtifacts):
    """A store in which every attempt has published the same manifest, or none has."""

    def __init__(self, manifest: Manifest | None) -> None:
        super().__init__({f"s3://data/{name}/rows.csv": kubelet.ROWS for name in "ab"})
        self.manifest = manifest

    async def read(self, uri: str, limit: int) -> bytes | None:
        """Return the manifest, wherever it is asked for."""
        is_asked = uri.endswith(f"/{MANIFEST}") and self.manifest is not None
        return self.manifest.to_json().encode() if is_asked and self.manifest else await super().read(uri, limit)


class Dying(KubernetesCluster):
    """The real client; after its n-th write that the API server took, the process is killed."""

    def __init__(self, transport: Transport, kill_at: int | None) -> None:
        super().__init__(transport)
        self._left = kill_at

    async def create(self, obj: Obj) -> Obj:
        """See the port."""
        return self._count(await super().create(obj))

    async def patch(self, ref: Ref, body: Obj, **options: Any) -> Obj:
        """See the port."""
        return self._count(await super().patch(ref, body, **options))

    async def delete(self, ref: Ref, **options: Any) -> None:
        """See the port."""
        await super().delete(ref, **options)
        self._count({})

    def _count(self, answer: Obj) -> Obj:
        self._left = None if self._left is None else self._left - 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


async def _operate(kubeconfig: str, namespace: str, kill_at: int | None, manifest: Manifest | None) -> None:
    """Visit every pipeline and run of a namespace, again and again."""
    configuration = Configuration()
    await config.load_kube_config(kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call] # no types there
    cluster = Dying(Transport(ApiClient(configuration)), kill_at)
    artifacts, metadata = Published(manifest), FakeMetadata()
    settings = Config("localhost/operator:1", {}, "models", "http://minio:9000", data_locations=("s3://data/",))
    engines = {"job": JobEngine(cluster, artifacts, settings)}
    systems = Systems(cluster, engines, artifacts, cast("Any", None), metadata, settings)

    async def record(rows: Any) -> bool:
        await metadata.record(rows)
        return True

    rooms: tuple[Any, ...] = (TrainingPipelineRoom(), TrainingRunRoom())
    while True:
        for room in rooms:
            for obj in await cluster.list(room.kind, namespace):
                key = Ref(room.kind, namespace, obj["metadata"]["name"])
                try:
                    await Cycle(room, systems, cluster, record).run(key, datetime.now(UTC))  # noqa: TID251 - plays the core
                except ClusterError:
                    continue  # the next round looks again
        await asyncio.sleep(0.05)


def _main(kubeconfig: str, namespace: str, kill_at: int | None, manifest: Manifest | None) -> None:
    asyncio.run(_operate(kubeconfig, namespace, kill_at, manifest))


@dataclass
class Yard:
    """One namespace: objects by kubectl, the operator's process, and what the kubelet does with pods."""

    kubectl: Callable[..., str]
    kubeconfig: Path
    audit_log: Path
    namespace: str
    scripts: dict[str, list[kubelet.Moment]] = field(
        default_factory=lambda: {
            "train": [kubelet.running(), kubelet.exited(0)],
            "publish": [kubelet.running("publish"), kubelet.exited(0, container="publish")],
        }
    )
    manifest: Manifest | None = kubelet.MANIFEST
    _moments: dict[str, int] = field(default_factory=dict)
    _process: BaseProcess | None = None

    def start(self, kill_at: int | None = None) -> None:
        """Start the operator; it dies after its n-th write if asked to."""
        arguments = (str(self.kubeconfig), self.namespace, kill_at, self.manifest)
        self._process = multiprocessing.get_context("fork").Process(target=_main, args=arguments, daemon=True)
        self._process.start()

    def stop(self) -> None:
        """Kill the operator, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def until(self, what: str, probe: Callable[[], Any]) -> Any:
        """Play the kubelet until the probe gives something true. AssertionError with `what` after a while."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := probe()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: {json.dumps(self.those('trainingruns'), indent=1)}")
            self._tick()
        return found

    def has_died(self) -> bool:
        """Whether the operator's process has ended."""
        return self._process is not None and not self._process.is_alive()

    def apply(self, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        """Apply a manifest as a person."""
        meta = {"name": name, "namespace": self.namespace}
        manifest = {"apiVersion": naming.API_VERSION, "kind": kind, "metadata": meta, "spec": dict(spec)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def those(self, plural: str) -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        items: list[dict[str, Any]] = json.loads(self.kubectl("-n", self.namespace, "get", plural, "-o", "json"))[
            "items"
        ]
        return items

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object, {} where it is not there."""
        text = self.kubectl("-n", self.namespace, "get", kind, name, "-o", "json", "--ignore-not-found")
        return dict(json.loads(text)) if text else {}

    def ended(self, name: str) -> dict[str, Any]:
        """Return the run once it has ended, {} before."""
        run = self.get("trainingrun", name)
        return run if summary(run)[0] in ("True", "False") else {}

    def created(self, resource: str) -> list[str]:
        """Return the names of all objects of a resource that the API server ever made here, from its audit log."""
        entries = [json.loads(line) for line in self.audit_log.read_text().splitlines()]
        return [
            e["objectRef"].get("name", "?")
            for e in entries
            if e["verb"] == "create"
            and e["stage"] == "ResponseComplete"
            and e.get("responseStatus", {}).get("code") == 201
            and e["objectRef"].get("namespace") == self.namespace
            and e["objectRef"].get("resource") == resource
            and not e["objectRef"].get("subresource")
        ]

    def _tick(self) -> None:
        """Move every pod one moment on, as the kubelet tells it."""
        for pod in self.those("pods"):
            meta = pod["metadata"]
            script = self.scripts.get(meta["labels"].get(naming.LABEL_ROLE, ""), [])
            at = self._moments.get(meta["uid"], 0)
            if at >= len(script) or "deletionTimestamp" in meta:
                continue
            status = script[at](datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))  # noqa: TID251 - plays the kubelet
            for told in status.get("containerStatuses", ()):
                told |= {"image": "localhost/image:1", "ready": False, "restartCount": 0}
            patch = json.dumps({"status": status})
            where = ("-n", self.namespace, "patch", "pod", meta["name"], "--subresource", "status", "--type", "merge")
            try:
                self.kubectl(*where, "-p", patch)
            except AssertionError:
                continue  # the pod went away meanwhile
            self._moments[meta["uid"]] = at + 1
        time.sleep(0.05)


def summary(run: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return (status, reason, message) of a run's Succeeded."""
    conditions = run.get("status", {}).get("conditions", ())
    told: Mapping[str, Any] = next((c for c in conditions if c["type"] == "Succeeded"), {})
    return told.get("status", "Unknown"), told.get("reason", ""), told.get("message", "")

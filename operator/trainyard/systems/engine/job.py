"""The job engine: training as pods of batch/v1 Jobs, through the cluster's port.

Everything is created once, under names made from the run and its attempt, and found again by the engine identity in
a label. Wired in `wiring`; called by the TrainingRun's observe and act.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from trainyard.systems.artifacts.port import MANIFEST, ArtifactError, Artifacts, Manifest, parse_manifest
from trainyard.systems.bundle import Config
from trainyard.systems.cluster.port import (
    EVENT,
    JOB,
    KINDS,
    POD,
    AlreadyExists,
    Cluster,
    Forbidden,
    Invalid,
    Kind,
    NotFound,
    Obj,
    Ref,
    Unavailable,
)
from trainyard.systems.engine import job_objects, job_pods, job_state
from trainyard.systems.engine.job_parts import Part
from trainyard.systems.engine.port import Announce, EngineError, EngineState, Outputs, RunRequest, unannounced

MANIFEST_LIMIT = 8 * 2**20  # bytes; some 60,000 files
# Why a pod does not get to its containers; the other warnings stand in the pod's own status.
TELLING_EVENTS = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedCreate"})
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,12})?")

Children = tuple[tuple[Obj, ...], tuple[Obj, ...]]


class JobEngine:
    """Jobs in the run's own namespace."""

    def __init__(self, cluster: Cluster, artifacts: Artifacts, config: Config) -> None:
        self._cluster = cluster
        self._artifacts = artifacts
        self._config = config

    async def start(self, request: RunRequest, announce: Announce = unannounced) -> None:  # noqa: ARG002 - can be repeated
        """Create what the attempt needs next; see the port."""
        async with _as_engine_errors():
            jobs, pods = await self._children(request, live=True)
            if not jobs:
                for claim in job_objects.claims(request):
                    await self._create(claim, request)
                await self._create(job_objects.service(request), request)
                await self._create(job_objects.train_job(request, self._config), request)
            elif job_state.state(jobs, pods).due:
                await self._create(job_objects.publish_job(request, self._config), request)

    async def state(self, request: RunRequest) -> EngineState:
        """Read it from Jobs, pods and, where those give no reason, events; see the port."""
        async with _as_engine_errors():
            children = await self._children(request, live=False)
            if not any(children):  # nothing that follows from absence can be undone
                children = await self._children(request, live=True)
            found = job_state.state(*children)
            waits_quietly = found.waiting_since is not None and not found.reason
            return await self._with_event(found, request, children) if waits_quietly else found

    async def cancel(self, request: RunRequest) -> bool:
        """Delete the Jobs, and with them their pods; see the port."""
        async with _as_engine_errors():
            jobs, pods = await self._children(request, live=True)
            for job in jobs:
                await self._delete(JOB, job)
            for pod in () if jobs else pods:  # somebody deleted the Job and left its pods
                await self._delete(POD, pod)
            return not jobs and not pods

    async def outputs(self, request: RunRequest) -> Outputs | None:
        """Read the attempt's manifest; see the port."""
        try:
            text = await self._artifacts.read(request.output + MANIFEST, MANIFEST_LIMIT)
        except ArtifactError as error:
            raise EngineError("The artifact store does not answer.") from error
        manifest = _manifest(text)
        if manifest is None:
            return None
        async with _as_engine_errors():
            jobs, pods = await self._children(request, live=False)
        return _outputs(request, manifest, *job_state.parts(jobs, pods))

    async def _children(self, request: RunRequest, *, live: bool) -> Children:
        labels = job_objects.identity_labels(request)
        jobs = await self._cluster.list(JOB, request.namespace, labels, live=live)
        return jobs, await self._cluster.list(POD, request.namespace, labels, live=live)

    async def _create(self, obj: Obj, request: RunRequest) -> None:
        """Create, or find what an earlier call created; EngineError where the name belongs to something else."""
        try:
            await self._cluster.create(obj)
        except AlreadyExists:
            found = await self._cluster.get(_ref(obj), live=True)
            if found is not None and not _is_ours(found, request):
                kind, name = obj["kind"], obj["metadata"]["name"]
                raise EngineError(f"{kind} {name} exists and does not belong to this run.") from None

    async def _delete(self, kind: Kind, obj: Obj) -> None:
        meta = obj["metadata"]
        if "deletionTimestamp" not in meta:
            ref = Ref(kind, meta["namespace"], meta["name"])
            # In the foreground a Job stays until its pods are gone, so its absence means free accelerators.
            await self._cluster.delete(ref, uid=meta["uid"], propagation="Foreground" if kind == JOB else "Background")

    async def _with_event(self, state: EngineState, request: RunRequest, children: Children) -> EngineState:
        """Add what the newest telling event says. Events may not be readable: then nothing is added."""
        try:
            events = await self._cluster.list(EVENT, request.namespace, live=True)
        except (Forbidden, Unavailable):
            return state
        about = {obj["metadata"]["uid"] for objs in children for obj in objs}
        told = [e for e in events if e.get("reason") in TELLING_EVENTS and _about(e) in about]
        newest = max(told, key=_event_time, default=None)
        return state if newest is None else replace(state, message=job_pods.shortened(str(newest.get("message", ""))))


@asynccontextmanager
async def _as_engine_errors() -> AsyncIterator[None]:
    """Turn what the API server refuses or does not answer into the port's own error; conflicts pass."""
    try:
        yield
    except Unavailable as error:
        raise EngineError("The Kubernetes API does not answer.") from error
    except (Forbidden, Invalid, NotFound) as error:
        raise EngineError(job_pods.shortened(f"The Kubernetes API refuses: {error}")) from error


def _ref(rendered: Obj) -> Ref:
    kind = KINDS[(rendered["apiVersion"], rendered["kind"])]
    return Ref(kind, rendered["metadata"]["namespace"], rendered["metadata"]["name"])


def _is_ours(obj: Obj, request: RunRequest) -> bool:
    return any(owner.get("uid") == request.owner.uid for owner in obj["metadata"].get("ownerReferences") or ())


def _about(event: Obj) -> str:
    return str(event.get("involvedObject", {}).get("uid", ""))


def _event_time(event: Obj) -> tuple[str, str]:
    return str(event.get("lastTimestamp") or event.get("eventTime") or ""), str(event["metadata"]["name"])


def _manifest(text: bytes | None) -> Manifest | None:
    try:
        return None if text is None else parse_manifest(text)
    except ValueError:
        return None


def _outputs(request: RunRequest, manifest: Manifest, train: Part, publish: Part) -> Outputs:
    images = {job_pods.image_digest(pod, job_objects.TRAIN) for pod in train.pods} - {""}
    return Outputs(
        uri=request.output,
        digest=manifest.digest,
        format=manifest.format,
        size_bytes=manifest.size_bytes,
        metrics={name: value for name, value in manifest.metrics.items() if _DECIMAL.fullmatch(value)},
        image_digests=tuple(sorted(images)),
        datasets=_datasets(manifest.details),
        completed_at=job_state.publish_step(publish).completion_time,
    )


def _datasets(details: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    """Return the manifest's datasets that are told completely."""
    told = details.get("datasets")
    rows = [row for row in told if isinstance(row, Mapping)] if isinstance(told, list) else []
    fields = ("name", "uri", "digest")
    return tuple({f: str(row[f]) for f in fields} for row in rows if all(row.get(f) for f in fields))

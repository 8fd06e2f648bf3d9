"""Read what a decision about a Rollout needs: its objects, the versions of its model, and Prometheus when it is due.

Nothing here raises for what somebody else wrote: what cannot be read is left out, or becomes a sentence.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from trainyard import naming
from trainyard.resources.conditions import find
from trainyard.resources.model_version import ModelVersion
from trainyard.resources.rollout import AnalysisMetric, Rollout, RolloutStatus
from trainyard.rollout import analysis, progress, queries, revisions
from trainyard.rollout.known import Known
from trainyard.rollout.situation import available
from trainyard.rollout.state import Candidate, Measurement, Observed, Progress, Rival, Stored
from trainyard.rollout.times import parse
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    HTTP_ROUTE,
    MODEL_VERSION,
    POD,
    ROLLOUT,
    SERVICE,
    Kind,
    Obj,
    Ref,
)
from trainyard.systems.prometheus.port import Answer


@dataclass(frozen=True)
class Neighbours:
    """What this process made of the other objects that every Rollout looks at."""

    rivals: Known[Rival | None] = field(default_factory=lambda: Known(_rival))
    versions: Known[tuple[str, Candidate] | None] = field(default_factory=lambda: Known(_candidate))


async def observe(
    obj: Obj, systems: Systems, before: Progress | None, monotonic: float, neighbours: Neighbours
) -> Observed:
    """Read the Rollout's world. `before` is what the process remembers, `monotonic` its clock in seconds."""
    rollout, problem = read_rollout(obj)
    if rollout is None:
        return Observed(obj, None, problem, systems.config, monotonic)
    reader = _Reader(rollout, systems, neighbours)
    deployments = await reader.by_revision(DEPLOYMENT)
    return Observed(
        obj,
        rollout,
        "",
        systems.config,
        monotonic,
        versions=await reader.versions(),
        route=await reader.route(),
        deployments=deployments,
        services=await reader.by_revision(SERVICE),
        stored=await reader.stored(),
        pods=await reader.pods(deployments),
        rivals=await reader.rivals(),
        progress=before,
        measurement=await measure(rollout, systems, before, monotonic),
    )


def read_rollout(obj: Obj) -> tuple[Rollout | None, str]:
    """Parse the object; a status that cannot be read counts as lost."""
    try:
        return Rollout.model_validate({**obj, "status": _readable_status(obj)}), ""
    except ValidationError as error:
        return None, _sentence(error)


def _readable_status(obj: Obj) -> Any:
    try:
        return RolloutStatus.model_validate(obj.get("status") or {})
    except ValidationError:
        return RolloutStatus()


def _sentence(error: ValidationError) -> str:
    """Name the first field that is wrong, and how."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"[:500]


class _Reader:
    """Reads of one visit. In flight the pods' numbers and the route are live: weight follows. At the end all is."""

    def __init__(self, rollout: Rollout, systems: Systems, neighbours: Neighbours) -> None:
        self.rollout = rollout
        self.neighbours = neighbours
        self.cluster = systems.cluster
        self.namespace = rollout.metadata.namespace
        self.ending = rollout.metadata.deletion_timestamp is not None
        self.live = self.ending or rollout.status.canary is not None

    async def _mine(self, kind: Kind, more: Mapping[str, str] | None = None) -> tuple[Obj, ...]:
        labels = {**naming.MANAGED_BY, naming.LABEL_ROLLOUT: self.rollout.metadata.name, **(more or {})}
        live = self.live if kind == DEPLOYMENT else self.ending
        return await self.cluster.list(kind, self.namespace, labels, live=live)

    async def by_revision(self, kind: Kind) -> dict[str, Obj]:
        """Return our objects of a kind by their revision."""
        found = ((obj["metadata"].get("labels", {}).get(naming.LABEL_REVISION), obj) for obj in await self._mine(kind))
        return {str(revision): obj for revision, obj in found if revision}

    async def stored(self) -> dict[str, Stored]:
        """Return the kept revisions."""
        parsed = (revisions.parse_stored(obj) for obj in await self._mine(CONTROLLER_REVISION))
        return {stored.revision: stored for stored in parsed if stored}

    async def route(self) -> Obj | None:
        """Return the route of our name, whoever owns it."""
        return await self.cluster.get(Ref(HTTP_ROUTE, self.namespace, self.rollout.metadata.name), live=self.live)

    async def pods(self, deployments: Mapping[str, Obj]) -> dict[str, tuple[Obj, ...]]:
        """Return the pods of the revisions that lack some: they tell why."""
        short = [r for r, d in deployments.items() if available(d) < int(d.get("spec", {}).get("replicas", 1))]
        return {r: await self._mine(POD, {naming.LABEL_REVISION: r}) for r in sorted(short)}

    async def versions(self) -> tuple[Candidate, ...]:
        """Return the versions of the model; what cannot be read is left out."""
        objects = await self.cluster.list(MODEL_VERSION, self.namespace)
        found = self.neighbours.versions.of(self.namespace, objects).values()
        return tuple(of_model[1] for of_model in found if of_model and of_model[0] == self.rollout.spec.model)

    async def rivals(self) -> tuple[Rival, ...]:
        """Return the other Rollouts of the namespace."""
        found = self.neighbours.rivals.of(self.namespace, await self.cluster.list(ROLLOUT, self.namespace))
        return tuple(rival for uid, rival in found.items() if rival and uid != self.rollout.metadata.uid)


def _version(obj: Obj) -> ModelVersion | None:
    try:
        return ModelVersion.model_validate({**obj, "status": obj.get("status") or {}})
    except ValidationError:
        return None


def _candidate(obj: Obj) -> tuple[str, Candidate] | None:
    """Return a version with its model's name, None where it cannot be read."""
    version = _version(obj)
    if version is None:
        return None
    ready = find(version.status.conditions, "Ready")
    is_ready = ready is not None and ready.status == "True" and version.metadata.deletion_timestamp is None
    why = "it is being deleted" if version.metadata.deletion_timestamp else ready.reason if ready else "not judged yet"
    return version.spec.model, Candidate(
        version.metadata.name,
        version.spec.artifact.uri,
        version.spec.artifact.digest,
        version.spec.source.run,
        version.spec.created_at,
        is_ready,
        "" if is_ready else why,
    )


def _rival(obj: Obj) -> Rival | None:
    rollout, _ = read_rollout(obj)
    target = rollout.spec.target.kubernetes if rollout else None
    if rollout is None or target is None:
        return None
    meta, traffic = rollout.metadata, target.traffic
    return Rival(
        meta.name,
        meta.creation_timestamp or "",
        traffic.hostnames,
        traffic.path,
        tuple((p.namespace or meta.namespace, p.name) for p in traffic.parent_refs),
        meta.deletion_timestamp is not None,
    )


async def measure(rollout: Rollout, systems: Systems, before: Progress | None, monotonic: float) -> Measurement | None:
    """Ask Prometheus for the interval that is due, None where none is: every query at the same instant."""
    status, spec, config = rollout.status, rollout.spec.analysis, systems.config
    started = parse(status.step_started_time)
    slot = progress.due(rollout, status, before, monotonic, config.scrape_interval_seconds)
    if slot is None or started is None or status.canary is None or status.stable is None:
        return None
    at = analysis.instant(started, slot, spec.interval_seconds).astimezone(UTC)
    asking = _Asking(rollout, systems, at)
    seconds = int((at - started).total_seconds())
    requests = queries.requests_since(*asking.whose, asking.revisions, seconds)
    answers = await asyncio.gather(asking.ask(requests), *(asking.metric(m) for m in spec.metrics))
    first, *pairs = answers
    named = {m.name: pair for m, pair in zip(spec.metrics, pairs, strict=True) if isinstance(pair, tuple)}
    return Measurement(slot, at, first if isinstance(first, Answer) else Answer(failure="not asked"), named)


class _Asking:
    """Queries of one interval."""

    def __init__(self, rollout: Rollout, systems: Systems, at: datetime) -> None:
        self.rollout = rollout
        self.prometheus = systems.prometheus
        self.at = at
        self.window = analysis.window_seconds(rollout.spec.analysis, systems.config.scrape_interval_seconds)
        self.whose = (rollout.metadata.namespace, rollout.metadata.name)
        roles = (rollout.status.canary, rollout.status.stable)
        self.revisions = tuple(r.revision for r in roles if r)

    async def ask(self, query: str) -> Answer:
        return await self.prometheus.query(query, self.at)

    async def metric(self, metric: AnalysisMetric) -> tuple[Answer, Answer]:
        """Return the canary's answer and stable's; a built-in metric asks for both at once."""
        if metric.builtin:
            answer = await self.ask(queries.builtin(metric.builtin, *self.whose, self.revisions, self.window))
            return answer, answer
        compared = any(getattr(metric, name) is not None for name in analysis.COMPARED)
        ours = await self._custom(metric, 0)
        return ours, await self._custom(metric, 1) if compared else ours

    async def _custom(self, metric: AnalysisMetric, role: int) -> Answer:
        canary, stable = self.rollout.status.canary, self.rollout.status.stable
        shown = (canary, stable)[role]
        if shown is None or stable is None:
            return Answer(failure="there is no such revision")
        values = {
            "rollout": self.whose[1],
            "namespace": self.whose[0],
            "revision": shown.revision,
            "version": shown.version,
            "stableRevision": stable.revision,
            "window": f"{self.window}s",
        }
        try:
            return await self.ask(queries.custom(metric.query or "", values, self.whose[0]))
        except queries.QueryRefused as refused:
            return Answer(unusable=str(refused))

"""Made objects for the tests of the Rollout's pure rooms."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.golden.rollout.manifests import CONFIG, TARGET
from tests.golden.rollout.manifests import rollout as manifest
from tests.golden.rollout.world import World
from trainyard import naming
from trainyard.resources.rollout import RevisionStatus, Rollout, RolloutStatus, Serving
from trainyard.rollout import rendering, revisions
from trainyard.rollout.progress import advanced
from trainyard.rollout.situation import Situation
from trainyard.rollout.state import Candidate, Observed

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
OLD = "2026-11-24T05:00:00Z"


def candidate(name: str, minute: int = 1, ready: bool = True, why: str = "") -> Candidate:
    digest = naming.digest(name)
    created = f"2026-11-24T05:{minute:02d}:00Z"
    return Candidate(name, f"s3://models/team/churn/{name}/", digest, None, created, ready, why)


def revision(name: str) -> RevisionStatus:
    return revisions.revision_of(candidate(name), Serving(replicas=2))


def rollout(uid: str = "uid-1", **spec: Any) -> Rollout:
    obj = manifest(**spec)
    meta = {**obj["metadata"], "uid": uid, "creationTimestamp": OLD, "finalizers": [naming.FINALIZER]}
    return Rollout.model_validate({**obj, "metadata": meta})


def serving(**fields: Any) -> dict[str, Any]:
    return {"kubernetes": {**TARGET["kubernetes"], "serving": {"replicas": 2, **fields}}}


def pod_template(**fields: Any) -> dict[str, Any]:
    made = rollout(target=serving(**fields))
    stored = rendering.revision_object(made, revision("v1"), candidate("v1"), CONFIG, 1)
    template: dict[str, Any] = stored["data"]["deployment"]["spec"]["template"]
    return template


def situation(
    status: dict[str, Any] | None = None,
    later: timedelta = timedelta(),
    spec: dict[str, Any] | None = None,
    **seen: Any,
) -> Situation:
    """A situation at NOW + later, with this status over an empty one and these observations."""
    made = rollout(**(spec or {}))
    told = RolloutStatus(**(status or {}))
    observed = Observed({"metadata": {"generation": 1}}, made, "", CONFIG, 100.0, **seen)
    now = NOW + later
    return Situation(observed, made, told, now, advanced(made, told, observed, now))


def told(w: World, kind: str) -> tuple[str, str]:
    """Status and reason of a condition."""
    found = w.condition(kind)
    return found["status"], found["reason"]


def events(w: World) -> list[str]:
    """The reasons of the events so far."""
    return [line.split("event     ")[1].split(":")[0] for line in w.lines if " event " in line]

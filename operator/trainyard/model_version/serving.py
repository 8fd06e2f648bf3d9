"""What the namespace's Rollouts do with a version: who serves it, who rejected it. Pure. Used by `observe`."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from trainyard.model_version.state import Serving
from trainyard.resources.base import ObjectMeta
from trainyard.resources.model_version import Rejection
from trainyard.resources.rollout import HistoryEntry, RolloutStatus

LIMIT = 50  # what the status's lists hold


def serving_of(version: str, rollouts: Iterable[Mapping[str, Any]]) -> Serving:
    """Look for the version in each Rollout's status; a Rollout whose status cannot be read is passed over."""
    served: list[str] = []
    rejections: dict[tuple[str, str], Rejection] = {}
    for rollout in rollouts:
        name = ObjectMeta.model_validate(rollout["metadata"]).name
        status = _status(rollout)
        if version in {r.version for r in (status.stable, status.canary) if r}:
            served.append(name)
        for entry in status.history:
            if entry.version == version and entry.outcome == "Aborted":
                rejections.setdefault((name, entry.revision), _rejection(name, entry))
    return Serving(tuple(sorted(served)[:LIMIT]), tuple(rejections[key] for key in sorted(rejections))[:LIMIT])


def _rejection(rollout: str, entry: HistoryEntry) -> Rejection:
    return Rejection(rollout=rollout, revision=entry.revision, reason=entry.message[:256])


def _status(rollout: Mapping[str, Any]) -> RolloutStatus:
    try:
        return RolloutStatus.model_validate(rollout.get("status") or {})
    except ValidationError:
        return RolloutStatus()

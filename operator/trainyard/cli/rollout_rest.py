"""Whether a Rollout that is watched has come to rest, and what that means to a script. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from trainyard.cli import problem
from trainyard.cli.objects import Obj, at, condition, said

# The spec asks for something that may still come; all other refusals are for a person to mend.
MAY_COME = frozenset({"NoVersion", "VersionNotReady", "VersionNotFound"})
PERSONAL = frozenset({"Requested", "WaitsForPromotion"})  # reasons of Paused that only a person ends
BACK = frozenset({"RolledBack", "Superseded"})


class Until(StrEnum):
    """What is waited for."""

    PROMOTED = "promoted"
    SETTLED = "settled"


@dataclass(frozen=True)
class Rest:
    """How a Rollout stands where nothing moves any more: the exit status, and a sentence."""

    status: int
    sentence: str


def rest(rollout: Obj, until: Until, begun: str = "") -> Rest | None:
    """Return how it came to rest, None while something is on its way or may come.

    begun: the revision that was the canary while it was watched, "" where none was seen.
    """
    if at(rollout, "status.observedGeneration", 0) != at(rollout, "metadata.generation", 1):
        return None
    accepted = condition(rollout, "Accepted")
    if accepted.get("status") == "False":
        return _refused(rollout, until)
    if at(rollout, "status.canary", None) or condition(rollout, "Reconciling").get("status") != "False":
        return _held(rollout) if until is Until.SETTLED else None
    return _ended(rollout, begun)


def _refused(rollout: Obj, until: Until) -> Rest | None:
    may_come = condition(rollout, "Accepted").get("reason") in MAY_COME
    if may_come and until is Until.PROMOTED:
        return None
    status = problem.ROLLOUT_WAITS if may_come else problem.ROLLOUT_REJECTED
    return Rest(status, f"not accepted: {said(rollout, 'Accepted')}")


def _held(rollout: Obj) -> Rest | None:
    """Tell that only a person can make it go on."""
    paused, moving = condition(rollout, "Paused"), condition(rollout, "Reconciling")
    by_person = paused.get("status") == "True" and paused.get("reason") in PERSONAL
    if not by_person and not str(moving.get("message", "")).startswith("waits for a person"):
        return None
    return Rest(problem.ROLLOUT_WAITS, str(moving.get("message") or said(rollout, "Paused")))


def _ended(rollout: Obj, begun: str) -> Rest | None:
    ready, degraded = condition(rollout, "Ready"), condition(rollout, "Degraded")
    if degraded.get("status") == "True":
        return Rest(problem.ROLLOUT_REJECTED, said(rollout, "Degraded"))
    last = next((h for h in at(rollout, "status.history", ()) if h["revision"] == begun), None)
    if last is not None and last["outcome"] in BACK:
        return Rest(problem.ROLLOUT_BACK, f"{last['outcome']}: {last.get('message', '')}")
    if ready.get("status") != "True":
        return None
    return Rest(0, f"{at(rollout, 'status.stable.version')} has all traffic")

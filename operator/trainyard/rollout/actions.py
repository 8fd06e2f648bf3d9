"""What a person asks for by `spec.action`: done once per id, or refused with an event where it no longer fits. Pure."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from trainyard.reconciling.plan import Action, Note
from trainyard.resources.rollout import UserAction
from trainyard.resources.rollout_status import ActionResult
from trainyard.rollout import history, promotion, revisions, steps
from trainyard.rollout.moves import Move
from trainyard.rollout.situation import Situation
from trainyard.rollout.state import MarkRevision
from trainyard.systems.cluster.port import CONTROLLER_REVISION, Ref

FORWARD = ("Promote", "PromoteFull")  # what a person or a freeze window can hold back


def answer(s: Situation) -> Move | None:
    """Return the move that a waiting action asks for; None where there is none, or it waits for its time."""
    action = s.action
    if action is None or (s.spec.paused and action.kind in FORWARD) or _is_early(s, action):
        return None
    if s.frozen and action.kind in FORWARD:
        return _frozen(s, action)
    return _VERBS[action.kind](s, action) or _stale(s, action)


def _is_early(s: Situation, action: UserAction) -> bool:
    """Whether what is to be tried again is on its way back still: it is rejected once more when it has gone."""
    ending = s.status.ending
    if action.kind != "Retry" or s.canary is None or ending is None or ending.outcome not in revisions.REJECTED:
        return False
    _, version = _to_retry(s, action)
    return version == s.canary.version


def _fits(s: Situation, action: UserAction) -> bool:
    """Whether the action speaks of the canary and the step that are running."""
    return _is_named(s, action) and s.stable is not None and not s.is_going_back


def _is_named(s: Situation, action: UserAction) -> bool:
    named = s.canary is not None and action.revision in (None, s.canary.revision)
    return named and action.step in (None, s.status.step)


def _abort(s: Situation, action: UserAction) -> Move | None:
    if not _fits(s, action):
        return None
    message = f"aborted by {_who(s, action)}"
    return promotion.go_back(s, "Aborted", message, action.by, **_answered(s, action, "Done"))


def _promote(s: Situation, action: UserAction) -> Move | None:
    """Go past a step that lasts, or past measurements that hold; not while a weight is on its way."""
    held = steps.lasts(s.steps, s.step) or s.progress.held_since is not None
    if not _fits(s, action) or s.status.ending or not s.is_routed or not held:
        return None
    move = promotion.go_on(s, action.by, **_answered(s, action, "Done"))
    revision, step = s.canary.revision if s.canary else "", s.status.step
    message = f"{_who(s, action)} let revision {revision} go on past step {step}"
    rows = (history.row("StepPassed", s.canary, step=step, by=action.by),) if s.canary else ()
    return replace(move, rows=(*rows, *move.rows), notes=(Note("StepPassed", message, action.id), *move.notes))


def _promote_full(s: Situation, action: UserAction) -> Move | None:
    if not _fits(s, action) or (s.status.ending and s.status.ending.outcome == "FastPromoted"):
        return None
    message = f"promoted by {_who(s, action)}"
    return promotion.to_the_end(s, message, action.by, **_answered(s, action, "Done"))


def _retry(s: Situation, action: UserAction) -> Move | None:
    """Forget the rejections of a revision's version: the one named, or the one that is wanted."""
    revision, version = _to_retry(s, action)
    if revision not in revisions.rejected(s.status, s.seen.stored):
        return None
    kept = s.seen.stored.get(revision)
    freed = {revision} | {r for r, k in s.seen.stored.items() if k.version == version}
    rejected = tuple(r for r in s.status.rejected if r not in freed)
    meant = s.status.model_copy(update={"rejected": rejected, **_answered(s, action, "Done")})
    rows = (history.row("Retried", revisions.status_of(kept), by=action.by),) if kept else ()
    note = Note("Retried", f"{_who(s, action)} lets revision {revision} be tried again", action.id)
    return Move(meant, _unmark(s, freed), rows=rows, notes=(note,), again=0.0)


def _to_retry(s: Situation, action: UserAction) -> tuple[str, str]:
    """Return the revision that is to be tried again and its version, "" where that is not known."""
    refused = s.wanted.refused
    revision = action.revision or (refused.revision if refused else "")
    kept = s.seen.stored.get(revision)
    return revision, kept.version if kept else refused.version if refused and refused.revision == revision else ""


def _unmark(s: Situation, freed: set[str]) -> tuple[Action, ...]:
    marked = [k.obj["metadata"] for r, k in sorted(s.seen.stored.items()) if r in freed and k.outcome]
    return tuple(MarkRevision(Ref(CONTROLLER_REVISION, m["namespace"], m["name"]), "") for m in marked)


def _stale(s: Situation, action: UserAction) -> Move:
    """Say that the action does not fit what is running, once."""
    asked = ", ".join(f"{k} {v}" for k, v in (("revision", action.revision), ("step", action.step)) if v is not None)
    message = f"{action.kind}{f' for {asked}' if asked else ''} is ignored: {_why_stale(s, action)}"
    meant = s.status.model_copy(update=_answered(s, action, "Stale"))
    return Move(meant, notes=(Note("ActionStale", message, action.id, "Warning"),))


def _why_stale(s: Situation, action: UserAction) -> str:
    """Say what there is instead of what the action speaks of, or what is in its way."""
    if action.kind == "Retry":
        return "it was not rejected" if action.revision else "nothing that is wanted was rejected"
    if s.canary is None:
        return "there is no canary"
    about = f"revision {s.canary.revision}"
    return _in_the_way(s, about) if _is_named(s, action) else f"there is {about}, step {s.status.step}"


def _in_the_way(s: Situation, about: str) -> str:
    """Say why a canary can do nothing of what is asked, though it is the one that was meant."""
    if s.stable is None:
        return f"{about} is the first version, there is nothing beside it"
    if s.is_going_back:
        return f"{about} is on its way back"
    if s.status.ending or not s.is_routed:
        return f"the weight of {about} is on its way"
    return f"step {s.status.step} waits for nobody"


def _frozen(s: Situation, action: UserAction) -> Move:
    """Say that a freeze window holds. It is not kept for later: by then the person may not be there."""
    message = f"{action.kind} is ignored: freeze window {s.frozen} holds; without it in spec.freeze, ask again"
    meant = s.status.model_copy(update=_answered(s, action, "Frozen"))
    return Move(meant, notes=(Note("ActionFrozen", message, action.id, "Warning"),))


def _answered(s: Situation, action: UserAction, result: ActionResult) -> dict[str, Any]:
    return history.with_answer(s.status, action, result, s.at)


def _who(s: Situation, action: UserAction) -> str:
    """Name who asks; where no policy of the API server checks it, it is what they claim."""
    proven = s.seen.config.proven_actions
    return (action.by if proven else f"{action.by} (as claimed)") if action.by else "a person"


_VERBS: dict[str, Callable[[Situation, UserAction], Move | None]] = {
    "Abort": _abort,
    "Promote": _promote,
    "PromoteFull": _promote_full,
    "Retry": _retry,
}

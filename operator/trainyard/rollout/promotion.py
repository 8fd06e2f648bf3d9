"""How a canary goes on and how it ends: the next step, promotion, the way back; each as one move. Pure."""

from typing import Literal

from trainyard.reconciling.plan import Action, Note, WriteStatus
from trainyard.resources.rollout import Ending, Outcome, RevisionStatus
from trainyard.rollout import converging, history, steps
from trainyard.rollout.moves import Move
from trainyard.rollout.revisions import REJECTED
from trainyard.rollout.situation import Situation
from trainyard.rollout.state import Intend, MarkRevision
from trainyard.rollout.times import stamp_up
from trainyard.systems.cluster.port import CONTROLLER_REVISION, Ref

# Numbers that every step begins anew.
NEW_STEP = {"counted_seconds": 0, "passed": 0, "held_since": None, "last_interval": None}
# Why a revision needs no steps.
BACK = "back to what was stable lately (rollbackWindow)"
# Cleared when a canary begins and when it ends.
NO_CANARY = {
    "canary": None,
    "weight": 0,
    "routed_weight": None,
    "step": None,
    "steps_digest": None,
    "ladder": (),
    "restarted_from": None,
    "step_started_time": None,
    "canary_started_time": None,
    "ending": None,
    "unavailable_since": None,
    "observed_share": None,
    "metrics": (),
} | NEW_STEP


def begin(s: Situation, revision: RevisionStatus) -> Move:
    """Begin a canary at its first step, and make its objects; they move no traffic, so what the stores say will do.

    The first version ever, and one that was stable lately, go straight up.
    """
    first, back = s.stable is None, s.is_wanted_back
    straight = first or back or not s.steps
    started = stamp_up(s.now)
    meant = s.thinking_of(
        **NO_CANARY
        | {
            "canary": revision,
            "weight": 100 if straight else steps.weight_at(s.steps, 0),
            "routed_weight": 0,
            "step": None if first else len(s.steps) if straight else 0,
            "steps_digest": steps.ladder_digest(s.steps),
            "ladder": steps.ladder(s.steps),
            "step_started_time": started,
            "canary_started_time": s.at,
            "unavailable_since": s.at,
            "ending": Ending(outcome="Promoted", message=BACK if back else "") if straight else None,
        }
    )
    message = f"revision {revision.revision} of version {revision.version} begins{f'; {BACK}' if back else ''}"
    return Move(
        meant.status,
        converging.objects_to_apply(meant),
        intent=WriteStatus,
        rows=(history.row("Started", revision, weight=meant.status.weight),),
        notes=(Note("RolloutStarted", message, f"{revision.revision}/{s.at}"),),
    )


def go_on(s: Situation, by: str = "", **more: object) -> Move:
    """Go to the next step; after the last one all traffic follows. A changed weight is an intent. by: who asked."""
    following = s.step + 1
    over = following >= len(s.steps)
    weight = steps.weight_at(s.steps, following)
    changes: dict[str, object] = {
        "step": following,
        "weight": weight,
        "step_started_time": stamp_up(s.now),
        "unavailable_since": None,
        "metrics": s.progress.metrics,
        "observed_share": s.progress.share,
        "ending": Ending(outcome="Promoted", by=by) if over else None,
    }
    return _intend(s, NEW_STEP | changes | more)


def to_the_end(s: Situation, message: str, by: str, **more: object) -> Move:
    """Give the canary all traffic without any further step or measurement. by: who asked."""
    changes: dict[str, object] = {
        "step": len(s.steps),
        "weight": 100,
        "step_started_time": stamp_up(s.now),
        "unavailable_since": None,
        "ending": Ending(outcome="FastPromoted", message=message, by=by),
    }
    return _intend(s, NEW_STEP | changes | more)


def to_weight(s: Situation, weight: int, notes: tuple[Note, ...] = (), **more: object) -> Move:
    """Change the weight within the running step."""
    return _intend(s, {"weight": weight, "step_started_time": stamp_up(s.now)} | more, notes)


def _intend(s: Situation, changes: dict[str, object], notes: tuple[Note, ...] = ()) -> Move:
    """Write the intent first, and what it allows right after it."""
    meant = s.thinking_of(**changes)
    if not meant.is_canary_ready and meant.status.unavailable_since is None:
        meant = meant.thinking_of(unavailable_since=s.at)
    actions = converging.differences(meant) if meant.status.weight != s.status.weight else ()
    return Move(meant.status, actions, intent=Intend if meant.status.weight != s.status.weight else None, notes=notes)


def go_back(s: Situation, outcome: Outcome, message: str, by: str = "", **more: object) -> Move:
    """Begin the canary's end: weight 0 at once; a rejection is marked where a lost status cannot take it away.

    by: who asked for it, "" where nobody did.
    """
    changes: dict[str, object] = {
        "weight": 0,
        "ending": Ending(outcome=outcome, message=message[:512], by=by),
        "metrics": s.progress.metrics,
        "observed_share": s.progress.share,
    }
    meant = s.thinking_of(**(changes | more))
    shift = converging.route_to_apply(meant)
    actions: tuple[Action, ...] = (shift,) if shift else ()
    return Move(meant.status, actions + _mark(meant), intent=Intend)


def _mark(s: Situation) -> tuple[Action, ...]:
    """Return the mark of a rejected revision, where it does not stand there yet."""
    canary, ending = s.canary, s.status.ending
    kept = s.seen.stored.get(canary.revision) if canary else None
    if kept is None or ending is None or ending.outcome not in REJECTED or kept.outcome == ending.outcome:
        return ()
    meta = kept.obj["metadata"]
    return (MarkRevision(Ref(CONTROLLER_REVISION, meta["namespace"], meta["name"]), ending.outcome),)


def gone_back(s: Situation, canary: RevisionStatus, ending: Ending) -> Move:
    """Close a canary whose weight was read back as 0."""
    told = history.entry(s, canary, ending.outcome, ending.message, ending.by)
    rejected = ending.outcome in REJECTED
    meant = s.status.model_copy(
        update=NO_CANARY
        | {
            "history": history.with_entry(s.status, told),
            "rejected": history.with_rejected(s.status, canary.revision) if rejected else s.status.rejected,
            "weightless_since": s.at,
            "metrics": s.status.metrics if rejected else (),
        }
    )
    row = history.row(ending.outcome, canary, reason=ending.message, **history.asked(ending.by), **_numbers(s))
    message = f"version {canary.version} (revision {canary.revision}): {ending.message}"
    kind: Literal["Normal", "Warning"] = "Warning" if rejected else "Normal"
    note = Note(ending.outcome, message, _transition(s, canary), kind)
    return Move(meant, _mark(s), rows=(row,), notes=(note,))


def promoted(s: Situation, canary: RevisionStatus, ending: Ending | None) -> Move:
    """Make the canary stable: all traffic was read back."""
    outcome: Outcome = ending.outcome if ending else "Promoted"
    message = ending.message if ending and ending.message else "all steps passed" if s.stable else "the first version"
    by = ending.by if ending else ""
    meant = s.status.model_copy(
        update=NO_CANARY
        | {
            "stable": canary,
            "history": history.with_entry(s.status, history.entry(s, canary, outcome, message, by)),
            "weightless_since": s.at,
        }
    )
    row = history.row(outcome, canary, reason=message, **history.asked(by), **_numbers(s))
    text = f"version {canary.version} (revision {canary.revision}) has all traffic"
    return Move(meant, rows=(row,), notes=(Note(outcome, text, _transition(s, canary)),))


def _transition(s: Situation, canary: RevisionStatus) -> str:
    """Name this canary of a revision: the same revision may come again."""
    return f"{canary.revision}/{s.status.canary_started_time}"


def weight_set(s: Situation, canary: RevisionStatus) -> Move:
    """Close a change of weight that was read back; a pause or a measurement that follows begins now."""
    at_step = s.status.weight == s.step_weight
    goes_on = at_step and not steps.lasts(s.steps, s.step) and steps.lasts(s.steps, s.step + 1)
    step = s.step + 1 if goes_on else s.step
    changes: dict[str, object] = {
        "routed_weight": s.status.weight,
        "step": step,
        "step_started_time": stamp_up(s.now),
        "unavailable_since": None if s.is_first_ready else s.status.unavailable_since,
    }
    meant = s.status.model_copy(update=NEW_STEP | changes)
    row = history.row("WeightSet", canary, weight=s.status.weight, step=s.status.step)
    message = f"weight of revision {canary.revision} is {s.status.weight} %"
    note = Note("WeightSet", message, f"{s.status.canary_started_time}/{s.status.step}/{s.status.step_started_time}")
    return Move(meant, rows=(row,), notes=(note,))


def _numbers(s: Situation) -> dict[str, object]:
    """Return what was measured last, for the record."""
    metrics = {m.name: {"verdict": m.verdict, "value": m.value, "failures": m.failures} for m in s.status.metrics}
    samples = max((m.samples for m in s.status.metrics), default=0)
    return {"weight": s.status.weight, "step": s.status.step, "samples": samples, "metrics": metrics}

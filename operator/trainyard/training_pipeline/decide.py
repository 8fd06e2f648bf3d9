"""What to do about a TrainingPipeline now: which runs are due, and with what. Pure and total.

First the gates, which stop every trigger; then each trigger has its turn (`by_change`, `by_schedule`, `by_event`), in
an order that lets what is due longest start first; then their answers become one plan. Every accepted pipeline has its
revision kept before any run names it, and its history pruned.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from trainyard.reconciling.plan import Note, Plan
from trainyard.resources.pipeline_revision import is_named_by_content
from trainyard.resources.triggers import EventTriggerStatus, ScheduleStatus
from trainyard.training_pipeline import (
    by_change,
    by_event,
    by_schedule,
    children,
    parameters,
    pruning,
    reasons,
    status,
    watermarks,
)
from trainyard.training_pipeline.package import LOOK_AGAIN_SECONDS
from trainyard.training_pipeline.state import CreateRevision, DeleteRun, Observed
from trainyard.training_pipeline.turn import AGAIN_SECONDS, Situation, Turn

EVENT_TRIGGERS = 32  # entries of status.events
NEVER = "9999"  # sorts after every slot

# What the pipeline as a whole says, when its triggers say several things: the first of these.
PRECEDENCE = (
    reasons.INVALID_TRIGGER,
    reasons.NAME_CONFLICT,
    reasons.PARAMETER_WITHOUT_VALUE,
    reasons.REPLACING,
    reasons.WAITING_FOR_NAME,
    reasons.WAITING_FOR_RUN,
    reasons.SUSPENDED,
    reasons.UP_TO_DATE,
    reasons.WAITING_FOR_TRIGGER,
    reasons.MANUAL,
)

Gate = Callable[[Situation], Plan | None]


def decide(seen: Observed, now: datetime) -> Plan:
    """Return what is to be done."""
    if seen.meta.deletion_timestamp is not None:
        return Plan()  # runs and revisions go by their owner references
    if seen.pipeline is None:
        return Plan(status=status.refused(seen, now, reasons.UNREADABLE, seen.problem))
    sit = Situation(seen, seen.pipeline, now)
    stopped = (plan for gate in GATES if (plan := gate(sit)) is not None)
    plan = next(stopped, None) or together(sit, turns(sit))
    plan = replace(plan, notes=(*plan.notes, *_warnings(seen)))
    return _looking_again(plan) if _changes_unseen(seen) else plan


def refuse_package(sit: Situation) -> Plan | None:
    """The Kubeflow package is missing or cannot be run: heals by itself."""
    seen = sit.seen
    if not seen.package_reason:
        return None
    return Plan(status=status.refused(seen, sit.now, seen.package_reason, seen.package_problem))


def refuse_parameters(sit: Situation) -> Plan | None:
    """A default is not of its declared type."""
    problem = parameters.problem(sit.pipeline.spec.parameters)
    return Plan(status=status.refused(sit.seen, sit.now, reasons.INVALID_PARAMETERS, problem)) if problem else None


def refuse_foreign_revision(sit: Situation) -> Plan | None:
    """The revision's name is held by other content."""
    name, kept = children.revision_name(sit.pipeline), sit.seen.revision
    if kept is None or is_named_by_content(sit.pipeline.metadata.name, name, kept):
        return None
    return Plan(status=status.standing(sit.seen, sit.now, reasons.REVISION_CONFLICT), revisit_after=AGAIN_SECONDS)


GATES: tuple[Gate, ...] = (refuse_package, refuse_parameters, refuse_foreign_revision)


def turns(sit: Situation) -> tuple[Turn, ...]:
    """Let every trigger answer; with concurrency Forbid the first that starts a run leaves none to the others."""
    triggers, before = sit.pipeline.spec.triggers, {s.name: s.next for s in sit.seen.before.schedules}
    found = [by_change.turn(sit)]
    for schedule in sorted(triggers.schedules, key=lambda s: (before.get(s.name) or NEVER, s.name)):
        found.append(by_schedule.turn(replace(sit, started=any(t.starts for t in found)), schedule))
    found += [by_event.turn(sit, trigger) for trigger in triggers.events]
    replacing = by_event.replacing(sit)
    return (*found, replacing) if replacing else tuple(found)


def together(sit: Situation, found: Sequence[Turn]) -> Plan:
    """Make one plan of the triggers' answers."""
    seen = sit.seen
    reason = min((t.reason for t in found), key=PRECEDENCE.index)
    digest = found[0].digest
    wakes = [t.revisit_after for t in found if t.revisit_after is not None]
    keep = () if seen.revision is not None else (CreateRevision(children.revision(sit.pipeline)),)
    return Plan(
        actions=(*keep, *(a for t in found for a in t.actions), *_prune(sit, digest)),
        status=status.standing(
            seen,
            sit.now,
            reason,
            _sentences(found, reason),
            mistakes=_sentences(found, reasons.INVALID_TRIGGER),
            revision=children.revision_name(sit.pipeline),
            last_inputs_digest=digest,
            **_stands(sit, found),
        ),
        notes=tuple(n for t in found for n in t.notes),
        revisit_after=min(wakes, default=None),
    )


def _sentences(found: Sequence[Turn], reason: str) -> str:
    return " ".join(dict.fromkeys(t.message for t in found if t.reason == reason and t.message))


def _stands(sit: Situation, found: Sequence[Turn]) -> dict[str, Any]:
    """Return where schedules and event triggers stand: the schedule that is next first, for it is what is printed.

    An event trigger that was taken out keeps its entry while there is room: it may come back.
    """
    schedules: list[ScheduleStatus] = [t.schedule for t in found if t.schedule is not None]
    events: list[EventTriggerStatus] = [t.event for t in found if t.event is not None]
    names = {e.name for e in events}
    gone = [e for e in sit.seen.before.events if e.name not in names]
    return {
        "schedules": tuple(sorted(schedules, key=lambda s: (s.next or NEVER, s.name))),
        "events": tuple([*events, *gone][:EVENT_TRIGGERS]),
    }


def _prune(sit: Situation, digest: str | None) -> tuple[DeleteRun, ...]:
    seen, spec = sit.seen, sit.pipeline.spec
    marks = watermarks.kept(seen.runs, spec.triggers, seen.before, digest)
    gone = pruning.superfluous(seen.runs, spec.history, seen.sources | marks, sit.now)
    return tuple(DeleteRun(r.metadata.name, r.metadata.uid) for r in gone)


def _warnings(seen: Observed) -> tuple[Note, ...]:
    """Say once that proofs cannot be checked."""
    told = [c for c in status.triggers_ready(seen) if c.status == "False"]
    before = {(c.type, c.reason, c.message) for c in seen.before.conditions}
    return tuple(
        Note(c.reason, c.message, "triggers", "Warning") for c in told if (c.type, c.reason, c.message) not in before
    )


def _changes_unseen(seen: Observed) -> bool:
    """Whether something may change of which nobody tells: a package elsewhere, a Secret that is to be mended."""
    return seen.package_elsewhere or any(reason for reason, _ in seen.secrets.values())


def _looking_again(plan: Plan) -> Plan:
    """Come again soon."""
    return replace(plan, revisit_after=min(plan.revisit_after or LOOK_AGAIN_SECONDS, LOOK_AGAIN_SECONDS))

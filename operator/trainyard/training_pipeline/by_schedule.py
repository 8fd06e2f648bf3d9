"""One schedule: a run for each of its slots, once. Pure and total.

Where it stands is `next`, the armed slot, in status. It is due when its minute has come, and stays armed until it has
its run or its deadline is over, whatever is edited meanwhile; of several that have passed only the latest counts.
Words count from when they are seen: neither a new schedule nor new words reach into the past.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from trainyard import cron
from trainyard.cron import Calendar
from trainyard.reconciling.plan import Note
from trainyard.resources.triggers import Schedule, ScheduleStatus
from trainyard.training_pipeline import children, parameters, reasons, slots, watermarks
from trainyard.training_pipeline.moments import instant
from trainyard.training_pipeline.slots import text
from trainyard.training_pipeline.state import CreateRun
from trainyard.training_pipeline.turn import (
    AGAIN_SECONDS,
    Situation,
    Turn,
    cancelling,
    first,
    is_forbidden,
    is_same_run,
    replaced,
)


@dataclass(frozen=True)
class Case:
    """A schedule that can be followed. last: the last slot handled. armed: the slot that is next, None: none yet.

    due: the slot that has come and has no run yet.
    """

    sit: Situation
    trigger: Schedule
    calendar: Calendar
    last: str | None
    armed: datetime | None
    due: datetime | None


@dataclass(frozen=True)
class Due:
    """A slot that has come. run: what would be created for it. found: what bears that name."""

    case: Case
    slot: datetime
    run: dict[str, Any]
    found: Mapping[str, Any] | None

    @property
    def sit(self) -> Situation:
        """The situation of its schedule."""
        return self.case.sit

    @property
    def name(self) -> str:
        """The name of its run."""
        return str(self.run["metadata"]["name"])


def turn(sit: Situation, trigger: Schedule) -> Turn:
    """Return what the schedule wants now."""
    problem = problem_of(sit, trigger)
    if problem:
        return Turn(reasons.INVALID_TRIGGER, problem, schedule=_before(sit, trigger), rule="refuse_schedule")
    case = _case(sit, trigger)
    if case.due is None:
        return first(AT_REST, case)
    run = children.run_by_schedule(sit.pipeline, trigger, text(case.due))
    found = sit.seen.named.get(run["metadata"]["name"])
    return _telling_of_passed(case, first(AT_SLOT, Due(case, case.due, run, found)))


def problem_of(sit: Situation, trigger: Schedule) -> str:
    """Return the sentence that says why a schedule can start nothing, "" where it can."""
    try:
        cron.calendar(trigger.cron, trigger.time_zone)
    except cron.Unreadable as error:
        return f"Schedule {trigger.name}: {error}."
    wrong = parameters.of_trigger(sit.pipeline.spec.parameters, trigger.parameters)
    return f"Schedule {trigger.name}: {wrong}." if wrong else ""


# ---- between slots ----


def rest_suspended(case: Case) -> Turn | None:
    """Nothing is armed: slots that pass meanwhile are not made up for."""
    if case.sit.pipeline.spec.suspend:
        return _rest(case, reasons.SUSPENDED, None)
    return _rest(case, reasons.WAITING_FOR_TRIGGER, None) if case.trigger.suspend else None


def arm(case: Case) -> Turn:
    """Wait for the next slot by the present words."""
    return _rest(case, reasons.WAITING_FOR_TRIGGER, case.calendar.after(case.sit.now))


AT_REST = (rest_suspended, arm)


# ---- a slot has come ----


def advance(due: Due) -> Turn | None:
    """The slot has its run: a crash, or a lost status, left the watermark behind."""
    return _done(due) if due.found is not None and is_same_run(due.found, due.run) else None


def rest_on_the_model(due: Due) -> Turn | None:
    """The run is gone and its model is there."""
    return _done(due) if due.name in due.sit.seen.sources else None


def pass_over_missed(due: Due) -> Turn | None:
    """It could not start within the deadline; a stop of the operator counts like any other hindrance."""
    limit = due.sit.pipeline.spec.starting_deadline_seconds
    if (due.sit.now - due.slot).total_seconds() <= limit:
        return None
    name, slot = due.case.trigger.name, text(due.slot)
    message = f"Schedule {name}: the slot {slot} is missed; no run could start within {limit} seconds of it."
    return _done(due, notes=(Note(reasons.SLOT_MISSED, message, f"{name} {slot}", "Warning"),))


def hold_suspended(due: Due) -> Turn | None:
    """Suspended after the slot had come: it waits, until its deadline."""
    if due.sit.pipeline.spec.suspend:
        return _wait(due, reasons.SUSPENDED)
    return _wait(due, reasons.WAITING_FOR_TRIGGER) if due.case.trigger.suspend else None


def wait_for_name(due: Due) -> Turn | None:
    """The run's name is held by another that is being deleted."""
    going = due.found is not None and "deletionTimestamp" in due.found["metadata"]
    return _wait(due, reasons.WAITING_FOR_NAME) if going else None


def refuse_name_conflict(due: Due) -> Turn | None:
    """The run's name is held by a run of another trigger or pipeline."""
    return None if due.found is None else _wait(due, reasons.NAME_CONFLICT)


def wait_for_active(due: Due) -> Turn | None:
    """Concurrency Forbid: wait until the others have ended."""
    return _wait(due, reasons.WAITING_FOR_RUN) if is_forbidden(due.sit) else None


def replace_active(due: Due) -> Turn | None:
    """Concurrency Replace: cancel what is older than the slot, and wait until it has ended."""
    others = replaced(due.sit, due.slot)
    return _wait(due, reasons.REPLACING, actions=cancelling(others)) if others else None


def start(due: Due) -> Turn:
    """Create the slot's run, then say so in the watermark."""
    name, slot = due.case.trigger.name, text(due.slot)
    note = Note(reasons.RUN_CREATED, f"Schedule {name}: created TrainingRun {due.name} for {slot}.", due.name)
    return _done(due, actions=(CreateRun(due.run),), notes=(note,))


AT_SLOT = (
    advance,
    rest_on_the_model,
    pass_over_missed,
    hold_suspended,
    wait_for_name,
    refuse_name_conflict,
    wait_for_active,
    replace_active,
    start,
)


# ---- where it stands ----


def _before(sit: Situation, trigger: Schedule) -> ScheduleStatus:
    """Return the schedule's entry in status; an empty one where there is none."""
    found = (s for s in sit.seen.before.schedules if s.name == trigger.name)
    return next(found, ScheduleStatus(name=trigger.name))


def _case(sit: Situation, trigger: Schedule) -> Case:
    calendar = cron.calendar(trigger.cron, trigger.time_zone)
    before = _before(sit, trigger)
    last, armed = before.last_slot, slots.moment(before.next)
    if sit.seen.before.observed_generation == 0:
        last, armed = _recovered(sit, trigger, calendar)
    due = calendar.latest(armed, sit.now) if armed is not None and armed <= sit.now else None
    return Case(sit, trigger, calendar, last, armed, due)


def _recovered(sit: Situation, trigger: Schedule, calendar: Calendar) -> tuple[str | None, datetime | None]:
    """Return (last slot, armed slot) without a status: new, lost, or restored.

    The newest run of the schedule carries the watermark. Nothing from before the pipeline's creation is due, so a
    restored one does not repeat what was done after its backup.
    """
    newest = watermarks.newest_of_schedule(sit.seen.runs, trigger.name)
    last = newest.spec.trigger.slot if newest else None
    created = instant(sit.pipeline.metadata.creation_timestamp) or sit.now
    handled = slots.moment(last) or created
    return last, calendar.after(max(created, handled))


# ---- answers ----


def _rest(case: Case, reason: str, armed: datetime | None) -> Turn:
    wake = None if armed is None else max(0.0, (armed - case.sit.now).total_seconds())
    return Turn(reason, schedule=_entry(case, case.last, armed), revisit_after=wake)


def _wait(due: Due, reason: str, **fields: Any) -> Turn:
    """Keep the slot armed."""
    return Turn(reason, schedule=_entry(due.case, due.case.last, due.slot), revisit_after=AGAIN_SECONDS, **fields)


def _done(due: Due, **fields: Any) -> Turn:
    """The slot is handled: arm the one after now, where any may be armed."""
    suspended = due.sit.pipeline.spec.suspend or due.case.trigger.suspend
    armed = None if suspended else due.case.calendar.after(due.sit.now)
    wake = AGAIN_SECONDS if armed is None else min(AGAIN_SECONDS, (armed - due.sit.now).total_seconds())
    entry = _entry(due.case, text(due.slot), armed)
    return Turn(reasons.WAITING_FOR_TRIGGER, schedule=entry, revisit_after=wake, **fields)


def _entry(case: Case, last: str | None, armed: datetime | None) -> ScheduleStatus:
    return ScheduleStatus(name=case.trigger.name, last_slot=last, next=None if armed is None else text(armed))


def _telling_of_passed(case: Case, found: Turn) -> Turn:
    """Tell, once, that a slot gave way to a later one."""
    if case.armed is None or case.due is None or case.armed == case.due:
        return found
    name, passed = case.trigger.name, text(case.armed)
    message = f"Schedule {name}: the slot {passed} is missed; {text(case.due)} has come meanwhile."
    note = Note(reasons.SLOT_MISSED, message, f"{name} {passed}", "Warning")
    return replace(found, notes=(note, *found.notes))

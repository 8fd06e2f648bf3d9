"""Observed to conditions and steps: every condition, every time. Pure.

While a run waits, its message is the first one that was told for that reason: the scheduler counts nodes and the
runtime backs off, and neither may make the operator write in a loop.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from trainyard.resources.conditions import Condition, condition, find, merge
from trainyard.resources.training_run import AttemptStatus, EngineRun, StepStatus
from trainyard.systems.engine.port import EngineState, Phase, RunRequest, Step
from trainyard.training_run import lineage, reasons, request
from trainyard.training_run.outcome import Outcome
from trainyard.training_run.state import Observed

MESSAGE_LIMIT = 2000
STEP_MESSAGE_LIMIT = 1024
ATTEMPTS_LIMIT = 20
DONE = ("Succeeded", "Failed")


def stamp(moment: datetime) -> str:
    """Return RFC 3339 UTC with seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def has_ended(seen: Observed) -> bool:
    """Whether the status tells how the run ended."""
    told = find(seen.before.conditions, "Succeeded")
    return told is not None and told.status != "Unknown"


def restated(seen: Observed, now: datetime) -> dict[str, Any]:
    """Return the status as it is, for the present generation."""
    return _status(seen, now, seen.before.conditions)


def refused(seen: Observed, now: datetime, reason: str, message: str) -> dict[str, Any]:
    """Return the status of a run that cannot be accepted, or not yet."""
    return _status(
        seen,
        now,
        (
            _told("Accepted", False, reason, message),
            _told("Started", False, reasons.NOT_ACCEPTED),
            _told("Succeeded", None, reasons.NOT_ACCEPTED),
            condition("Reconciling", False, reason),
            _told("Stalled", True, reason, message),
        ),
    )


def waiting(seen: Observed, now: datetime) -> dict[str, Any]:
    """Return the status of a run that waits for an older one."""
    message = f"Concurrency Forbid: it waits until TrainingRun {seen.ahead} has ended."
    told = _told("Succeeded", None, reasons.WAITING_FOR_RUN, message)
    return _status(seen, now, _under_way(_told("Started", False, reasons.WAITING_FOR_RUN, message), told))


def retrying(seen: Observed, now: datetime, failed: AttemptStatus, at: str | None) -> dict[str, Any]:
    """Return the status between two attempts: what failed, its steps, and when the next one starts."""
    others = [a for a in seen.before.attempts if a.attempt != failed.attempt]
    started = find(seen.before.conditions, "Started") or condition("Started", None, reasons.RETRYING)
    message = f"Attempt {failed.attempt} failed ({failed.reason}): {failed.message}"
    told = _told("Succeeded", None, reasons.RETRYING, message)
    attempts = (*others, failed)[-ATTEMPTS_LIMIT:]
    steps = current_steps(seen)
    return _status(seen, now, _under_way(started, told), attempts=attempts, retry_time=at, steps=steps)


def starting(seen: Observed, now: datetime, wanted: RunRequest) -> dict[str, Any]:
    """Return the intent: which engine, under which identity, with what. A refusal that was told stays told."""
    told = find(seen.before.conditions, "Succeeded")
    refusal = told if told and told.reason == reasons.ENGINE_UNREACHABLE else None
    succeeded = refusal or _told("Succeeded", None, reasons.STARTING)
    return _status(
        seen,
        now,
        _under_way(_told("Started", None, reasons.STARTING), succeeded),
        revision=seen.source.revision,
        attempt=wanted.attempt,
        engine=EngineRun(kind=seen.kind, id=wanted.id),
        parameters=dict(wanted.parameters),
        retry_time=None,
        steps=(),
        start_time=seen.before.start_time or stamp(now),
        **lineage.provenance(seen),
    )


def following(seen: Observed, now: datetime, engine: EngineState) -> dict[str, Any]:
    """Return the status of a run that the engine has."""
    started = engine.phase is not Phase.PENDING
    reason = engine.reason or (reasons.RUNNING if started else reasons.PENDING)
    succeeded = _sticky(seen, _told("Succeeded", None, reason, engine.message))
    start = _told("Started", started, "Started" if started else reason, "" if started else succeeded.message)
    return _status(seen, now, _under_way(start, succeeded), steps=_steps(seen, engine.steps), **_where(seen, engine))


def unreachable(seen: Observed, now: datetime, message: str) -> dict[str, Any]:
    """Return the status of a run whose engine, or whose artifact store, does not answer."""
    started = find(seen.before.conditions, "Started") or condition("Started", None, reasons.ENGINE_UNREACHABLE)
    succeeded = _told("Succeeded", None, reasons.ENGINE_UNREACHABLE, message)
    return _status(seen, now, _under_way(started, succeeded))


def stopping(seen: Observed, now: datetime, outcome: Outcome) -> dict[str, Any]:
    """Return the status of a run that has ended for us and still runs on the engine."""
    steps = closed(current_steps(seen), outcome)
    succeeded = _told("Succeeded", None, reasons.STOPPING, f"The run is being stopped: {outcome.reason}.")
    return _status(seen, now, _under_way(_started(seen, steps, outcome), succeeded), steps=steps)


def ended(seen: Observed, now: datetime, outcome: Outcome) -> dict[str, Any]:
    """Return the status of a run that is over; all of it can be made again from the outcome."""
    steps = closed(current_steps(seen), outcome)
    accepted = outcome.reason != reasons.INVALID_PARAMETERS
    return _status(
        seen,
        now,
        (
            _accepted() if accepted else _told("Accepted", False, outcome.reason, outcome.message),
            _started(seen, steps, outcome),
            _told("Succeeded", outcome.succeeded, outcome.reason, outcome.message),
            condition("Reconciling", False, outcome.reason),
            condition("Stalled", not outcome.succeeded, outcome.reason),
        ),
        revision=seen.before.revision or seen.source.revision,
        steps=steps,
        retry_time=None,
        completion_time=outcome.at or None,
        outputs=outcome.outputs,
        model_version=outcome.model_version,
        **lineage.provenance(seen, outcome),
    )


def closed(steps: Iterable[StepStatus], outcome: Outcome) -> tuple[StepStatus, ...]:
    """Return the steps with the one that the outcome is about marked as failed, where none is yet."""
    told = list(steps)
    if outcome.succeeded or not told or any(s.state == "Failed" for s in told):
        return tuple(told)
    at = next((i for i, s in enumerate(told) if s.state not in DONE), len(told) - 1)
    told[at] = told[at].model_copy(
        update={
            "state": "Failed",
            "reason": outcome.reason,
            "message": shortened(outcome.message),
            "completion_time": outcome.at or None,
        }
    )
    return tuple(told)


def current_steps(seen: Observed) -> tuple[StepStatus, ...]:
    """Return the steps as the engine tells them, as they were told last where it tells none."""
    told = seen.engine.steps if seen.engine is not None else ()
    return _steps(seen, told) or request.told_steps(seen.meta, seen.before)


def shortened(message: str) -> str:
    """Return a message with its middle left out where it is long: a log's last lines say what went wrong."""
    if len(message) <= STEP_MESSAGE_LIMIT:
        return message
    return f"{message[:100]} … {message[103 - STEP_MESSAGE_LIMIT :]}"


def failed_at(engine: EngineState) -> str | None:
    """Return when the first failed step ended, None where no failed step tells."""
    return min((s.completion_time for s in engine.steps if s.state is Phase.FAILED and s.completion_time), default=None)


def first_message(seen: Observed, reason: str) -> str:
    """Return what was told first for the reason that the run waits for, "" where it is another one."""
    told = find(seen.before.conditions, "Succeeded")
    return told.message if told is not None and reason and told.reason == reason else ""


def _status(seen: Observed, now: datetime, conditions: Iterable[Condition], **fields: Any) -> dict[str, Any]:
    generation = seen.meta.generation
    merged = merge(seen.before.conditions, conditions, generation, stamp(now))
    update = {"observed_generation": generation, "conditions": merged, **fields}
    return seen.before.model_copy(update=update).to_wire()


def _where(seen: Observed, engine: EngineState) -> dict[str, Any]:
    """Return where the attempt runs: also told again where a status was lost."""
    engine_id, attempt = request.identity(seen.meta, seen.before)
    found = EngineRun.model_validate({"kind": seen.kind, "id": engine_id, "url": engine.url})
    return {"attempt": attempt, "engine": found, "revision": seen.before.revision or seen.source.revision}


def _told(kind: str, status: bool | None, reason: str, message: str = "") -> Condition:
    return condition(kind, status, reason, reasons.sentence(reason, message)[:MESSAGE_LIMIT])


def _accepted() -> Condition:
    return _told("Accepted", True, reasons.ACCEPTED)


def _under_way(started: Condition, succeeded: Condition) -> tuple[Condition, ...]:
    return (
        _accepted(),
        started,
        succeeded,
        condition("Reconciling", True, succeeded.reason),
        condition("Stalled", False, succeeded.reason),
    )


def _started(seen: Observed, steps: Iterable[StepStatus], outcome: Outcome) -> Condition:
    began = outcome.succeeded or bool(seen.before.attempts) or any(s.start_time for s in steps)
    return condition("Started", began, "Started" if began else outcome.reason)


def _sticky(seen: Observed, now: Condition) -> Condition:
    before = find(seen.before.conditions, now.type)
    same = before is not None and before.reason == now.reason and before.status == now.status
    return before if before is not None and same and before.message else now


def _steps(seen: Observed, steps: Iterable[Step]) -> tuple[StepStatus, ...]:
    before = {s.name: s for s in request.told_steps(seen.meta, seen.before)}
    return tuple(_step(step, before.get(step.name)) for step in steps)


def _step(step: Step, before: StepStatus | None) -> StepStatus:
    same = before is not None and (before.state, before.reason) == (step.state, step.reason)
    return StepStatus(
        name=step.name,
        state=step.state.value,
        reason=step.reason,
        message=before.message if before is not None and same and before.message else step.message,
        exit_code=step.exit_code,
        start_time=step.start_time,
        completion_time=step.completion_time,
    )

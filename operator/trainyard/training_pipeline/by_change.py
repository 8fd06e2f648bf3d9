"""The trigger onChange: a run for the present inputs, unless they had theirs. Pure and total."""

from typing import Any

from trainyard.reconciling.plan import Note
from trainyard.resources.parameters import missing_default
from trainyard.training_pipeline import children, inputs, reasons
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


def turn(sit: Situation) -> Turn:
    """Return what the trigger wants now."""
    return first(RULES, sit)


def rest_without_trigger(sit: Situation) -> Turn | None:
    """Changes start nothing."""
    return None if sit.pipeline.spec.triggers.on_change else _rest(sit, reasons.MANUAL)


def rest_suspended(sit: Situation) -> Turn | None:
    """No trigger starts a run while it is suspended; what changed meanwhile is due afterwards."""
    return _rest(sit, reasons.SUSPENDED) if sit.pipeline.spec.suspend else None


def rest_up_to_date(sit: Situation) -> Turn | None:
    """These inputs had their run, by the watermark in status."""
    same = sit.seen.before.last_inputs_digest == inputs.digest(sit.pipeline.spec)
    return _rest(sit, reasons.UP_TO_DATE) if same else None


def wait_for_name(sit: Situation) -> Turn | None:
    """The run's name is held by one that is being deleted."""
    if sit.seen.due is None or "deletionTimestamp" not in sit.seen.due["metadata"]:
        return None
    return _rest(sit, reasons.WAITING_FOR_NAME, revisit_after=AGAIN_SECONDS)


def refuse_name_conflict(sit: Situation) -> Turn | None:
    """The run's name is held by a run of another trigger or pipeline."""
    if sit.seen.due is None or is_same_run(sit.seen.due, children.run_by_change(sit.pipeline)):
        return None
    return _rest(sit, reasons.NAME_CONFLICT, revisit_after=AGAIN_SECONDS)


def advance(sit: Situation) -> Turn | None:
    """The run exists: a crash, or a lost status, left the watermark behind."""
    return None if sit.seen.due is None else _done(sit)


def rest_on_the_model(sit: Situation) -> Turn | None:
    """The run is gone and its model is there: a pipeline that is made anew does not train the same thing again."""
    return _done(sit) if children.run_name(sit.pipeline) in sit.seen.sources else None


def refuse_missing_value(sit: Situation) -> Turn | None:
    """A run by change has nobody who gives values."""
    missing = missing_default(sit.pipeline.spec.parameters)
    if not missing:
        return None
    message = f"A run by change is due, and these parameters have no default: {', '.join(missing)}."
    return _rest(sit, reasons.PARAMETER_WITHOUT_VALUE, message=message)


def wait_for_active(sit: Situation) -> Turn | None:
    """Concurrency Forbid: wait until the others have ended."""
    return _rest(sit, reasons.WAITING_FOR_RUN, revisit_after=AGAIN_SECONDS) if is_forbidden(sit) else None


def replace_active(sit: Situation) -> Turn | None:
    """Concurrency Replace: cancel the others, and wait until they have ended."""
    others = replaced(sit)
    if not others:
        return None
    return _rest(sit, reasons.REPLACING, actions=cancelling(others), revisit_after=AGAIN_SECONDS)


def create(sit: Situation) -> Turn:
    """Create the run of the present inputs, then say so in the watermark."""
    run = children.run_by_change(sit.pipeline)
    name = run["metadata"]["name"]
    note = Note(reasons.RUN_CREATED, f"The inputs changed: created TrainingRun {name}.", name)
    return _done(sit, actions=(CreateRun(run),), notes=(note,), revisit_after=AGAIN_SECONDS)


RULES = (
    rest_without_trigger,
    rest_suspended,
    rest_up_to_date,
    wait_for_name,
    refuse_name_conflict,
    advance,
    rest_on_the_model,
    refuse_missing_value,
    wait_for_active,
    replace_active,
    create,
)


def _rest(sit: Situation, reason: str, **fields: Any) -> Turn:
    """Leave the watermark where it is."""
    return Turn(reason, digest=sit.seen.before.last_inputs_digest, **fields)


def _done(sit: Situation, **fields: Any) -> Turn:
    """Move the watermark to these inputs."""
    return Turn(reasons.UP_TO_DATE, digest=inputs.digest(sit.pipeline.spec), **fields)

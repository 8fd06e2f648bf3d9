"""What to do about a TrainingPipeline now: is a run due, and with what. Pure and total.

Rules in order, the first answer wins; each adds to what every accepted pipeline gets: its revision kept before any
run names it, and its history pruned.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from trainyard.reconciling.plan import Action, Note, Plan
from trainyard.resources.parameters import missing_default
from trainyard.resources.pipeline_revision import is_named_by_content
from trainyard.resources.training_pipeline import TrainingPipeline
from trainyard.resources.training_run import TrainingRun
from trainyard.training_pipeline import children, inputs, parameters, pruning, reasons, status
from trainyard.training_pipeline.package import LOOK_AGAIN_SECONDS
from trainyard.training_pipeline.state import CancelRun, CreateRevision, CreateRun, DeleteRun, Observed

AGAIN_SECONDS = 15.0  # somebody else has to do something, and its event may be missed

Rule = Callable[[Observed, TrainingPipeline, datetime], Plan | None]


def decide(seen: Observed, now: datetime) -> Plan:
    """Return what is to be done; the last rule always has an answer."""
    if seen.meta.deletion_timestamp is not None:
        return Plan()  # runs and revisions go by their owner references
    if seen.pipeline is None:
        return Plan(status=status.refused(seen, now, reasons.UNREADABLE, seen.problem))
    pipeline = seen.pipeline
    plan = next(plan for rule in RULES if (plan := rule(seen, pipeline, now)) is not None)
    return _looking_again(plan) if seen.package_elsewhere else plan


def refuse_package(seen: Observed, _pipeline: TrainingPipeline, now: datetime) -> Plan | None:
    """The Kubeflow package is missing or cannot be run: heals by itself."""
    if not seen.package_reason:
        return None
    return Plan(status=status.refused(seen, now, seen.package_reason, seen.package_problem))


def refuse_parameters(seen: Observed, pipeline: TrainingPipeline, now: datetime) -> Plan | None:
    """A default is not of its declared type."""
    problem = parameters.problem(pipeline.spec.parameters)
    return Plan(status=status.refused(seen, now, reasons.INVALID_PARAMETERS, problem)) if problem else None


def refuse_foreign_revision(seen: Observed, pipeline: TrainingPipeline, now: datetime) -> Plan | None:
    """The revision's name is held by other content."""
    name = children.revision_name(pipeline)
    if seen.revision is None or is_named_by_content(pipeline.metadata.name, name, seen.revision):
        return None
    return Plan(status=status.standing(seen, now, reasons.REVISION_CONFLICT), revisit_after=AGAIN_SECONDS)


def rest_without_trigger(seen: Observed, pipeline: TrainingPipeline, now: datetime) -> Plan | None:
    """No trigger: runs come from people."""
    return None if pipeline.spec.triggers.on_change else _stand(seen, pipeline, now, reasons.MANUAL)


def rest_suspended(seen: Observed, pipeline: TrainingPipeline, now: datetime) -> Plan | None:
    """No trigger starts a run while it is suspended; what changed meanwhile is due afterwards."""
    return _stand(seen, pipeline, now, reasons.SUSPENDED) if pipeline.spec.suspend else None


def rest_up_to_date(seen: Observed, pipeline: TrainingPipeline, now: datetime) -> Plan | None:
    """These inputs had their run, by the watermark in status."""
    same = seen.before.last_inputs_digest == inputs.digest(pipeline.spec)
    return _stand(seen, pipeline, now, reasons.UP_TO_DATE) if same else None


def wait_for_name(seen: Observed, pipeline: TrainingPipeline, now: datetime) -> Plan | None:
    """The run's name is held by one that is being deleted."""
    if seen.due is None or "deletionTimestamp" not in seen.due["metadata"]:
        return None
    return _stand(seen, pipeline, now, reasons.WAITING_FOR_NAME, again=True)


def refuse_name_conflict(seen: Observed, pipeline: TrainingPipeline, now: datetime) -> Plan | None:
    """The run's name is held by a run of another trigger or pipeline."""
    if seen.due is None or children.is_run_of(seen.due, pipeline):
        return None
    return _stand(seen, pipeline, now, reasons.NAME_CONFLICT, again=True)


def advance(seen: Observed, pipeline: TrainingPipeline, now: datetime) -> Plan | None:
    """The run exists: a crash, or a lost status, left the watermark behind."""
    return None if seen.due is None else _stand(seen, pipeline, now, reasons.UP_TO_DATE, advanced=True)


def rest_on_the_model(seen: Observed, pipeline: TrainingPipeline, now: datetime) -> Plan | None:
    """The run is gone and its model is there: a pipeline that is made anew does not train the same thing again."""
    made = children.run_by_change(pipeline)["metadata"]["name"] in seen.sources
    return _stand(seen, pipeline, now, reasons.UP_TO_DATE, advanced=True) if made else None


def refuse_missing_value(seen: Observed, pipeline: TrainingPipeline, now: datetime) -> Plan | None:
    """A run by change has nobody who gives values."""
    missing = missing_default(pipeline.spec.parameters)
    if not missing:
        return None
    message = f"A run by change is due, and these parameters have no default: {', '.join(missing)}."
    return _stand(seen, pipeline, now, reasons.PARAMETER_WITHOUT_VALUE, message)


def wait_for_active(seen: Observed, pipeline: TrainingPipeline, now: datetime) -> Plan | None:
    """Concurrency Forbid: wait until the others have ended."""
    if pipeline.spec.concurrency != "Forbid" or not _active(seen):
        return None
    return _stand(seen, pipeline, now, reasons.WAITING_FOR_RUN, again=True)


def replace_active(seen: Observed, pipeline: TrainingPipeline, now: datetime) -> Plan | None:
    """Concurrency Replace: cancel the others, and wait until they have ended."""
    active = _active(seen)
    if pipeline.spec.concurrency != "Replace" or not active:
        return None
    cancel = tuple(CancelRun(r.metadata.name) for r in active if not r.spec.cancel)
    return _stand(seen, pipeline, now, reasons.REPLACING, actions=cancel, again=True)


def create(seen: Observed, pipeline: TrainingPipeline, now: datetime) -> Plan:
    """Create the run of the present inputs, then say so in the watermark."""
    run = children.run_by_change(pipeline)
    name = run["metadata"]["name"]
    plan = _stand(seen, pipeline, now, reasons.UP_TO_DATE, actions=(CreateRun(run),), advanced=True)
    note = Note(reasons.RUN_CREATED, f"The inputs changed: created TrainingRun {name}.", name)
    return replace(plan, notes=(note,), revisit_after=AGAIN_SECONDS)


RULES: tuple[Rule, ...] = (
    refuse_package,
    refuse_parameters,
    refuse_foreign_revision,
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


def _looking_again(plan: Plan) -> Plan:
    """Come again soon: nobody tells when a package changes that lies elsewhere."""
    return replace(plan, revisit_after=min(plan.revisit_after or LOOK_AGAIN_SECONDS, LOOK_AGAIN_SECONDS))


def _active(seen: Observed) -> tuple[TrainingRun, ...]:
    return tuple(r for r in seen.runs if not pruning.has_ended(r))


def _stand(
    seen: Observed,
    pipeline: TrainingPipeline,
    now: datetime,
    reason: str,
    message: str = "",
    *,
    actions: tuple[Action, ...] = (),
    advanced: bool = False,
    again: bool = False,
) -> Plan:
    """Keep the revision, do what the rule wants, prune; tell it. `advanced` moves the watermark to these inputs."""
    watermark = inputs.digest(pipeline.spec) if advanced else seen.before.last_inputs_digest
    fields: dict[str, Any] = {"revision": children.revision_name(pipeline), "last_inputs_digest": watermark}
    keep = () if seen.revision is not None else (CreateRevision(children.revision(pipeline)),)
    return Plan(
        (*keep, *actions, *_prune(seen, pipeline, watermark, now)),
        status.standing(seen, now, reason, message, **fields),
        revisit_after=AGAIN_SECONDS if again else None,
    )


def _prune(seen: Observed, pipeline: TrainingPipeline, watermark: str | None, now: datetime) -> tuple[DeleteRun, ...]:
    marks = {r.metadata.name for r in seen.runs if watermark and r.spec.trigger.inputs_digest == watermark}
    gone = pruning.superfluous(seen.runs, pipeline.spec.history, seen.sources | marks, now)
    return tuple(DeleteRun(r.metadata.name, r.metadata.uid) for r in gone)

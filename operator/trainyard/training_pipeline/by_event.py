"""Events: the receiver creates their runs; here it is noted that they were, and what they replace. Pure."""

from trainyard.resources.training_run import TrainingRun
from trainyard.resources.triggers import EventTrigger
from trainyard.training_pipeline import parameters, pruning, reasons, watermarks
from trainyard.training_pipeline.turn import AGAIN_SECONDS, Situation, Turn, active, cancelling


def turn(sit: Situation, trigger: EventTrigger) -> Turn:
    """Return what is said of an event trigger, with the events it has handled."""
    entry = watermarks.handled(sit.seen.runs, trigger.name, sit.seen.before)
    problem = _problem(sit, trigger)
    if problem:
        return Turn(reasons.INVALID_TRIGGER, problem, event=entry, rule="refuse_event_trigger")
    reason = reasons.SUSPENDED if sit.pipeline.spec.suspend else reasons.WAITING_FOR_TRIGGER
    return Turn(reason, event=entry, rule="wait_for_events")


def replacing(sit: Situation) -> Turn | None:
    """Concurrency Replace: the newest run by event stands, what is older and active is cancelled."""
    running = active(sit)
    by_event = [r for r in running if r.spec.trigger.type == "Event"]
    newest = max(by_event, key=pruning.age, default=None)
    if newest is None or sit.pipeline.spec.concurrency != "Replace":
        return None
    older = [r for r in running if _is_older(r, newest)]
    if not older:
        return None
    return Turn(reasons.REPLACING, actions=cancelling(older), revisit_after=AGAIN_SECONDS, rule="replace_by_event")


def _is_older(run: TrainingRun, newest: TrainingRun) -> bool:
    """Events of one second have no order but their names; a run of another trigger in that second is no older one."""
    if run.spec.trigger.type == "Event":
        return pruning.age(run) < pruning.age(newest)
    return pruning.age(run)[0] < pruning.age(newest)[0]


def _problem(sit: Situation, trigger: EventTrigger) -> str:
    given = trigger.parameters
    wrong = parameters.of_trigger(sit.pipeline.spec.parameters, given, trigger.parameters_from_data)
    return f"Event trigger {trigger.name}: {wrong}." if wrong else ""

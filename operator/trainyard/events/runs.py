"""The TrainingRun of an event, named by what started it: a redelivery gives the same object. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from trainyard import naming
from trainyard.events.answers import SOURCE_MISMATCH, SUSPENDED, TOO_OLD, TYPE_MISMATCH, Answer, Refused, ignored
from trainyard.events.delivery import Event
from trainyard.resources.foreign import part
from trainyard.resources.training_pipeline import TrainingPipeline
from trainyard.resources.triggers import EventTrigger, EventTriggerStatus

EVENT = "Event"
_REQUESTED_BY = 256
_DESCRIPTION = 1024


def name(pipeline: TrainingPipeline, trigger: EventTrigger, event: Event) -> str:
    """Return the name of the event's run."""
    key = naming.event_key(event.source, event.id)
    return naming.run_name(pipeline.metadata.name, EVENT, trigger.name, key)


def check_meant(trigger: EventTrigger, event: Event) -> None:
    """Raise Refused where the trigger is not for this event."""
    if trigger.type and event.type != trigger.type:
        raise ignored(TYPE_MISMATCH, f"The trigger takes events of type {trigger.type}; this one starts nothing.")
    if not event.source.startswith(trigger.source):
        raise ignored(SOURCE_MISMATCH, f"The trigger takes events from {trigger.source}; this one starts nothing.")


def check_active(pipeline: TrainingPipeline) -> None:
    """Raise Refused where the pipeline is suspended."""
    if pipeline.spec.suspend:
        raise Refused(Answer(409, SUSPENDED, f"Pipeline {pipeline.metadata.name} is suspended: it starts no run."))


def is_handled(pipeline: TrainingPipeline, trigger: EventTrigger, event: Event) -> bool:
    """Whether the pipeline's status knows the event, though its run may be gone."""
    return naming.event_hash(event.source, event.id) in _kept(pipeline, trigger).handled


def check_age(pipeline: TrainingPipeline, trigger: EventTrigger, event: Event) -> None:
    """Raise Refused for an event from before the horizon: its key may be forgotten, so it may be a redelivery."""
    horizon = _kept(pipeline, trigger).horizon
    if horizon and event.time and event.time < datetime.fromisoformat(horizon):
        message = (
            f"The event is from before {horizon}: whether it was handled is no longer known, so it starts nothing."
        )
        raise ignored(TOO_OLD, message)


def render(
    pipeline: TrainingPipeline,
    trigger: EventTrigger,
    event: Event,
    parameters: Mapping[str, Any],
    requested_by: str,
    now: datetime,
) -> dict[str, Any]:
    """Return the TrainingRun. An event from the future is taken as from now, or it would move the horizon there."""
    told = {"type": EVENT, "name": trigger.name, "eventSource": event.source, "eventId": event.id}
    if event.time:
        told["eventTime"] = _stamp(min(event.time, now))
    return {
        "apiVersion": naming.API_VERSION,
        "kind": "TrainingRun",
        "metadata": _metadata(pipeline, name(pipeline, trigger, event)),
        "spec": {
            "pipeline": pipeline.metadata.name,
            "trigger": told,
            "parameters": dict(parameters),
            "requestedBy": requested_by[:_REQUESTED_BY],
            "description": f"{event.type} {event.subject}".strip()[:_DESCRIPTION],
        },
    }


def is_same(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the run that bears the name was made for the same event."""
    mine, theirs = wanted["spec"], part(found, "spec")
    keys = ("type", "name", "eventSource", "eventId")
    trigger = part(theirs, "trigger")
    return theirs.get("pipeline") == mine["pipeline"] and all(trigger.get(k) == mine["trigger"][k] for k in keys)


def _kept(pipeline: TrainingPipeline, trigger: EventTrigger) -> EventTriggerStatus:
    found = (kept for kept in pipeline.status.events if kept.name == trigger.name)
    return next(found, EventTriggerStatus(name=trigger.name))


def _metadata(pipeline: TrainingPipeline, run: str) -> dict[str, Any]:
    meta = pipeline.metadata
    owner = {
        "apiVersion": naming.API_VERSION,
        "kind": "TrainingPipeline",
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    labels = {naming.LABEL_PIPELINE: meta.name, naming.LABEL_MODEL: pipeline.spec.model, naming.LABEL_TRIGGER: EVENT}
    return {
        "name": run,
        "namespace": meta.namespace,
        "labels": {**naming.MANAGED_BY, **labels},
        "ownerReferences": [owner],
    }


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")

"""One event, from the request to the answer: proof, event, trigger, run. Raises nothing but bugs.

Nothing of the request but the address is looked at before the proof. Without one the answer is the same whether the
pipeline exists or not; a Kubernetes token that may create TrainingRuns in the namespace is told more.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from trainyard.events import answers, parameters, proofs, runs
from trainyard.events.answers import AWAY, MAY_NOT, UNPROVEN, Answer, Refused
from trainyard.events.delivery import Delivery, Event
from trainyard.events.limits import Limits
from trainyard.events.port import Issuers, Reviews, Unable
from trainyard.events.reading import read
from trainyard.resources.training_pipeline import TrainingPipeline
from trainyard.resources.triggers import EventTrigger
from trainyard.systems.cluster.port import (
    TRAINING_PIPELINE,
    TRAINING_RUN,
    AlreadyExists,
    Cluster,
    ClusterError,
    Forbidden,
    Invalid,
    Obj,
    Ref,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Receiver:
    """What answering needs."""

    cluster: Cluster
    reviews: Reviews
    issuers: Issuers
    limits: Limits
    now: Callable[[], datetime]

    async def receive(self, delivery: Delivery) -> Answer:
        """Start the event's run, or say why not."""
        try:
            return await self._receive(delivery)
        except Refused as refusal:
            return refusal.answer
        except Unable as error:
            return Answer(503, answers.UNAVAILABLE, str(error), retry_after=5)
        except ClusterError as error:
            _log.warning("%s/%s/%s: %s", delivery.namespace, delivery.pipeline, delivery.trigger, error)
            return AWAY

    async def _receive(self, delivery: Delivery) -> Answer:
        pipeline = await self._pipeline(delivery)
        trigger = _trigger(pipeline, delivery.trigger)
        identity = await proofs.shared(delivery, trigger, self.cluster, self.issuers) if trigger else ""
        if not identity:
            identity = await self._by_kubernetes(delivery, pipeline, trigger)
        if pipeline is None or trigger is None:
            raise _not_found(delivery, pipeline)
        return await self._proven(delivery, pipeline, trigger, identity)

    async def _pipeline(self, delivery: Delivery) -> TrainingPipeline | None:
        """Return the pipeline. One that is going, or that cannot be read, takes no events."""
        try:
            found = await self.cluster.get(Ref(TRAINING_PIPELINE, delivery.namespace, delivery.pipeline), live=True)
            pipeline = None if found is None else TrainingPipeline.model_validate(found)
        except (Forbidden, ValidationError) as error:
            _log.warning("%s/%s cannot be read: %s", delivery.namespace, delivery.pipeline, type(error).__name__)
            return None
        return pipeline if pipeline and not pipeline.metadata.deletion_timestamp else None

    async def _by_kubernetes(
        self, delivery: Delivery, pipeline: TrainingPipeline | None, trigger: EventTrigger | None
    ) -> str:
        """Return who holds the Kubernetes token. Raises Refused."""
        caller = await self.reviews.caller(delivery.bearer) if delivery.bearer else None
        if caller is None:
            raise Refused(UNPROVEN)
        if not await self.reviews.may_create_runs(caller, delivery.namespace):
            raise Refused(MAY_NOT)
        if pipeline and trigger and trigger.auth.kubernetes is None:
            (kind,) = trigger.auth.to_wire()
            message = f"Trigger {trigger.name} takes the proof {kind}, not a Kubernetes token."
            raise Refused(Answer(403, answers.FORBIDDEN, message))
        return caller.name

    async def _proven(
        self, delivery: Delivery, pipeline: TrainingPipeline, trigger: EventTrigger, identity: str
    ) -> Answer:
        wait = self.limits.wait((delivery.namespace, delivery.pipeline, delivery.trigger))
        if wait:
            message = "The trigger gets more events than the receiver takes; send the event again."
            raise Refused(Answer(429, answers.TOO_MANY, message, retry_after=wait))
        event = _signed(read(delivery), trigger)
        runs.check_meant(trigger, event)
        run = runs.name(pipeline, trigger, event)
        if runs.is_handled(pipeline, trigger, event):
            return _duplicate(run)
        runs.check_active(pipeline)
        runs.check_age(pipeline, trigger, event)
        values = parameters.values(event, trigger, pipeline.spec)
        return await self._create(runs.render(pipeline, trigger, event, values, identity, self.now()))

    async def _create(self, run: Obj) -> Answer:
        name = run["metadata"]["name"]
        try:
            await self.cluster.create(run)
        except AlreadyExists:
            return await self._existing(run)
        except Invalid as error:
            return Answer(422, answers.REFUSED, f"The API server refuses the run: {error}")
        except Forbidden as error:
            return _not_let(str(error))
        return Answer(202, answers.CREATED, f"TrainingRun {name} is created.", name)

    async def _existing(self, run: Obj) -> Answer:
        """Say whose the run is that bears the name; one that has gone meanwhile was the event's too."""
        name, namespace = run["metadata"]["name"], run["metadata"]["namespace"]
        found = await self.cluster.get(Ref(TRAINING_RUN, namespace, name), live=True)
        if found is not None and not runs.is_same(found, run):
            return Answer(409, answers.CONFLICT, f"TrainingRun {name} exists and is not of this event.", name)
        return _duplicate(name)


def _trigger(pipeline: TrainingPipeline | None, name: str) -> EventTrigger | None:
    events = pipeline.spec.triggers.events if pipeline else ()
    return next((trigger for trigger in events if trigger.name == name), None)


def _not_found(delivery: Delivery, pipeline: TrainingPipeline | None) -> Refused:
    missing = f"no event trigger {delivery.trigger}" if pipeline else "no TrainingPipeline of this name that is valid"
    return Refused(Answer(404, answers.NOT_FOUND, f"{delivery.namespace}/{delivery.pipeline}: there is {missing}."))


def _signed(event: Event, trigger: EventTrigger) -> Event:
    """Raise Refused where the signature does not cover the event's identity: it could be sent again as another."""
    if trigger.auth.hmac is not None and not event.signed_by_body:
        raise answers.malformed("A signature covers the body only: send the event in structured mode.")
    return event


def _duplicate(run: str) -> Answer:
    return Answer(200, answers.DUPLICATE, f"The event was received before; its run is {run}.", run)


def _not_let(said: str) -> Answer:
    """The receiver may not create runs there: by a quota, which passes, or for want of rights, which a person mends."""
    if "exceeded quota" in said:
        return Answer(429, answers.QUOTA, "A ResourceQuota of the namespace leaves no room for a run.", retry_after=60)
    _log.error("The receiver may not create TrainingRuns: %s", said)
    return Answer(503, answers.UNAVAILABLE, "The receiver may not create TrainingRuns here.", retry_after=60)

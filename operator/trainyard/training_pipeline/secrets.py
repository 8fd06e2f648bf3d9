"""Whether the Secrets that event triggers name can be used, seen by their metadata alone. Used by `observe`.

The receiver reads them and tells a caller nothing of what is wrong; here the pipeline's owner is told. Nobody watches
Secrets: while one cannot be used, the pipeline is visited again soon.
"""

from collections.abc import Mapping

from trainyard import naming
from trainyard.resources.training_pipeline import TrainingPipeline
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import SECRET_METADATA, Forbidden, Ref
from trainyard.training_pipeline import reasons

# What is wrong with a Secret: a reason and a sentence, both "" where nothing is.
Problem = tuple[str, str]
FINE: Problem = ("", "")


def named(pipeline: TrainingPipeline) -> tuple[str, ...]:
    """Return the names of the Secrets that its event triggers' proofs need."""
    proofs = (trigger.auth.bearer or trigger.auth.hmac for trigger in pipeline.spec.triggers.events)
    return tuple(sorted({proof.secret_ref.name for proof in proofs if proof is not None}))


async def looked_at(pipeline: TrainingPipeline, systems: Systems) -> Mapping[str, Problem]:
    """Return what is wrong with each Secret that is named. Raises Unavailable."""
    namespace, readable = pipeline.metadata.namespace, systems.config.trigger_secrets
    return {name: await _problem(namespace, name, readable, systems) for name in named(pipeline)}


async def _problem(namespace: str, name: str, readable: tuple[str, ...], systems: Systems) -> Problem:
    if readable and name not in readable:
        others = ", ".join(readable)
        message = f"Secret {name}: the receiver may only read those called {others} (the chart's events.secretNames)."
        return reasons.SECRET_NOT_USABLE, message
    try:
        found = await systems.cluster.get(Ref(SECRET_METADATA, namespace, name), live=True)
    except Forbidden:
        return reasons.SECRET_UNKNOWN, f"Secret {name}: the operator may not look at it."
    if found is None:
        return reasons.SECRET_MISSING, f"Secret {name} does not exist."
    if (found["metadata"].get("labels") or {}).get(naming.LABEL_USABLE_BY_TRIGGERS) == "true":
        return FINE
    return reasons.SECRET_NOT_USABLE, f"Secret {name} is not labelled {naming.LABEL_USABLE_BY_TRIGGERS}=true."

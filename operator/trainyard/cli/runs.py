"""`trainyard run`, `watch` and `cancel`: start a training by hand, follow it, stop it."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainyard import naming
from trainyard.cli import clock, parameters, problem
from trainyard.cli.connection import Connection
from trainyard.cli.declared import declared
from trainyard.cli.objects import at, condition, reason
from trainyard.cli.problem import Problem
from trainyard.systems.cluster.port import TRAINING_PIPELINE, TRAINING_RUN, Obj, Ref, Unavailable

POLL_SECONDS = 1.0
ENDINGS = {
    "Succeeded": 0,
    "Cancelled": problem.RUN_CANCELLED,
    "TimedOut": problem.RUN_TIMED_OUT,
}


@dataclass(frozen=True)
class Wish:
    """A one-off run that a person asks for; `arguments` are texts like name=value, `values` come from a file."""

    pipeline: str
    arguments: Sequence[str] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    experiment: str = ""


async def start(connection: Connection, wish: Wish) -> Obj:
    """Check the parameters against the pipeline and create the run. Raises Problem before anything is created."""
    pipeline = await connection.find(TRAINING_PIPELINE, wish.pipeline)
    values = parameters.read(await declared(connection, pipeline), wish.arguments, wish.values)
    user = (await connection.user()) or "unknown"
    spec: dict[str, Any] = {
        "pipeline": wish.pipeline,
        "trigger": {"type": "OneOff", "name": user[:63]},
        "parameters": values,
        "description": wish.description,
        "experiment": wish.experiment,
        "requestedBy": user[:256],
    }
    name = naming.run_name(wish.pipeline, "OneOff", user, clock.now().isoformat())
    return await connection.cluster.create(
        {
            "apiVersion": naming.API_VERSION,
            "kind": TRAINING_RUN.kind,
            "metadata": {
                "name": name,
                "namespace": connection.namespace,
                "labels": {naming.LABEL_PIPELINE: wish.pipeline, naming.LABEL_TRIGGER: "OneOff"},
            },
            "spec": {key: value for key, value in spec.items() if value},
        }
    )


async def cancel(connection: Connection, name: str) -> tuple[Obj, bool]:
    """Ask for a run's end, in one's own name. Returns the run, and False where it has ended already.

    One that is being cancelled already stays so, in the name of whoever was first.
    """
    run = await connection.find(TRAINING_RUN, name)
    if ended(run) or at(run, "spec.cancel", False):
        return run, not ended(run)
    user = (await connection.user()) or "unknown"
    ref = Ref(TRAINING_RUN, connection.namespace, name)
    return await connection.cluster.patch(ref, {"spec": {"cancel": True, "cancelledBy": user[:256]}}), True


async def follow(
    connection: Connection, name: str, show: Callable[[Obj], None], timeout_seconds: float | None = None
) -> Obj:
    """Show a run until it ends, and return it. Raises Problem after the timeout, or where the run is deleted."""
    began = time.monotonic()
    while True:
        run = await _look(connection, name)
        if run is not None:
            show(run)
            if ended(run):
                return run
        if timeout_seconds is not None and time.monotonic() - began >= timeout_seconds:
            sentence = f"TrainingRun {name} has not ended within {timeout_seconds:g} s; {how_to_go_on(name)}"
            raise Problem(sentence, problem.WAITED_ENOUGH)
        await asyncio.sleep(POLL_SECONDS)


def ended(run: Obj) -> bool:
    """Whether a run's outcome is known."""
    return condition(run, "Succeeded").get("status") in ("True", "False")


def exit_status(run: Obj) -> int:
    """Return the exit status that tells how a run ended."""
    return ENDINGS.get(reason(run, "Succeeded"), problem.RUN_FAILED)


def how_to_go_on(name: str) -> str:
    """Return how a run that goes on is watched and stopped."""
    return f"watch it with `trainyard watch {name}`, stop it with `trainyard cancel {name}`"


async def _look(connection: Connection, name: str) -> Obj | None:
    """Return the run, None where the API server does not answer just now."""
    try:
        return await connection.find(TRAINING_RUN, name)
    except Unavailable:
        return None

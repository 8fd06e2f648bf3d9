"""`trainyard rollout get --watch`: the Rollout, again and again, until it comes to rest, is gone, or Ctrl-C."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from trainyard import naming
from trainyard.cli import clock, problem
from trainyard.cli.connection import Connection
from trainyard.cli.objects import Obj, at
from trainyard.cli.problem import Problem
from trainyard.cli.rollout_rest import Rest, Until, rest
from trainyard.cli.rollout_screen import Pods
from trainyard.systems.cluster.port import DEPLOYMENT, ROLLOUT, Forbidden, Unavailable

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Look:
    """A Rollout as it was seen last. away: for how many seconds the API server has not answered since, else 0."""

    rollout: Obj
    pods: Pods
    away: float = 0.0


@dataclass(frozen=True)
class Wish:
    """What ends the watching: coming to rest, and after how many seconds; None: never."""

    until: Until | None = None
    timeout_seconds: float | None = None


async def watch(connection: Connection, name: str, show: Callable[[Look], None], wish: Wish) -> tuple[Look, Rest]:
    """Show a Rollout until it comes to rest. Raises Problem once it is gone, or after the timeout."""
    began, look, begun, answered = time.monotonic(), None, "", time.monotonic()
    while True:
        try:
            look = await see(connection, name)
            answered = time.monotonic()
            begun = at(look.rollout, "status.canary.revision") or begun
        except Unavailable:
            if look is None:
                raise
            look = Look(look.rollout, look.pods, time.monotonic() - answered)
        show(look)
        ended = rest(look.rollout, wish.until, begun) if wish.until and not look.away else None
        if ended:
            return look, ended
        _stop_after(wish, time.monotonic() - began, name)
        await asyncio.sleep(POLL_SECONDS)


async def see(connection: Connection, name: str) -> Look:
    """Read a Rollout and how many of its pods are ready. Raises Problem where there is none."""
    return Look(await connection.find(ROLLOUT, name), await _pods(connection, name))


def lost(look: Look) -> str:
    """Return the line about an API server that does not answer, "" where it does."""
    return f"The API server has not answered for {clock.spoken(look.away)}; this is what it said last." * bool(
        look.away
    )


async def _pods(connection: Connection, name: str) -> Pods:
    """Return how many pods of each revision are ready; nothing where this person may not list Deployments."""
    labels = {**naming.MANAGED_BY, naming.LABEL_ROLLOUT: name}
    try:
        found = await connection.cluster.list(DEPLOYMENT, connection.namespace, labels)
    except Forbidden:
        return {}
    return {str(at(d, "metadata.labels", {}).get(naming.LABEL_REVISION)): _ready(d) for d in found}


def _ready(deployment: Obj) -> str:
    wanted = at(deployment, "spec.replicas", 1)
    return f"{at(deployment, 'status.availableReplicas', 0)}/{wanted} pod{'s' if wanted != 1 else ''} ready"


def _stop_after(wish: Wish, passed: float, name: str) -> None:
    if wish.timeout_seconds is not None and passed >= wish.timeout_seconds:
        sentence = f"Rollout {name} has not come to rest within {wish.timeout_seconds:g} s; it goes on."
        raise Problem(sentence, problem.WAITED_ENOUGH)

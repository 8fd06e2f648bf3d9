"""`trainyard promote`, `promote-full`, `abort`, `retry`: a person's word to a Rollout, guarded by what they saw."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Literal

from trainyard import naming
from trainyard.cli import clock
from trainyard.cli.connection import Connection
from trainyard.cli.objects import Obj, at
from trainyard.cli.problem import Problem
from trainyard.systems.cluster.port import ROLLOUT, Ref

Kind = Literal["Promote", "PromoteFull", "Abort", "Retry"]
POLL_SECONDS = 0.5
TAKEN_UP_SECONDS = 15.0  # an operator that is awake answers within a second or two


def action(rollout: Obj, kind: Kind, by: str, identity: str) -> dict[str, Any]:
    """Return the action for what the Rollout shows now. Raises Problem where there is nothing to act on.

    Revision and step bind it to what the person saw: by the time it is read, it may be about another canary.
    """
    canary = at(rollout, "status.canary.revision", None)
    if kind == "Retry":
        return {"kind": kind, "id": identity, "revision": _rejected(rollout), "step": None, "by": by}
    if canary is None:
        raise Problem(f"Rollout {at(rollout, 'metadata.name')} has no canary: there is nothing to {_verb(kind)}.")
    step = at(rollout, "status.step", None) if kind == "Promote" else None
    return {"kind": kind, "id": identity, "revision": canary, "step": step, "by": by}


async def act(connection: Connection, name: str, kind: Kind) -> Mapping[str, Any]:
    """Write the action and return it."""
    rollout = await connection.find(ROLLOUT, name)
    by = await connection.user()
    identity = naming.hash10([name, kind, by, clock.now().isoformat()])
    wanted = action(rollout, kind, by, identity)
    # Null removes what an earlier action said of revision and step.
    await connection.cluster.patch(Ref(ROLLOUT, connection.namespace, name), {"spec": {"action": wanted}})
    return wanted


async def taken_up(connection: Connection, name: str, identity: str, seconds: float = TAKEN_UP_SECONDS) -> Obj | None:
    """Wait until the operator has handled an action and return the Rollout; None where it does not in time."""
    began = time.monotonic()
    while True:
        found = await connection.find(ROLLOUT, name)
        if at(found, "status.handledAction") == identity:
            return found
        if time.monotonic() - began > seconds:
            return None
        await asyncio.sleep(POLL_SECONDS)


def ignored(rollout: Obj, identity: str) -> str:
    """Return why the operator ignored an action that it took up, "" where it did it."""
    answers = (a for a in at(rollout, "status.actions", ()) if a.get("id") == identity)
    result = next((str(a.get("result")) for a in answers), "Done")
    if result == "Frozen":
        window = at(rollout, "status.frozen", "of the Rollout")
        return f"freeze window {window} holds; wait for its end, or take it out of spec.freeze and ask again"
    if result == "Stale":
        running = at(rollout, "status.canary.revision", None)
        step = at(rollout, "status.step", None)
        now = f"revision {running} at step {step} is tried now" if running else "nothing is tried now"
        return f"it does not fit any more: {now}"
    return ""


def _rejected(rollout: Obj) -> str:
    """Return the revision that was rejected last."""
    rejected = at(rollout, "status.rejected", ())
    ended = [h["revision"] for h in at(rollout, "status.history", ()) if h["revision"] in rejected]
    if not rejected:
        raise Problem(f"Rollout {at(rollout, 'metadata.name')} has rejected nothing: there is nothing to retry.")
    return str(ended[0] if ended else rejected[-1])


def _verb(kind: Kind) -> str:
    return {"Promote": "promote", "PromoteFull": "promote", "Abort": "abort", "Retry": "retry"}[kind]

"""The Rollout's room: what the core calls. Thin: the process's memory of steps and deletions, and the clock."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from trainyard.reconciling.plan import Action, Plan
from trainyard.reconciling.trying import Trying
from trainyard.rollout.act import act
from trainyard.rollout.decide import decide
from trainyard.rollout.observe import Neighbours, observe
from trainyard.rollout.state import Observed, Progress, Remember
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import ROLLOUT, Obj


class RolloutRoom:
    """Observe, decide and act for Rollouts. `monotonic` is replaced in tests only."""

    kind = ROLLOUT

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._memory: dict[str, Progress] = {}
        self._neighbours = Neighbours()
        self._trying = Trying(monotonic)

    async def observe(self, obj: Obj, systems: Systems) -> Observed:
        """See `reconciling.room.Room`."""
        uid = str(obj["metadata"]["uid"])
        seen = await observe(obj, systems, self._memory.get(uid), self._monotonic(), self._neighbours)
        return replace(seen, tried=self._trying.seconds(uid)) if "deletionTimestamp" in obj["metadata"] else seen

    def decide(self, observed: Observed, now: datetime) -> Plan:
        """See `reconciling.room.Room`."""
        return decide(observed, now)

    async def act(self, action: Action, obj: Obj, systems: Systems) -> Obj:
        """See `reconciling.room.Room`."""
        if isinstance(action, Remember):
            self._remember(str(obj["metadata"]["uid"]), action.progress)
        else:
            await act(action, systems.cluster)
        return obj

    def newest(self, obj: Obj) -> Obj:
        """See `reconciling.room.Remembers`: the measurements of the running step, which are written once a minute."""
        known, status = self._memory.get(str(obj["metadata"]["uid"])), obj.get("status") or {}
        canary = status.get("canary") or {}
        key = f"{canary.get('revision', '')}/{status.get('step')}/{status.get('stepStartedTime')}"
        if known is None or known.key != key:
            return obj
        numbers = {"metrics": [m.to_wire() for m in known.metrics], "heldSince": known.held_since}
        return {**obj, "status": {**status, **numbers, "observedShare": known.share}}

    def _remember(self, uid: str, progress: Progress | None) -> None:
        if progress is None:
            self._memory.pop(uid, None)
        else:
            self._memory[uid] = progress

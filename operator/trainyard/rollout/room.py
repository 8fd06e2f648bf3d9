"""The Rollout's room: what the core calls.

Thin: it holds the clock, and the process's memory of running steps, of deletions and of what applies were answered.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from trainyard.reconciling.plan import Action, Plan
from trainyard.reconciling.trying import Trying
from trainyard.rollout import answered
from trainyard.rollout.act import act
from trainyard.rollout.decide import decide
from trainyard.rollout.observe import Neighbours, observe
from trainyard.rollout.state import Altered, ApplyObject, Observed, Progress, Remember, ShiftTraffic
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import ROLLOUT, Obj


class RolloutRoom:
    """Observe, decide and act for Rollouts. `monotonic` is replaced in tests only."""

    kind = ROLLOUT

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._memory: dict[str, Progress] = {}
        self._answers: dict[str, dict[tuple[str, str], Altered]] = {}
        self._neighbours = Neighbours()
        self._trying = Trying(monotonic)

    async def observe(self, obj: Obj, systems: Systems) -> Observed:
        """See `reconciling.room.Room`."""
        uid = str(obj["metadata"]["uid"])
        seen = await observe(obj, systems, self._memory.get(uid), self._monotonic(), self._neighbours)
        if "deletionTimestamp" in obj["metadata"]:
            seen = replace(seen, tried=self._trying.seconds(uid))
        if uid not in self._answers:
            return seen
        self._answers[uid] = answered.living(seen, self._answers[uid])
        return replace(seen, answers=dict(self._answers[uid]))

    def decide(self, observed: Observed, now: datetime) -> Plan:
        """See `reconciling.room.Room`."""
        return decide(observed, now)

    async def act(self, action: Action, obj: Obj, systems: Systems) -> Obj:
        """See `reconciling.room.Room`."""
        uid = str(obj["metadata"]["uid"])
        if isinstance(action, Remember):
            self._remember(uid, action.progress)
            return obj
        answer = await act(action, systems.cluster)
        if answer is not None and isinstance(action, ApplyObject | ShiftTraffic):
            self._note_answer(uid, action.manifest, answer)
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
            self._answers.pop(uid, None)
        else:
            self._memory[uid] = progress

    def _note_answer(self, uid: str, manifest: Obj, answer: Obj) -> None:
        """Remember what the API server made of an apply where it is something else, and nothing where it is not."""
        told, name = answered.of_apply(manifest, answer), answered.key(manifest)
        if told is not None:
            self._answers.setdefault(uid, {})[name] = told
        elif uid in self._answers:
            self._answers[uid].pop(name, None)

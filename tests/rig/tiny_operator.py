"""`python -m tests.rig.tiny_operator`: the real process with one small kind, for tests of the core on the rig.

An object counts up to `spec.steps`: for each step an intent in status, a Service, the result. What else it does is
`spec.behave`: "crash" raises in observe, "meddle" changes the object behind the cycle's back, once.
"""

import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import kopf

from tests.unit.reconciling.tiny import service
from trainyard.__main__ import main
from trainyard.handlers import register
from trainyard.reconciling.plan import Action, Note, PatchMetadata, Plan, WriteStatus
from trainyard.settings import read_settings
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import MODEL_VERSION, Obj, Ref

FINALIZER = "trainyard.dev/cleanup"


@dataclass(frozen=True)
class Step(Action):
    """Make the Service of a step."""

    name: str


@dataclass(frozen=True)
class Meddle(Action):
    """Change the object without telling the cycle."""


class CountingRoom:
    """See the module."""

    kind = MODEL_VERSION

    async def observe(self, obj: Obj, systems: Systems) -> Obj:
        if obj["spec"].get("behave") == "crash":
            raise RuntimeError("this object cannot be understood")
        return obj

    def decide(self, observed: Obj, now: datetime) -> Plan:
        meta: Any = observed["metadata"]
        if "deletionTimestamp" in meta:
            return Plan(actions=(PatchMetadata(finalizers=()),))
        held = PatchMetadata(finalizers=(FINALIZER,))
        done = int((observed.get("status") or {}).get("step", 0))
        if done >= observed["spec"].get("steps", 0):
            return Plan(actions=(held,))
        step = done + 1
        meddles = observed["spec"].get("behave") == "meddle" and "meddled" not in meta.get("annotations", {})
        return Plan(
            actions=(
                held,
                WriteStatus({"step": done, "intent": step}),
                Step(f"{meta['name']}-{step}"),
                *((Meddle(),) if meddles else ()),
            ),
            status={"step": step, "intent": step, "observedGeneration": meta["generation"]},
            notes=(Note("Stepped", f"Step {step} is done.", str(step)),),
            revisit_after=0.0,
        )

    async def act(self, action: Action, obj: Obj, systems: Systems) -> Obj:
        if isinstance(action, Step):
            await systems.cluster.apply(service(action.name, obj), "tiny")
        else:
            ref = Ref(MODEL_VERSION, obj["metadata"]["namespace"], obj["metadata"]["name"])
            await systems.cluster.patch(ref, {"metadata": {"annotations": {"meddled": "yes"}}})
        return obj


if __name__ == "__main__":
    registry = kopf.OperatorRegistry()
    register(registry, lambda: (CountingRoom(),), read_settings)
    sys.exit(main(registry))

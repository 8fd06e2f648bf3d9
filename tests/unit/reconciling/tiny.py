"""A tiny kind for tests of the core: it keeps one Service per object and says in status what it did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trainyard import naming
from trainyard.reconciling.plan import Action, PatchMetadata, Plan, WriteStatus
from trainyard.systems.cluster.port import MODEL_VERSION, SERVICE, Cluster, Kind, Obj, Ref

KEY = Ref(MODEL_VERSION, "ns", "tiny")


def tiny(name: str = "tiny", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": MODEL_VERSION.api_version,
        "kind": MODEL_VERSION.kind,
        "metadata": {"name": name, "namespace": "ns"},
        "spec": spec,
    }


@dataclass(frozen=True)
class MakeService(Action):
    name: str


@dataclass(frozen=True)
class Fail(Action):
    error: Exception


@dataclass
class ScriptedRoom:
    """Answers with the plan it is given; records what it was asked."""

    plan: Plan = field(default_factory=Plan)
    kind: Kind = MODEL_VERSION
    asked: list[datetime] = field(default_factory=list)
    acted: list[Action] = field(default_factory=list)

    async def observe(self, obj: Obj, systems: Cluster) -> Obj:
        return obj

    def decide(self, observed: Obj, now: datetime) -> Plan:
        self.asked.append(now)
        return self.plan

    async def act(self, action: Action, obj: Obj, systems: Cluster) -> Obj:
        self.acted.append(action)
        if isinstance(action, Fail):
            raise action.error
        assert isinstance(action, MakeService)
        await systems.apply(service(action.name, obj), "tiny")
        return obj


class TinyRoom(ScriptedRoom):
    """Really reconciles: finalizer, intent, a Service, result; and on deletion it removes the Service first."""

    def decide(self, observed: Obj, now: datetime) -> Plan:
        meta: Mapping[str, Any] = observed["metadata"]
        if "deletionTimestamp" in meta:
            return Plan(actions=(PatchMetadata(finalizers=()),))
        name = str(meta["name"])
        return Plan(
            actions=(
                PatchMetadata(finalizers=(naming.FINALIZER,)),
                WriteStatus({**(observed.get("status") or {}), "intent": name}),
                *(() if (observed.get("status") or {}).get("made") == name else (MakeService(name),)),
            ),
            status={"intent": name, "made": name, "observedGeneration": meta["generation"]},
        )


def service(name: str, owner: Obj) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": SERVICE.kind,
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": dict(naming.MANAGED_BY),
            "ownerReferences": [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {"ports": [{"port": 80}], "selector": {"app": name}},
    }

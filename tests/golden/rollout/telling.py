"""What a write of the operator looks like in a golden history, and what a world looks like in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tests.fakes.cluster import Write
from trainyard import naming
from trainyard.systems.cluster import port
from trainyard.systems.cluster.port import Obj

if TYPE_CHECKING:
    from tests.golden.rollout.world import World


def line(w: World, write: Write) -> str:
    """One write as a line, "" where it is not told."""
    return _TELLERS.get(write.ref.kind, _other)(w, write)


def finale(w: World, obj: Obj | None) -> str:
    """What is left of the Rollout: conditions, history, rows."""
    if obj is None:
        return "the Rollout is gone"
    status = obj.get("status", {})
    told = [f"{c['type']}={c['status']} {c['reason']}" for c in status.get("conditions", ()) if c["type"] != "Recorded"]
    entries = [
        f"{w.version_of(e['revision'])} {e['outcome']}: {w.plain(e.get('message', ''))}"
        for e in status.get("history", ())
    ]
    rows = [f"{row.data['decision']} {row.data['version']}" for row in w.database.of(obj["metadata"]["uid"])]
    return "\n".join(
        [
            f"route     {_text(w.shares())}",
            f"waits for {w.plain(status.get('waitingFor', '-'))}",
            *(f"          {line}" for line in told),
            *(f"history   {line}" for line in entries),
            f"rows      {', '.join(rows)}",
        ]
    )


def _text(shares: Mapping[str, int]) -> str:
    return " / ".join(f"{name} {weight}" for name, weight in shares.items()) or "-"


def _told_rollout(w: World, write: Write) -> str:
    if write.verb != "status":
        return f"rollout   {', '.join(sorted(write.body['metadata']))}"
    status = w.status()
    roles = [(role, status[role]) for role in ("stable", "canary") if status.get(role)]
    parts = [f"{role} {w.version_of(revision['revision'])}" for role, revision in roles]
    if status.get("canary"):
        parts.append(
            f"weight {status.get('weight', 0)} (routed {status.get('routedWeight')}) step {status.get('step')}"
        )
    if status.get("ending"):
        parts.append(f"ending {status['ending']['outcome']}")
    if status.get("countedSeconds"):
        parts.append(f"counted {status['countedSeconds']} s")
    failures = [f"{m['name']} {m['verdict']} {m['failures']}" for m in status.get("metrics", ()) if m.get("failures")]
    return "status    " + ", ".join(parts + failures)


def _told_route(w: World, write: Write) -> str:
    if write.verb == "delete":
        return "route     deleted"
    beside = [_told_rule(w, rule) for rule in write.body["spec"]["rules"][:-1]]
    copied = [
        f"{w.version_of(f['requestMirror']['backendRef']['name'].rpartition('-')[2])} gets copies"
        for f in write.body["spec"]["rules"][-1].get("filters", ())
    ]
    return "; ".join([f"route     {_text(w.shares())}", *beside, *copied])


def _told_rule(w: World, rule: Mapping[str, Any]) -> str:
    names = " ".join(h["name"] for h in rule["matches"][0]["headers"])
    return f"{names} -> {w.version_of(rule['backendRefs'][0]['name'].rpartition('-')[2])}"


def _told_deployment(w: World, write: Write) -> str:
    revision = write.ref.name.rpartition("-")[2]
    if write.verb == "delete":
        return f"pods      {w.version_of(revision)} deleted"
    owned = "" if write.body["metadata"].get("ownerReferences") else ", nobody's"
    return f"pods      {w.version_of(revision)} x{write.body['spec']['replicas']}{owned}"


def _told_revision(w: World, write: Write) -> str:
    revision = write.ref.name.rpartition("-")[2]
    if write.verb == "patch":
        outcome = write.body["metadata"]["annotations"][naming.ANNOTATION_OUTCOME]
        return f"revision  {w.version_of(revision)} is marked {outcome or 'as fresh'}"
    return ""


def _told_event(w: World, write: Write) -> str:
    return f"event     {write.body['reason']}: {w.plain(write.body['message'])}"


def _other(w: World, write: Write) -> str:
    return ""


_TELLERS: dict[port.Kind, Callable[[World, Write], str]] = {
    port.ROLLOUT: _told_rollout,
    port.HTTP_ROUTE: _told_route,
    port.DEPLOYMENT: _told_deployment,
    port.CONTROLLER_REVISION: _told_revision,
    port.EVENT: _told_event,
}

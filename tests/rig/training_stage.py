"""A stage (`faults.stage`) whose real process has the rooms of training, with objects that nobody checked."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import yaml

from local.rig import ApiServerRig
from tests.rig.faults.stage import PATIENCE_SECONDS, Stage, kubectl
from tests.rig.kinds import CRDS
from trainyard import naming
from trainyard.resources.foreign import part, parts
from trainyard.systems.cluster.port import Kind, Obj, Ref

LOOSE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


async def until(stage: Stage, what: str, probe: Callable[[], Awaitable[Any]], seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait for something true at the API server, and return it. AssertionError with what one wants to know."""
    deadline = time.monotonic() + seconds
    while not (found := await probe()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}\n{stage.told()}"
        await asyncio.sleep(0.1)
    return found


async def look(stage: Stage, kind: Kind, name: str) -> Obj:
    """Return an object, {} where it is not there."""
    return await stage.world.cluster.get(Ref(kind, stage.world.namespace, name)) or {}


def told(obj: Obj, kind: str) -> tuple[str, str]:
    """(status, reason) of a condition, empty where it is not told."""
    found = next((c for c in parts(part(obj, "status"), "conditions") if c.get("type") == kind), {})
    return str(found.get("status", "")), str(found.get("reason", ""))


def loosen(rig: ApiServerRig, kind: Kind) -> None:
    """Let spec and status of a kind be anything."""
    crd = yaml.safe_load((CRDS / f"{naming.GROUP}_{kind.plural}.yaml").read_text())
    (version,) = crd["spec"]["versions"]
    version.pop("selectableFields", None)
    version.pop("additionalPrinterColumns", None)
    version["schema"]["openAPIV3Schema"] = LOOSE
    kubectl(rig, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(crd))

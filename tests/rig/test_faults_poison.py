"""Objects that nobody can understand, objects that are too big, and namespaces that go: one hurts no other."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.rig import ApiServerRig
from tests.rig.faults.judging import assert_sound
from tests.rig.faults.stage import PATIENCE_SECONDS, Stage, furnish, kubectl, make, quiet, quiet_for, staged
from tests.rig.faults.stories import at_first_step, first
from tests.rig.kinds import CRDS
from tests.rig.tiny_processes import install
from trainyard import naming
from trainyard.systems.cluster.port import MODEL_VERSION, ROLLOUT, ClusterError, Ref

pytestmark = [pytest.mark.rig, pytest.mark.timeout(600)]

# What the API server keeps, and no model of ours can read. The last ones are readable but for their status.
ROLLOUTS: dict[str, dict[str, Any]] = {
    "no-spec": {},
    "empty": {"spec": {}},
    "text": {"spec": "text"},
    "numbers": {"spec": {"model": 7, "version": [], "target": 1e300, "strategy": None}},
    "steps": {
        "spec": {"model": "it", "version": {"latest": {}}, "strategy": {"canary": {"steps": [{"setWeight": 101}]}}}
    },
    "deep": {"spec": json.loads('{"a":' * 300 + "1" + "}" * 300)},
    "big": {"spec": {"model": "it", "freight": "x" * 1_000_000}},
    "status": {"spec": {}, "status": {"history": "lost", "conditions": {"a": "b"}, "weight": "many"}},
    "label": {"metadata": {"labels": {naming.LABEL_ROLLOUT: "it", naming.LABEL_REVISION: "x"}}, "spec": {}},
}
VERSIONS: dict[str, dict[str, Any]] = {
    "v-empty": {"spec": {}},
    "v-text": {"spec": {"model": "it", "artifact": "s3://x", "createdAt": 5}},
    "v-status": {"spec": {"model": "it"}, "status": {"conditions": "Ready"}},
}


@pytest.fixture
def rig() -> Iterator[ApiServerRig]:
    """An API server whose kinds were looser once, with the controllers that take namespaces down."""
    with ApiServerRig(kube_controllers="namespace-controller,garbage-collector-controller") as started:
        yield started


def tighten(rig: ApiServerRig) -> None:
    """Install the kinds as they are now over looser ones."""
    kubectl(rig, "apply", "--server-side", "--force-conflicts", "-f", str(CRDS))


def told(stage: Stage, name: str) -> str:
    """What status says about being accepted."""
    conditions = stage.world.status(name).get("conditions")
    found = [c for c in conditions if c["type"] == "Accepted"] if isinstance(conditions, list) else []
    return f"{found[0]['status']} {found[0]['reason']}" if found else ""


async def test_objects_that_cannot_be_read_disturb_no_other(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    install(rig, ROLLOUT, MODEL_VERSION)
    stage = await stack.enter_async_context(staged(rig, tmp_path, TRAINYARD_WORKERS="1"))
    for kind, objects in ((ROLLOUT, ROLLOUTS), (MODEL_VERSION, VERSIONS)):
        for name, obj in objects.items():
            await make(stage, kind, name, obj)
    furnish_all(rig)
    stage.revives = False
    await stage.start()
    await first(stage, "it")
    await at_first_step(stage, "it", 2)
    for name in ROLLOUTS:
        await stage.until(f"{name} is told", partial(is_told, stage, name))
    assert await stage.operator.ended() is None
    assert stage.path_of_weights("it") == [{"it-v1": 100}, {"it-v1": 80, "it-v2": 20}]
    await quiet_for(stage, 3)
    for name in ROLLOUTS:
        await stage.delete(name)
        await stage.until(f"{name} is gone", partial(is_gone, stage, name))
    assert_sound([stage])


def is_told(stage: Stage, name: str) -> bool:
    """Whether its status says that it is not accepted; where a rule meets no object at all, the log does."""
    refused = f"Rollout {stage.world.namespace}/{name}: Invalid"
    return told(stage, name).startswith("False") or (name in ("text", "numbers") and refused in stage.log.read_text())


def is_gone(stage: Stage, name: str) -> bool:
    return not stage.is_there(name)


def furnish_all(rig: ApiServerRig) -> None:
    tighten(rig)
    furnish(rig)


async def test_an_object_that_nobody_can_read_any_more_can_be_deleted(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    """It had our finalizer, and a canary; then somebody wrote nonsense into it while the kind was looser."""
    furnish(rig)
    stage = await stack.enter_async_context(staged(rig, tmp_path))
    stage.revives = False
    await stage.start()
    await first(stage, "it")
    await quiet(stage, "it")
    loosen(rig)
    await stage.edit("it", model=None, target=None, version=7)
    await stage.until("it is told", lambda: told(stage, "it").startswith("False"))
    await stage.delete("it")
    await stage.until("it is gone", lambda: not stage.is_there("it"))
    assert await stage.operator.ended() is None
    assert_sound([stage])


def loosen(rig: ApiServerRig) -> None:
    """Let the spec of Rollouts be anything."""
    crd = yaml.safe_load((CRDS / "trainyard.dev_rollouts.yaml").read_text())
    loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    (version,) = crd["spec"]["versions"]
    version.pop("selectableFields")
    version["schema"]["openAPIV3Schema"] = loose
    kubectl(rig, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(crd))


async def test_annotations_of_a_megabyte_are_refused_and_those_that_fit_are_carried(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    """The API server takes 256 KiB of annotations; the operator copies none of them."""
    furnish(rig)
    stage = await stack.enter_async_context(staged(rig, tmp_path))
    stage.revives = False
    await stage.start()
    await first(stage, "it")
    ref = Ref(ROLLOUT, stage.world.namespace, "it")
    with pytest.raises(ClusterError, match="annotations"):
        await stage.world.cluster.patch(ref, {"metadata": {"annotations": {"a": "x" * 2**20}}})
    await stage.world.cluster.patch(ref, {"metadata": {"annotations": {"a": "x" * 200_000}}})
    before = len(stage.proxy.seen)
    await at_first_step(stage, "it", 2)
    assert max(len(s.asked.body) for s in stage.proxy.seen[before:]) < 50_000
    assert_sound([stage])


async def test_a_namespace_that_is_deleted_in_the_middle_goes(
    stack: AsyncExitStack, rig: ApiServerRig, tmp_path: Path
) -> None:
    """61: a canary has traffic; everything may be deleted and nothing may be made. The operator lives elsewhere."""
    furnish(rig)
    elsewhere = {"TRAINYARD_POD_NAMESPACE": "default", "TRAINYARD_LEASE_NAME": "elsewhere"}
    stage = await stack.enter_async_context(staged(rig, tmp_path, MORTAL_LEASE_SECONDS="15", **elsewhere))
    stage.revives = False
    await stage.start()
    await first(stage, "it")
    await at_first_step(stage, "it", 2)
    namespace = stage.world.namespace
    kubectl(rig, "delete", "namespace", namespace, "--wait=false")
    gone = ["wait", "--for=delete", f"namespace/{namespace}", f"--timeout={PATIENCE_SECONDS:.0f}s"]
    waiting = asyncio.create_task(asyncio.to_thread(kubectl, rig, *gone))
    await waiting
    assert await stage.operator.ended() is None
    assert_sound([stage])

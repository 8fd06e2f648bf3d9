"""What a person changes under a canary, and canaries that never serve, on a real API server.

Scenarios 7, 8, 11, 12, 29, 32 and 33.
"""

from typing import Any

import pytest

from tests.golden.rollout.manifests import TARGET, version
from tests.golden.rollout.stories import MEASURED, TIMED
from tests.golden.rollout.stories_of_strategies import canary, on_gpus
from tests.rig.place import Place
from tests.rig.test_rollout import namespace, place, rig, v2_at_20
from tests.rig.test_rollout_strategies import act, kubectl, v2_comes
from trainyard import naming
from trainyard.systems.cluster.port import CONTROLLER_REVISION, DEPLOYMENT, POD, Obj, Ref

__all__ = ["namespace", "place", "rig"]  # fixtures
pytestmark = pytest.mark.rig

MEMORY = {"resources": {"limits": {"memory": "2Gi"}}}


def serving(**fields: Any) -> dict[str, Any]:
    return {"kubernetes": {**TARGET["kubernetes"], "serving": {"replicas": 2, **fields}}}


async def deployments(p: Place) -> dict[str, Obj]:
    """The Deployments, by version."""
    found = await p.cluster.list(DEPLOYMENT, p.namespace)
    return {d["metadata"]["labels"][naming.LABEL_VERSION]: d for d in found}


async def v2_by_name(p: Place, **spec: Any) -> None:
    """v1 serves, by name, and then v2 is named: it has 20 %."""
    await p.add(version("v1", 1))
    await p.add(version("v2", 2))
    await p.rollout(version={"name": "v1"}, **spec)
    await p.settle(40)
    await p.edit(version={"name": "v2"})
    await p.settle()
    assert await p.shares() == {"v1": 80, "v2": 20}


async def pod_of_v2(p: Place, status: dict[str, Any]) -> None:
    """Give v2 a pod in this state, as a kubelet would tell."""
    stored = await p.cluster.list(CONTROLLER_REVISION, p.namespace)
    (labels,) = (s["metadata"]["labels"] for s in stored if s["data"]["version"] == "v2")
    meta = {"name": "v2", "namespace": p.namespace, "labels": labels}
    spec = {"containers": [{"name": "server", "image": "server:1"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    # No controller makes the account here, and no pod is taken without it.
    kubectl(p.rig, "create", "serviceaccount", "default", "--namespace", p.namespace)
    await p.cluster.create(pod)
    await p.cluster.patch(Ref(POD, p.namespace, "v2"), {"status": status}, status=True)


# ---- another version, or the same one again ----


async def test_the_version_that_serves_is_wanted_again(place: Place) -> None:
    """Scenario 7: back at once, RolledBack, without a measurement."""
    await v2_by_name(place, analysis=MEASURED)
    asked = len(place.prometheus.queries)
    await place.edit(version={"name": "v1"})
    await place.settle()
    assert await place.shares() == {"v1": 100, "v2": 0}
    assert (await place.endings())[0].startswith("v2 RolledBack: ")
    assert await place.condition("Degraded") == ("False", "AsWanted"), "nobody rejected it"
    await place.settle(40)
    assert set(await deployments(place)) == {"v1"}
    assert len(place.prometheus.queries) == asked


async def test_within_the_rollback_window_and_outside_of_it(place: Place) -> None:
    """Scenario 8: what was stable last comes back without steps; what was before climbs them."""
    await place.add(version("v1", 1))
    await place.rollout(version={"name": "v1"}, rollbackWindow=1, strategy={"canary": {"steps": []}})
    await place.settle(40)
    for number in (2, 3):
        await place.add(version(f"v{number}", number))
        await place.edit(version={"name": f"v{number}"})
        await place.settle(40)
    await place.edit(strategy={"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}})
    await place.edit(version={"name": "v2"})
    await place.settle(40)
    assert await place.shares() == {"v2": 100}
    await place.edit(version={"name": "v1"})
    await place.settle()
    assert await place.shares() == {"v2": 80, "v1": 20}


async def test_steps_are_edited_in_flight(place: Place) -> None:
    """Scenario 11: it restarts from the first step that differs, and says so; what lies ahead changes nothing now."""
    await v2_at_20(place)
    steps = [{"setWeight": 10}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]
    await place.edit(strategy={"canary": {"steps": steps}})
    await place.settle()
    assert await place.shares() == {"v1": 90, "v2": 10}
    told = next(c for c in (await place.status())["conditions"] if c["type"] == "Reconciling")
    assert "restarted from step 0" in told["message"]
    step = (await place.status())["step"]
    await place.edit(strategy={"canary": {"steps": [*steps[:2], {"setWeight": 30}, {"pause": {}}]}})
    await place.settle()
    assert (await place.shares(), (await place.status())["step"]) == ({"v1": 90, "v2": 10}, step)
    await act(place, "Promote", 1)
    assert await place.shares() == {"v1": 70, "v2": 30}


async def test_a_rejected_revision(place: Place) -> None:
    """Scenario 12: refused with its earlier verdict; a person tries it again, which is recorded; another one climbs."""
    await v2_by_name(place)
    await act(place, "Abort", 1)
    await place.edit(version={"name": "v1"})
    await place.settle(40)
    assert await place.condition("Degraded") == ("False", "AsWanted")

    await place.edit(version={"name": "v2"})
    await place.settle(600)
    assert await place.shares() == {"v1": 100}
    assert await place.condition("Degraded") == ("True", "RevisionRejected")
    told = next(c for c in (await place.status())["conditions"] if c["type"] == "Degraded")
    assert "aborted by ada" in told["message"]

    await act(place, "Retry", 2)
    assert await place.shares() == {"v1": 80, "v2": 20}
    (retried,) = (row.data for row in place.database.rows.values() if row.data.get("decision") == "Retried")
    assert (retried["version"], retried["by"]) == ("v2", "ada")
    await act(place, "Abort", 3)
    await place.settle(40)
    await place.edit(target=serving(**MEMORY))
    await place.settle()
    assert sorted((await place.shares()).values()) == [20, 80], "the same version with more memory is another revision"


# ---- canaries that never serve ----


async def test_a_canary_that_is_never_ready(place: Place) -> None:
    """Scenario 29: no weight, and aborted at the deadline; no time of a pause counts."""
    place.broken.add("v2")
    await v2_comes(place, strategy=TIMED, target=serving(progressDeadlineSeconds=120))
    await place.settle(60)
    await place.edit(paused=True)
    await place.settle(3600)
    await place.edit(paused=False)
    await place.settle(30)
    assert (await place.status())["canary"]["version"] == "v2"
    assert await place.shares() == {"v1": 100}
    await place.settle(60)
    assert (await place.endings())[0] == "v2 Aborted: not available within 120 s: its pods are not ready"
    assert await place.shares() == {"v1": 100}


async def test_a_crash_loop_that_wobbles_does_not_evade_the_deadline(place: Place) -> None:
    """Scenario 29: ready for a moment now and then is not ready."""
    await v2_at_20(place, target=serving(progressDeadlineSeconds=120))
    for _ in range(8):
        place.broken.add("v2")
        await place.settle(20)
        assert (await place.shares()).get("v2", 0) == 0
        place.broken.discard("v2")
        await place.settle(5)
    assert (await place.endings())[0].startswith("v2 Aborted: not available within 120 s")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (4, "DigestMismatch: the model's bytes are not those of its digest"),
        (5, "ArtifactMissing: the model is not in the store"),
        (1, "FetchFailed: the model could not be fetched"),
    ],
)
async def test_the_model_cannot_be_had(place: Place, code: int, why: str) -> None:
    """Scenario 32: the canary is not available and says why; stable is not touched."""
    place.broken.add("v2")
    await v2_comes(place, target=serving(progressDeadlineSeconds=120))
    stable = (await deployments(place))["v1"]
    ended = {"terminated": {"exitCode": code}}
    fetch = {"name": "fetch", "image": "courier", "imageID": "", "ready": False, "restartCount": 3}
    await pod_of_v2(place, {"phase": "Pending", "initContainerStatuses": [{**fetch, "state": ended}]})
    await place.settle(30)
    assert await place.condition("Available") == ("False", why.partition(":")[0])
    await place.settle(120)
    assert (await place.endings())[0] == f"v2 Aborted: not available within 120 s: {why}"
    assert (await deployments(place))["v1"] == stable
    assert await place.shares() == {"v1": 100}


async def test_no_accelerator_is_free(place: Place) -> None:
    """Scenario 33: held with InsufficientCapacity for as long as it takes, and then it goes on."""
    place.broken.add("v2")
    await v2_comes(place, strategy=canary({"setWeight": 50}, {"pause": {}}), target=on_gpus(2))
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    await pod_of_v2(place, {"phase": "Pending", "conditions": [scheduled]})
    await place.settle(7200)
    assert await place.condition("Available") == ("False", "InsufficientCapacity")
    assert await place.shares() == {"v1": 100}
    place.broken.discard("v2")
    await place.settle(10)
    assert await place.shares() == {"v1": 50, "v2": 50}

"""Rollouts on a real API server: its schemas take every object and status, and the audit log counts the writes."""

import itertools
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from local import builds
from local.rig import ApiServerRig
from tests.golden.rollout.manifests import PARENTS, version
from tests.rig.place import OPERATOR, Place, connect
from tests.unit.rollout.making import pod_template
from trainyard import naming
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    HTTP_ROUTE,
    SERVICE,
    Ref,
)

pytestmark = pytest.mark.rig
CRDS = Path(__file__).parents[2] / "crds"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def rig() -> Iterator[ApiServerRig]:
    """A rig of its own with a garbage collector: owners are deleted here, also in the foreground."""
    with ApiServerRig(kube_controllers="garbage-collector-controller,namespace-controller") as started:
        gateway, _ = builds.manifests("gateway")
        for folder in (CRDS, gateway):
            call = [started.kubectl, "--kubeconfig", str(started.kubeconfig)]
            subprocess.run([*call, "apply", "--server-side", "-f", str(folder)], check=True, capture_output=True)
            wait = ["wait", "--for=condition=Established", "--timeout=60s", "-f", str(folder)]
            subprocess.run([*call, *wait], check=True, capture_output=True)
        yield started


@pytest.fixture
def namespace(rig: ApiServerRig) -> str:
    name = f"rollout{next(_numbers)}"
    call = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig)]
    subprocess.run([*call, "create", "namespace", name], check=True, capture_output=True)
    return name


@pytest.fixture
async def place(rig: ApiServerRig, namespace: str) -> AsyncIterator[Place]:
    theirs, one = await connect(rig.kubeconfig)
    ours, other = await connect(rig.kubeconfig_for(OPERATOR, ("system:masters",)))
    yield Place(rig, theirs, ours, namespace)
    await one.close()
    await other.close()


async def v2_at_20(p: Place, **spec: Any) -> None:
    await p.add(version("v1", 1))
    await p.rollout(**spec)
    await p.settle(40)
    await p.add(version("v2", 2))
    await p.settle()
    assert await p.shares() == {"v1": 80, "v2": 20}


async def test_first_version_then_rest(place: Place) -> None:
    """Scenario 1, and nothing is written at rest, however often it is visited."""
    await place.add(version("v1", 1))
    await place.rollout()
    await place.settle()
    assert await place.shares() == {"v1": 100}
    assert await place.condition("Ready") == ("True", "Promoted")
    written = place.writes()
    await place.settle(3600)
    assert place.writes() == written


async def test_a_step_of_weight_costs_three_writes(place: Place) -> None:
    """Scenarios 2, 3 and 9: 20/80 and paused; promote; the timed pause ends by itself."""
    await v2_at_20(place)
    assert await place.condition("Paused") == ("True", "WaitsForPromotion")
    before, events = place.writes(), place.events()
    await place.edit(action={"kind": "Promote", "id": "1"})
    await place.settle()
    assert await place.shares() == {"v1": 60, "v2": 40}
    step = place.writes()[len(before) :]
    assert step == ["patch rollouts/status", "patch httproutes", "patch rollouts/status"]
    assert place.events() == events + 2  # that a person let it go on, and that the weight is set
    await place.settle(100)
    assert await place.shares() == {"v2": 100}
    assert await place.condition("Ready") == ("True", "Promoted")
    left = await place.cluster.list(DEPLOYMENT, place.namespace)
    assert [d["metadata"]["labels"][naming.LABEL_VERSION] for d in left] == ["v2"]


async def test_a_step_that_needs_a_pod_more_costs_four(place: Place) -> None:
    steps = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 80}, {"pause": {}}]
    await v2_at_20(place, strategy={"canary": {"steps": steps}})
    before = place.writes()
    await place.edit(action={"kind": "Promote", "id": "1"})
    await place.settle()
    assert place.writes()[len(before) :] == [
        "patch rollouts/status",
        "patch deployments",
        "patch httproutes",
        "patch rollouts/status",
    ]


async def test_abort_retry_and_a_third(place: Place) -> None:
    """Scenarios 4 and 5: pods go after the delay; retry begins anew; v3 starts from step 0."""
    await v2_at_20(place)
    await place.edit(action={"kind": "Abort", "id": "1"})
    await place.settle(1)
    assert await place.shares() == {"v1": 100, "v2": 0}
    assert len(await place.cluster.list(DEPLOYMENT, place.namespace)) == 2
    await place.settle(40)
    assert len(await place.cluster.list(DEPLOYMENT, place.namespace)) == 1
    assert await place.condition("Degraded") == ("True", "RevisionRejected")
    assert (await place.condition("Ready"))[0] == "True"
    await place.edit(action={"kind": "Retry", "id": "2"})
    await place.settle()
    assert await place.shares() == {"v1": 80, "v2": 20}
    await place.edit(action={"kind": "Abort", "id": "3"})
    await place.settle(40)
    await place.add(version("v3", 3))
    await place.settle()
    assert await place.shares() == {"v1": 80, "v3": 20}


async def test_superseded(place: Place) -> None:
    """Scenario 6: weight 0, v2's pods go, only v3 is canary."""
    await v2_at_20(place, version={"latest": {"whileProgressing": "Supersede"}})
    await place.add(version("v3", 3))
    await place.settle(40)
    assert await place.shares() == {"v1": 80, "v3": 20}
    assert len(await place.cluster.list(DEPLOYMENT, place.namespace)) == 2


async def test_paused_writes_nothing(place: Place) -> None:
    """Scenario 13."""
    await v2_at_20(place)
    await place.edit(paused=True)
    await place.settle()
    written, version_before = place.writes(), (await place.object())["metadata"]["resourceVersion"]
    await place.settle(3600)
    assert place.writes() == written
    assert (await place.object())["metadata"]["resourceVersion"] == version_before


async def test_another_image_climbs(place: Place) -> None:
    """Scenario 14a."""
    await place.add(version("v1", 1))
    await place.rollout()
    await place.settle(40)
    await place.edit(target={"kubernetes": {"serving": {"image": "mine/server:2"}}})
    await place.settle()
    weights = [b["weight"] for b in (await place.route())["spec"]["rules"][0]["backendRefs"]]
    assert weights == [80, 20]


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_deleted_in_flight(place: Place, propagation: Any) -> None:
    """Scenario 14: stable has everything first, and nothing is left."""
    await v2_at_20(place)
    await place.cluster.delete(place.key, propagation=propagation)
    await place.gone()
    for kind in (DEPLOYMENT, SERVICE, HTTP_ROUTE, CONTROLLER_REVISION):
        assert await place.cluster.list(kind, place.namespace) == ()
    if propagation == "Foreground":
        return  # the garbage collector takes the children as it likes
    order = [w for w in place.writes() if w.startswith(("delete", "patch httproutes"))]
    assert order.index("delete httproutes") > order.index("delete deployments") > order.index("patch httproutes")


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_orphaned_and_adopted(place: Place, propagation: Any) -> None:
    """Scenario 14: stable stays with all traffic, and the next Rollout of the name takes it up."""
    await v2_at_20(place, deletionPolicy="Orphan")
    await place.cluster.delete(place.key, propagation=propagation)
    await place.gone()
    assert await place.shares() == {"v1": 100}
    route = await place.route()
    assert "ownerReferences" not in route["metadata"]
    await place.rollout(version={"name": "v1"})
    await place.settle()
    assert await place.shares() == {"v1": 100}
    uid = (await place.object())["metadata"]["uid"]
    for kind in (DEPLOYMENT, SERVICE, HTTP_ROUTE, CONTROLLER_REVISION):
        for obj in await place.cluster.list(kind, place.namespace):
            assert [o["uid"] for o in obj["metadata"]["ownerReferences"]] == [uid], obj["metadata"]["name"]


async def test_lost_status_moves_nothing(place: Place) -> None:
    """Scenario 14c: the same revisions, weight and step; a rejected revision stays rejected."""
    await v2_at_20(place)
    generation = (await place.route())["metadata"]["generation"]
    await _lose_status(place)
    await place.settle()
    found = (await place.object())["status"]
    assert (found["stable"]["version"], found["canary"]["version"], found["weight"]) == ("v1", "v2", 20)
    assert (await place.route())["metadata"]["generation"] == generation
    await place.edit(action={"kind": "Abort", "id": "1"})
    await place.settle(40)
    await _lose_status(place)
    await place.settle(40)
    assert await place.shares() == {"v1": 100}
    assert await place.condition("Degraded") == ("True", "RevisionRejected")


async def _lose_status(place: Place) -> None:
    patch = dict.fromkeys((await place.object())["status"])
    await place.cluster.patch(place.key, {"status": patch}, status=True)


async def test_edited_and_deleted_routes_come_back(place: Place) -> None:
    """Scenarios 26 and 27."""
    await v2_at_20(place)
    route = await place.route()
    rule = route["spec"]["rules"][0]
    edited = [{**b, "weight": w} for b, w in zip(rule["backendRefs"], (0, 100), strict=True)]
    ref = Ref(HTTP_ROUTE, place.namespace, "churn")
    await place.cluster.patch(ref, {"spec": {"rules": [{**rule, "backendRefs": edited}]}})
    await place.settle()
    assert await place.shares() == {"v1": 80, "v2": 20}
    await place.cluster.delete(ref)
    await place.settle()
    assert await place.shares() == {"v1": 80, "v2": 20}


async def test_others_routes_stay_untouched(place: Place) -> None:
    """Scenario 31: somebody's route of the Rollout's name; and a second Rollout on one host and path."""
    theirs = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "churn"},
        "spec": {"parentRefs": PARENTS, "rules": [{"backendRefs": [{"name": "x", "port": 80}]}]},
    }
    await place.add(theirs)
    spec = (await place.route())["spec"]
    await place.add(version("v1", 1))
    await place.rollout()
    await place.settle()
    assert await place.condition("Accepted") == ("False", "RouteConflict")
    assert (await place.route())["spec"] == spec


async def test_second_rollout_on_one_host(place: Place) -> None:
    await place.add(version("v1", 1))
    await place.rollout("a-first")
    await place.rollout()
    await place.settle()
    assert await place.condition("Accepted") == ("False", "HostPathConflict")
    assert await place.cluster.list(DEPLOYMENT, place.namespace) == ()


async def test_canary_without_ready_pods_loses_its_weight(place: Place) -> None:
    """Scenario 28."""
    await v2_at_20(place)
    place.broken.add("v2")
    await place.settle()
    assert await place.shares() == {"v1": 100, "v2": 0}
    place.broken.discard("v2")
    await place.settle()
    assert await place.shares() == {"v1": 80, "v2": 20}


def test_pods_are_restricted(rig: ApiServerRig) -> None:
    """The rendered pod passes the `restricted` standard of the API server itself."""
    call = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig)]
    labels = "pod-security.kubernetes.io/enforce=restricted"
    subprocess.run([*call, "create", "namespace", "restricted"], check=True, capture_output=True)
    subprocess.run([*call, "label", "namespace", "restricted", labels], check=True, capture_output=True)
    account = ["create", "serviceaccount", "default", "--namespace", "restricted"]
    subprocess.run([*call, *account], check=True, capture_output=True)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "restricted"}}
    body = json.dumps(pod | {"spec": pod_template()["spec"]})
    done = subprocess.run(
        [*call, "apply", "--dry-run=server", "-f", "-"], input=body, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr

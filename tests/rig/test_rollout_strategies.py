"""Strategies on a real API server: its schemas take the routes and the status, and its scale subresource works."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.rig import ApiServerRig
from tests.golden.rollout.manifests import TARGET, version
from tests.golden.rollout.stories_of_strategies import BESIDE, canary, on_gpus
from tests.rig.place import Place
from tests.rig.test_rollout import namespace, place, rig
from trainyard.systems.cluster.port import DEPLOYMENT, HTTP_ROUTE, SERVICE

__all__ = ["namespace", "place", "rig"]  # fixtures
pytestmark = pytest.mark.rig


def kubectl(rig: ApiServerRig, *arguments: str, stdin: str = "") -> str:
    call = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig), *arguments]
    return subprocess.run(call, check=True, capture_output=True, input=stdin, text=True).stdout


async def v2_comes(p: Place, **spec: Any) -> None:
    await p.add(version("v1", 1))
    await p.rollout(**spec)
    await p.settle(40)
    await p.add(version("v2", 2))
    await p.settle()


async def act(p: Place, kind: str, number: int) -> None:
    await p.edit(action={"kind": kind, "id": str(number), "by": "ada"})
    await p.settle()


async def rules(p: Place) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await p.route())["spec"]["rules"]
    return found


async def beside(p: Place) -> tuple[int, bool]:
    """Return how many rules stand in front of the weighted one, and whether that one mirrors."""
    found = await rules(p)
    return len(found) - 1, "filters" in found[-1]


async def test_headers_and_mirror_and_nothing_after_promote(place: Place) -> None:
    """Scenario 30."""
    await v2_comes(place, strategy=canary(*BESIDE))
    assert await beside(place) == (1, False)
    await act(place, "Promote", 1)
    assert await beside(place) == (1, True)
    await act(place, "Promote", 2)
    assert await beside(place) == (1, False)
    assert await place.shares() == {"v1": 80, "v2": 20}
    await act(place, "Promote", 3)
    assert await beside(place) == (0, False)
    assert await place.condition("Ready") == ("True", "Promoted")


@pytest.mark.parametrize("end", ["abort", "supersede", "delete"])
async def test_nothing_is_left_beside(place: Place, end: str) -> None:
    """Scenario 30: gone after abort, supersede and delete, with the weights' own write."""
    await v2_comes(place, strategy=canary(*BESIDE[:4]), version={"latest": {"whileProgressing": "Supersede"}})
    await act(place, "Promote", 1)
    assert await beside(place) == (1, True)
    writes = len(place.writes())
    if end == "abort":
        await act(place, "Abort", 2)
        assert await beside(place) == (0, False)
        ours = [w for w in place.writes()[writes:] if w.startswith("patch")]
        assert ours[:2] == ["patch rollouts/status", "patch httproutes"], "the intent first, then all of it at once"
    elif end == "supersede":
        await place.add(version("v3", 3))
        await place.settle()
        assert (await rules(place))[0]["backendRefs"][0]["name"].endswith(await _canary(place))
    else:
        await place.cluster.delete(place.key)
        await place.settle()
        for kind in (DEPLOYMENT, SERVICE, HTTP_ROUTE):
            assert await place.cluster.list(kind, place.namespace) == ()


async def _canary(place: Place) -> str:
    status = (await place.object())["status"]
    assert status["canary"]["version"] == "v3"
    return str(status["canary"]["revision"])


async def test_cookies_in_the_route(place: Place) -> None:
    affinity = {"cookie": {"name": "rev", "maxAgeSeconds": 60}}
    await v2_comes(place, strategy=canary({"setWeight": 20}, {"pause": {}}, sessionAffinity=affinity))
    found = await rules(place)
    assert [r["matches"][0].get("headers", [{}])[0].get("type") for r in found] == ["RegularExpression"] * 2 + [None]
    assert [len(r["backendRefs"]) for r in found] == [1, 1, 2]
    written = place.writes()
    await place.settle(3600)
    assert place.writes() == written, "the API server's defaults are no drift"
    await act(place, "PromoteFull", 1)
    assert "filters" not in json.dumps(await rules(place))


async def test_blue_green(place: Place) -> None:
    preview = {"header": {"name": "X-Preview", "value": "1"}}
    strategy = {"blueGreen": {"preview": preview, "autoPromotionSeconds": 60, "afterSwitchSeconds": 120}}
    await v2_comes(place, strategy=strategy)
    assert await place.shares() == {"v1": 100, "v2": 0}
    assert await beside(place) == (1, False)
    sizes = {d["spec"]["replicas"] for d in await place.cluster.list(DEPLOYMENT, place.namespace)}
    assert sizes == {2}, "full size beside stable"
    await place.settle(70)
    assert await place.shares() == {"v1": 0, "v2": 100}
    assert (await place.object())["status"]["stable"]["version"] == "v1", "there is still a way back"
    await place.settle(200)
    assert (await place.object())["status"]["history"][0]["outcome"] == "Promoted"
    assert len(await place.cluster.list(DEPLOYMENT, place.namespace)) == 1


async def test_an_autoscaler_writes_the_scale_subresource(rig: ApiServerRig, place: Place) -> None:
    """Scenario 10, in the middle of a canary: both revisions follow, and no new rollout begins."""
    await v2_comes(place, strategy=canary({"setWeight": 50}, {"pause": {}}))
    path = f"/apis/trainyard.dev/v1alpha1/namespaces/{place.namespace}/rollouts/churn/scale"
    told = json.loads(kubectl(rig, "get", "--raw", path))
    assert (told["spec"]["replicas"], told["status"]["replicas"]) == (2, 3)
    labels = dict(pair.split("=") for pair in told["status"]["selector"].split(","))
    for deployment in await place.cluster.list(DEPLOYMENT, place.namespace):
        assert labels.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    kubectl(rig, "--namespace", place.namespace, "scale", "rollout", "churn", "--replicas=6")
    await place.settle()
    sizes = sorted(d["spec"]["replicas"] for d in await place.cluster.list(DEPLOYMENT, place.namespace))
    assert sizes == [3, 6]
    status = (await place.object())["status"]
    assert (status["replicas"], status["weight"], status["step"]) == (9, 50, 1)


async def test_stable_gives_way_for_accelerators(place: Place) -> None:
    await v2_comes(place, strategy=canary({"setWeight": 50}, {"pause": {}}, maxExtraAccelerators=2), target=on_gpus(4))
    sizes = [d["spec"]["replicas"] for d in await place.cluster.list(DEPLOYMENT, place.namespace)]
    assert sorted(sizes) == [2, 3], "four and one to spare"
    assert await place.shares() == {"v1": 50, "v2": 50}
    await act(place, "Abort", 1)
    sizes = [d["spec"]["replicas"] for d in await place.cluster.list(DEPLOYMENT, place.namespace)]
    assert sorted(sizes) == [2, 4]


async def test_what_the_class_does_not_list_is_refused(rig: ApiServerRig, place: Place) -> None:
    """The Gateway of this API server has no class that lists a mirror by percent; then nothing moves."""
    gateway = {"gatewayClassName": place.namespace, "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}
    made = [
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": place.namespace},
         "spec": {"controllerName": "test.example/gateway"}},
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
         "metadata": {"name": "mine", "namespace": place.namespace}, "spec": gateway},
    ]  # fmt: skip
    for obj in made:
        kubectl(rig, "apply", "-f", "-", stdin=json.dumps(obj))
    traffic = {**TARGET["kubernetes"]["traffic"], "parentRefs": [{"name": "mine"}]}
    await place.add(version("v1", 1))
    await place.rollout(
        target={"kubernetes": {**TARGET["kubernetes"], "traffic": traffic}},
        strategy=canary({"setMirrorRoute": {"percent": 20}}),
    )
    await place.settle()
    assert await place.condition("Accepted") == ("False", "GatewayLacksFeature")
    assert await place.cluster.list(DEPLOYMENT, place.namespace) == ()


def test_the_api_server_takes_the_examples(rig: ApiServerRig) -> None:
    for file in sorted((Path(__file__).parents[2] / "examples/strategies").glob("*.yaml")):
        told = kubectl(rig, "apply", "--dry-run=server", "-f", str(file))
        assert "created" in told, file

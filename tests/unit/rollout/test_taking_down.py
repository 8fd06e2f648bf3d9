"""Pods go once nothing sends to them: not the route, and no Gateway by an older route."""

import pytest

from tests.golden.rollout.manifests import version
from tests.golden.rollout.stories import v2_comes
from tests.golden.rollout.world import KEY, World
from trainyard import naming
from trainyard.systems.cluster.port import DEPLOYMENT


def running(w: World) -> list[str]:
    """The versions that have a Deployment."""
    return sorted(d["metadata"]["labels"][naming.LABEL_VERSION] for d in w.cluster.all(DEPLOYMENT))


async def aborted_while_the_gateway_is_away() -> World:
    """Its proxies go on as they were told last: 20 % of the requests come to v2."""
    w = World()
    await v2_comes(w, version={"latest": {"whileProgressing": "Supersede"}})
    w.gateway = False
    w.act("Abort")
    await w.settle(3600)
    assert (w.shares(), w.outcome()[-1]) == ({"v1": 100, "v2": 0}, "v2 Aborted")
    return w


@pytest.mark.parametrize("answer", ["True", "False"])
async def test_pods_stay_until_the_gateway_has_answered_to_their_weight(answer: str) -> None:
    w = await aborted_while_the_gateway_is_away()
    assert running(w) == ["v1", "v2"]
    w.gateway, w.answer = True, answer
    await w.settle(10)
    assert (running(w), w.shares()) == (["v1"], {"v1": 100})


async def test_what_comes_meanwhile_does_not_pile_up() -> None:
    """No Gateway heard of it, so nothing can come to it: its pods go as ever."""
    w = await aborted_while_the_gateway_is_away()
    for number in (3, 4, 5):
        w.add(version(f"v{number}", number))
        await w.settle(60)
        assert running(w) == ["v1", "v2", f"v{number}"]
        assert w.shares() == {"v1": 100, "v2": 0}
    w.gateway = True
    await w.settle(10)
    assert (running(w), w.shares()) == (["v1", "v5"], {"v1": 80, "v5": 20})


async def test_a_deletion_does_not_wait_for_a_gateway() -> None:
    w = await aborted_while_the_gateway_is_away()
    w.cluster.remove(KEY)
    await w.settle(10)
    assert (w.cluster.look(KEY), running(w)) == (None, [])


async def test_a_stable_without_pods_comes_back_to_a_route_that_is_not_answered() -> None:
    w = await aborted_while_the_gateway_is_away()
    w.broken.add("v1")
    await w.settle(60)
    assert running(w) == ["v1", "v2"], "some requests are answered"
    w.broken.clear()
    w.gateway = True
    await w.settle(10)
    assert running(w) == ["v1"]


async def test_nothing_of_a_spec_that_is_refused_is_applied_while_pods_wait() -> None:
    w = await aborted_while_the_gateway_is_away()
    freeze = [{"name": "odd", "cron": "never", "durationSeconds": 60}]
    w.edit(freeze=freeze, target={"kubernetes": {"serving": {"replicas": 7}}})
    await w.settle(60)
    assert w.condition("Accepted")["reason"] == "InvalidFreeze"
    assert (running(w), w.available("v1")) == (["v1", "v2"], 2)

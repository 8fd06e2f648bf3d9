"""A canary whose pods come as stable gives way climbs in parts, never back, and rests: done, or told what is short."""

import itertools
from typing import Any

import pytest

from tests.golden.rollout.stories import v2_comes
from tests.golden.rollout.stories_of_strategies import canary, on_gpus
from tests.golden.rollout.world import World

LADDERS = ((5,), (50,), (34, 67), (5, 50), (100,), (1, 99))
SIZES: tuple[dict[str, Any], ...] = ({}, {"percent": 30}, {"percent": 100}, {"count": 1}, {"count": 4})


async def climbs(replicas: int, extra: int, size: dict[str, Any], ladder: tuple[int, ...], seed: int | None) -> None:
    """Play one, and judge it."""
    w = World(seed)
    steps = [step for weight in ladder for step in ({"setWeight": weight}, {"pause": {"durationSeconds": 60}})]
    sized = {"replicas": size} if size else {}
    strategy = canary(*steps, maxExtraAccelerators=extra, **sized)
    await v2_comes(w, strategy=strategy, target=on_gpus(replicas, count=1))
    for _ in range(6):
        await w.settle(60)  # fails where it does not come to rest
    path = [shares.get("v2", 0) for shares in w.weights]
    assert path == sorted(path), "a weight was taken back"
    if "canary" in w.status():
        assert w.condition("Available")["reason"] == "InsufficientCapacity"
    else:
        assert w.outcome() == ["v1 Promoted", "v2 Promoted"]


@pytest.mark.parametrize("ladder", LADDERS[:3], ids=str)
@pytest.mark.parametrize("size", [{}, {"percent": 100}], ids=str)
@pytest.mark.parametrize(("replicas", "extra"), [(3, 2), (10, 1), (10, 3)])
async def test_it_climbs_and_rests(replicas: int, extra: int, size: dict[str, Any], ladder: tuple[int, ...]) -> None:
    await climbs(replicas, extra, size, ladder, None)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ladder", LADDERS, ids=str)
async def test_it_climbs_and_rests_whatever_the_numbers(ladder: tuple[int, ...], seed: int) -> None:
    for replicas, extra, size in itertools.product((1, 2, 3, 5, 10), range(4), SIZES):
        await climbs(replicas, extra, size, ladder, seed)

"""How a canary may end: only by a decision, and only as a version that is still ready."""

from typing import Any

import pytest

from tests.golden.rollout.manifests import version
from tests.golden.rollout.stories import v1_serves
from tests.golden.rollout.world import World


@pytest.mark.parametrize("window", [0, 1])
async def test_a_version_that_is_no_longer_ready_is_not_promoted_on_its_last_rise(window: int) -> None:
    """The steps are over, or it was stable lately and needs none: all traffic is on its way, and it may not have it."""
    w = World()
    steps: list[dict[str, Any]] = [] if window else [{"setWeight": 20}, {"pause": {"durationSeconds": 10}}]
    await v1_serves(w, version={"name": "v1"}, strategy={"canary": {"steps": steps}}, rollbackWindow=window)
    w.add(version("v2", 2))
    if window:
        w.edit(version={"name": "v2"})
        await w.settle(40)
        assert w.shares() == {"v2": 100}
    name = "v1" if window else "v2"
    w.room[name] = 1
    w.edit(version={"name": name})
    await w.settle(30)
    assert w.status()["ending"]["outcome"] == "Promoted"
    w.set_ready(name, False)
    await w.settle(10)
    w.room.clear()
    await w.settle(60)
    assert w.outcome()[-1] == f"{name} Aborted"
    assert w.shares() == {"v2" if window else "v1": 100}

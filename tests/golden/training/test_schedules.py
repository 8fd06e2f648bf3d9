"""Calendar days of a pipeline, told as text; and the operator killed after every write of them: the same runs, once."""

import os
from pathlib import Path

import pytest

from tests.golden.training import stories_of_events as events
from tests.golden.training import stories_of_schedules as schedules
from tests.golden.training.clockwork import Clockwork
from tests.golden.training.test_kills import Lost
from tests.golden.training.world import Killed, end_state
from trainyard.systems.cluster.port import EVENT

FOLDER = Path(__file__).parent


@pytest.mark.parametrize("story", [*schedules.STORIES, *events.STORIES], ids=lambda s: str(s.__name__))
async def test_story(story: schedules.Story) -> None:
    world = Clockwork()
    await story(world)
    before = len(world.cluster.writes)
    await world.until(world.now)
    assert len(world.cluster.writes) == before, "a visit without news writes nothing"
    file = FOLDER / f"{story.__name__}.txt"
    if os.environ.get("TRAINYARD_GOLDEN") == "write":
        file.write_text(world.text())
    assert world.text() == file.read_text()


@pytest.mark.crashes
@pytest.mark.parametrize("fault", [Killed, Lost], ids=["killed", "reply-lost"])
@pytest.mark.parametrize("story", [*schedules.KILLED, *events.STORIES], ids=lambda s: str(s.__name__))
async def test_same_runs_whatever_is_killed(story: schedules.Story, fault: type[Exception]) -> None:
    calm = Clockwork()
    await story(calm)
    expected, slots = end_state(calm), sorted(calm.slots())
    for j, write in enumerate(calm.cluster.writes, start=1):
        world = Clockwork(kill_at=j, fault=fault)
        await story(world)
        assert write.ref.kind == EVENT or "cycle ends" in world.text()
        assert sorted(world.slots()) == slots, f"write {j}:\n{world.text()}"
        assert end_state(world) == expected, f"write {j}:\n{world.text()}"

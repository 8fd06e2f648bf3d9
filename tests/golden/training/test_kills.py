"""The operator is killed after its j-th write, or loses the reply to it, for every j: the same end, one Job each."""

from collections.abc import Awaitable, Callable

import pytest

from tests.golden.training import stories_of_attempts as attempts
from tests.golden.training import stories_of_data as data
from tests.golden.training import stories_of_pipelines as pipelines
from tests.golden.training import stories_of_runs as runs
from tests.golden.training.world import Killed, World, end_state, jobs
from trainyard.systems.cluster.port import EVENT, Unavailable

pytestmark = pytest.mark.crashes

History = Callable[[World], Awaitable[None]]
LIVES = (
    runs.succeeded,
    runs.exit_3,
    runs.nothing_to_publish,
    runs.timed_out,
    runs.cancelled,
    runs.deleted_while_running,
    pipelines.replace_cancels_first,
    attempts.a_worker_fails,
    data.data_comes_later,
    pytest.param(attempts.cancelled_between_attempts, marks=pytest.mark.soak),
    pytest.param(pipelines.history_is_pruned, marks=pytest.mark.soak),  # a hundred writes
)


class Lost(Unavailable):
    """The write happened, its reply did not arrive."""


async def _live(history: History, kill_at: int | None, fault: type[Exception]) -> World:
    world = World(kill_at=kill_at, fault=fault)
    await history(world)
    await world.stays_quiet()
    return world


@pytest.mark.parametrize("fault", [Killed, Lost], ids=["killed", "reply-lost"])
@pytest.mark.parametrize("history", LIVES, ids=lambda h: str(h.__name__))
async def test_same_end(history: History, fault: type[Exception]) -> None:
    calm = await _live(history, None, fault)
    expected = end_state(calm)
    for j, write in enumerate(calm.cluster.writes, start=1):
        world = await _live(history, j, fault)
        assert write.ref.kind == EVENT or "cycle ends" in world.text()
        assert end_state(world) == expected, f"write {j}:\n{world.text()}"
        assert jobs(world) == jobs(calm), f"write {j}:\n{world.text()}"

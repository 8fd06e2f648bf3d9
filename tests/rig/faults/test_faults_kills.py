"""Scenario 53: the operator is killed right after a write that the API server took, before it can know of it.

Each story is a whole Rollout, up to its rest. In every test one run is killed after each of its writes, so that no life
does more than one; in the soak each write has a run of its own in which only that one is followed by a kill.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from local.rig import ApiServerRig
from tests.rig.faults.breaking import number, then, writes
from tests.rig.faults.judging import Told, assert_sound, play
from tests.rig.faults.proxy import Matches
from tests.rig.faults.stage import Stage, Story, staged
from tests.rig.faults.stories import STORIES

pytestmark = [pytest.mark.rig, pytest.mark.timeout(3000)]

LANES = 4  # stories at a time: most of a life is spent waiting


async def killed(stage: Stage, story: Story, name: str, killing: Matches, at_least: int = 0) -> Told:
    """Play a story; the operator is killed after these of its writes. at_least: a story with fewer need not see it."""
    stage.proxy.heal()
    stage.proxy.writes = 0
    rule = stage.proxy.on(killing, then(stage.operator.strike), times=None)
    told = await play(stage, story, name)
    stage.proxy.heal()
    assert rule.used or told.writes.total() < at_least, f"{name} ended without the write that kills"
    return told


async def spread(stages: Sequence[Stage], jobs: Sequence[Callable[[Stage], Awaitable[None]]]) -> None:
    """Do the jobs, one at a time on each stage."""
    left = list(reversed(jobs))

    async def work(stage: Stage) -> None:
        while left:
            await left.pop()(stage)

    async with asyncio.TaskGroup() as group:
        for stage in stages:
            group.create_task(work(stage))


@pytest.fixture
async def stages(rig: ApiServerRig, tmp_path: Path) -> AsyncIterator[list[Stage]]:
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(staged(rig, tmp_path)) for _ in range(LANES)]
        for stage in made:
            await stage.start()
        yield made


async def test_killed_after_every_write(stages: list[Stage]) -> None:
    async def job(stage: Stage, story: Story) -> None:
        name = story.__name__
        whole = await play(stage, story, f"{name}-whole")
        cut = await killed(stage, story, f"{name}-cut", writes())
        # Not quite one for each write: another may have been under way beside it. The uncut run's number says nothing
        # here: it tells in status and Events what passes, and how much it sees of that depends on the machine.
        assert cut.lives >= 0.8 * cut.writes.total(), cut.writes
        assert (cut.path, cut.outcome) == (whole.path, whole.outcome), f"{name}: {stage.told()}"
        assert max(cut.writes.values()) <= 2, cut.writes.most_common(3)

    await spread(stages, [partial(job, story=story) for story in STORIES])
    assert_sound(stages)


@pytest.mark.soak
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_killed_after_the_nth_write(stages: list[Stage], story: Story) -> None:
    whole = await play(stages[0], story, "whole")
    count = whole.writes.total()
    assert count > 20

    async def job(stage: Stage, cut: int) -> None:
        # Events and the numbers of a step are written when time allows: a story may end a write or two earlier.
        told = await killed(stage, story, f"cut{cut}", number(cut), cut if cut > count - 2 else 0)
        assert (told.path, told.outcome) == (whole.path, whole.outcome), f"killed after write {cut}: {stage.told()}"
        assert told.repeated <= whole.repeated + 1, f"killed after write {cut}: {told.writes.most_common(3)}"

    await spread(stages, [partial(job, cut=cut) for cut in range(1, count + 1)])
    assert_sound(stages)

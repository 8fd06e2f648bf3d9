"""Whole rollouts over fakes, told as text and compared with the files beside this one.

A reviewer reads behaviour in the diff. `TRAINYARD_GOLDEN=write pytest tests/golden` writes the files anew. Each
story also runs in seeded-random orders of operator, Deployment controller and Gateway: the weights must take the
same way, and the end must be the same.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.golden.rollout import stories
from tests.golden.rollout import stories_of_trouble as trouble
from tests.golden.rollout.world import World

FOLDER = Path(__file__).parent
STORIES: tuple[Callable[[World], Awaitable[None]], ...] = (
    stories.first_version,
    stories.ladder_with_a_person,
    stories.promoted_at_once,
    stories.aborted_and_retried,
    stories.aborted_then_a_third,
    stories.superseded,
    stories.queued,
    stories.rolled_back_by_name,
    stories.rejected_by_name,
    stories.only_replicas,
    stories.only_the_image,
    stories.paused_by_a_person,
    stories.steps_edited,
    stories.stale_actions,
    stories.measured_and_promoted,
    stories.failed_and_aborted,
    stories.good_bad_good_bad,
    stories.prometheus_away,
    stories.no_data_for_too_long,
    stories.no_data_aborts,
    stories.traffic_does_not_follow,
    trouble.canary_never_ready,
    trouble.canary_dies,
    trouble.stable_away_at_abort,
    trouble.version_no_longer_ready,
    trouble.route_edited,
    trouble.route_contested,
    trouble.route_deleted,
    trouble.objects_edited,
    trouble.route_conflict,
    trouble.second_on_one_host,
    trouble.gateway_refuses,
    trouble.status_lost,
    trouble.status_lost_after_an_abort,
    trouble.deleted_in_flight,
    trouble.orphaned_and_adopted,
)


_FIXED: dict[str, World] = {}


async def _in_fixed_order(story: Callable[[World], Awaitable[None]]) -> World:
    """Return the world after the story, told once for all seeds."""
    if story.__name__ not in _FIXED:
        w = World()
        await story(w)
        _FIXED[story.__name__] = w
    return _FIXED[story.__name__]


def text_of(w: World) -> str:
    return w.plain("\n".join([*w.lines, "", w.finale()])) + "\n"


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.__name__)
async def test_history(story: Callable[[World], Awaitable[None]]) -> None:
    w = World()
    await story(w)
    file = FOLDER / f"{story.__name__}.txt"
    if os.environ.get("TRAINYARD_GOLDEN") == "write":
        file.write_text(text_of(w))
    assert text_of(w) == file.read_text()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 10))])
@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.__name__)
async def test_any_order_takes_the_same_way(story: Callable[[World], Awaitable[None]], seed: int) -> None:
    fixed, shuffled = await _in_fixed_order(story), World(seed=seed)
    await story(shuffled)
    assert shuffled.weights == fixed.weights
    assert shuffled.outcome() == fixed.outcome()
    assert shuffled.finale() == fixed.finale()


def test_every_file_has_its_story() -> None:
    assert {f.stem for f in FOLDER.glob("*.txt")} == {story.__name__ for story in STORIES}

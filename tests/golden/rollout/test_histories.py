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
from tests.golden.rollout import stories_of_admission as admission
from tests.golden.rollout import stories_of_comparison as comparison
from tests.golden.rollout import stories_of_experiments as experiments
from tests.golden.rollout import stories_of_meddling as meddling
from tests.golden.rollout import stories_of_people as people
from tests.golden.rollout import stories_of_strategies as strategies
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
    comparison.worse_by_blocks,
    comparison.gone_between_two_blocks,
    comparison.alike_by_blocks,
    stories.good_bad_good_bad,
    stories.prometheus_away,
    stories.no_data_for_too_long,
    stories.no_data_aborts,
    stories.traffic_does_not_follow,
    people.alias_forward_and_back,
    people.alias_lost_by_accident,
    people.alias_of_what_was_rejected,
    people.queue_of_three_and_a_late_one,
    people.supersede_by_three,
    people.latest_skips_what_was_rejected,
    people.within_the_rollback_window,
    people.steps_edited_on_the_way_back,
    people.frozen_at_a_pause,
    people.steps_edited_while_frozen,
    people.nothing_begins_while_frozen,
    people.measured_and_aborted_while_frozen,
    people.pods_die_while_frozen,
    people.superseded_while_frozen,
    people.the_first_version_waits_for_the_window_too,
    people.each_action_once,
    trouble.canary_never_ready,
    trouble.canary_dies,
    trouble.stable_away_at_abort,
    trouble.version_no_longer_ready,
    trouble.version_no_longer_ready_on_the_last_rise,
    trouble.route_edited,
    meddling.route_added_to,
    meddling.route_narrowed,
    meddling.hosts_and_timeout_taken_out,
    meddling.refused_in_flight_and_aborted,
    meddling.refused_in_flight_and_the_pods_die,
    meddling.refused_in_flight_and_it_fails,
    meddling.down_while_it_was_held,
    meddling.metrics_renamed_in_flight,
    meddling.a_query_that_is_refused_at_length,
    trouble.route_contested,
    trouble.route_deleted,
    trouble.objects_edited,
    trouble.route_conflict,
    trouble.second_on_one_host,
    trouble.gateway_refuses,
    trouble.status_lost,
    trouble.status_lost_after_an_abort,
    trouble.status_lost_on_the_way_back,
    trouble.deleted_in_flight,
    trouble.orphaned_and_adopted,
    strategies.headers_and_mirror,
    strategies.beside_aborted,
    strategies.beside_superseded,
    strategies.beside_deleted,
    strategies.beside_left,
    strategies.beside_and_the_pods_die,
    strategies.beside_edited,
    strategies.beside_and_status_lost,
    strategies.users_stay_where_they_were,
    strategies.measured_before_it_goes_on,
    strategies.measured_and_failed,
    strategies.blue_green,
    strategies.blue_green_by_a_person,
    strategies.blue_green_fails_before_the_switch,
    strategies.blue_green_fails_after_the_switch,
    strategies.a_strategy_changed_in_flight,
    strategies.stable_gives_way_for_accelerators,
    strategies.stable_grows_again_at_abort,
    strategies.no_accelerator_to_spare,
    trouble.part_of_a_first_weight_fails,
    strategies.scaled_in_flight,
    strategies.scaled_and_short_of_pods,
    strategies.scaled_at_rest,
    strategies.a_crash_loop_that_wobbles,
    strategies.a_deadline_does_not_run_while_paused,
    strategies.gateway_lacks_the_mirror,
    strategies.experiment_shown,
    strategies.experiment_harmful,
    strategies.experiment_of_equals,
    strategies.experiment_assigned_by_the_callers,
    strategies.experiment_aborted,
    experiments.experiment_shown_while_frozen,
    experiments.experiment_harmful_while_frozen,
    experiments.experiment_over_while_frozen,
    admission.images_are_rewritten,
    admission.the_route_is_rewritten,
    admission.pods_beyond_the_quota,
    admission.pods_beyond_the_quota_for_too_long,
    admission.pods_die_while_a_deployment_is_refused,
    admission.a_route_against_the_policy,
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


@pytest.mark.parametrize(
    "seed",
    [pytest.param(0, marks=pytest.mark.crashes), *(pytest.param(s, marks=pytest.mark.soak) for s in range(1, 10))],
)
@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.__name__)
async def test_any_order_takes_the_same_way(story: Callable[[World], Awaitable[None]], seed: int) -> None:
    fixed, shuffled = await _in_fixed_order(story), World(seed=seed)
    await story(shuffled)
    assert shuffled.weights == fixed.weights
    assert shuffled.outcome() == fixed.outcome()
    assert shuffled.finale() == fixed.finale()


def test_every_file_has_its_story() -> None:
    assert {f.stem for f in FOLDER.glob("*.txt")} == {story.__name__ for story in STORIES}

"""A whole rollout with the operator's process ended right after its j-th write, for every j.

The weights must take the same way and the end must be the same: every cycle starts from what is there.
"""

from collections.abc import Awaitable, Callable

import pytest

from tests.golden.rollout import stories
from tests.golden.rollout import stories_of_admission as admission
from tests.golden.rollout import stories_of_comparison as comparison
from tests.golden.rollout import stories_of_people as people
from tests.golden.rollout import stories_of_strategies as strategies
from tests.golden.rollout import stories_of_trouble as trouble
from tests.golden.rollout.world import World
from trainyard.systems.cluster.port import EVENT

pytestmark = pytest.mark.crashes

# Each with another kind of writes; the first in every check.
CUT = (
    stories.ladder_with_a_person,
    *(
        pytest.param(story, marks=pytest.mark.soak)
        for story in (
            stories.aborted_and_retried,
            stories.superseded,
            stories.failed_and_aborted,
            stories.measured_and_promoted,
            stories.queued,
            stories.rejected_by_name,
            stories.no_data_aborts,
            comparison.worse_by_blocks,
            comparison.alike_by_blocks,
            people.alias_forward_and_back,
            people.within_the_rollback_window,
            people.frozen_at_a_pause,
            trouble.canary_dies,
            trouble.deleted_in_flight,
            trouble.orphaned_and_adopted,
            strategies.blue_green,
            strategies.blue_green_fails_after_the_switch,
            strategies.headers_and_mirror,
            strategies.beside_aborted,
            strategies.beside_superseded,
            strategies.beside_deleted,
            strategies.beside_left,
            strategies.users_stay_where_they_were,
            strategies.stable_gives_way_for_accelerators,
            strategies.experiment_shown,
            strategies.experiment_harmful,
            strategies.experiment_assigned_by_the_callers,
            strategies.experiment_aborted,
            admission.images_are_rewritten,
            admission.the_route_is_rewritten,
            admission.pods_beyond_the_quota,
            admission.pods_die_while_a_deployment_is_refused,
            admission.a_route_against_the_policy,
        )
    ),
)

# Objects of which a new process has to learn again, by an apply, how the API server wants them.
ALTERED: dict[Callable[[World], Awaitable[None]], int] = {
    admission.images_are_rewritten: 2,
    admission.the_route_is_rewritten: 1,
}


async def _writes(story: Callable[[World], Awaitable[None]]) -> World:
    w = World()
    await story(w)
    return w


@pytest.mark.parametrize("story", CUT, ids=lambda s: getattr(s, "__name__", None))
async def test_killed_after_every_write(story: Callable[[World], Awaitable[None]]) -> None:
    whole = await _writes(story)
    assert whole.own_writes > 15
    for cut in range(1, whole.own_writes + 1):
        w = World(kill_after=cut)
        await story(w)
        assert w.killed
        assert w.weights == whole.weights, f"killed after write {cut}:\n" + "\n".join(w.lines)
        assert w.outcome() == whole.outcome(), f"killed after write {cut}"
        assert _conditions(w) == _conditions(whole), f"killed after write {cut}"
        assert _repeated(w) <= _repeated(whole) + 1 + ALTERED.get(story, 0), f"killed after write {cut}"


def _repeated(w: World) -> int:
    """How many writes of its own said what was there already."""
    return sum(not write.changed and write.ref.kind != EVENT for write in w.cluster.writes)


def _conditions(w: World) -> list[tuple[str, str, str]]:
    return [(c["type"], c["status"], c["reason"]) for c in w.status().get("conditions", [])]


@pytest.mark.soak
async def test_rows_survive_a_kill_and_come_once() -> None:
    """(uid, sequence) is the key: a repeated cycle offers the same rows."""
    whole = await _writes(stories.superseded)
    wanted = _rows(whole)
    for cut in range(1, whole.own_writes + 1):
        w = World(kill_after=cut)
        await stories.superseded(w)
        assert _rows(w) == wanted, f"killed after write {cut}"


def _rows(w: World) -> list[tuple[str, str]]:
    return [(str(row.data["decision"]), str(row.data["version"])) for row in w.database.rows.values()]

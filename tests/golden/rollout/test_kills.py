"""A whole rollout with the operator's process ended right after its j-th write, for every j.

The weights must take the same way and the end must be the same: every cycle starts from what is there.
"""

from collections.abc import Awaitable, Callable

import pytest

from tests.golden.rollout import stories
from tests.golden.rollout import stories_of_trouble as trouble
from tests.golden.rollout.world import World

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
            trouble.canary_dies,
            trouble.deleted_in_flight,
            trouble.orphaned_and_adopted,
        )
    ),
)


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

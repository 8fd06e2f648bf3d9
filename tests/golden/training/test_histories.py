"""Whole lives of pipelines and runs against fakes, told as text and compared with the files beside this one.

A reviewer reads behaviour in the diff. `TRAINYARD_GOLDEN=write pytest tests/golden` writes the files anew.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.golden.training import (
    stories_of_attempts,
    stories_of_data,
    stories_of_others,
    stories_of_pipelines,
    stories_of_runs,
    stories_of_secrets,
)
from tests.golden.training.world import World

FOLDER = Path(__file__).parent
HISTORIES = (
    *stories_of_runs.STORIES,
    *stories_of_others.STORIES,
    *stories_of_pipelines.STORIES,
    *stories_of_attempts.STORIES,
    *stories_of_data.STORIES,
    *stories_of_secrets.STORIES,
)


@pytest.mark.parametrize("history", HISTORIES, ids=lambda h: str(h.__name__))
async def test_history(history: Callable[[World], Awaitable[None]]) -> None:
    world = World()
    await history(world)
    await world.stays_quiet()
    file = FOLDER / f"{history.__name__}.txt"
    if os.environ.get("TRAINYARD_GOLDEN") == "write":
        file.write_text(world.text())
    assert world.text() == file.read_text()

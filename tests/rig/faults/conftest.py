"""What the tests of faults begin with: an API server of their own in each file, and an operator before it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from local.rig import ApiServerRig
from tests.rig.faults.stage import Stage, furnish, staged


@pytest.fixture(scope="module")
def rig() -> Iterator[ApiServerRig]:
    """An API server of its own, with our kinds and the Gateway's."""
    with ApiServerRig() as started:
        furnish(started)
        yield started


@pytest.fixture
async def stage(rig: ApiServerRig, tmp_path: Path) -> AsyncIterator[Stage]:
    """An operator that runs, and may not end."""
    async with staged(rig, tmp_path, MORTAL_LEASE_SECONDS="15") as made:
        made.revives = False  # nothing here is worth an end
        await made.start()
        yield made

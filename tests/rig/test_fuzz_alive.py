"""Schema fuzz before a running operator: what the API server takes is told of, or served, and disturbs no other (60).

The oracle: each mutation gets conditions with reasons for its own generation and then rests; it can be deleted; the
process lives, its log has no traceback and no error; a witness of each kind is served promptly throughout.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.rig import ApiServerRig
from tests.rig.fuzz.theatre import theatre
from tests.rig.fuzz.values import MANY
from tests.rig.fuzz.walking import KINDS, Mutation, mutations, touching_each_property

pytestmark = [pytest.mark.rig, pytest.mark.servers]

SEED = 60
SAMPLE = 40


@pytest.fixture
def rig() -> Iterator[ApiServerRig]:
    """A rig of its own, whose audit log is read; what is deleted takes its children along."""
    with ApiServerRig(kube_controllers="garbage-collector-controller") as started:
        yield started


async def play(rig: ApiServerRig, folder: Path, chosen: list[Mutation]) -> None:
    """Let the operator meet these, tell what came of it, and hold it against the oracle."""
    async with theatre(rig, folder) as made:
        start = time.monotonic()
        await made.play(chosen)
        print(f"seed {SEED}, {len(chosen)} mutations in {time.monotonic() - start:.0f} s\n{made.tally}")
        print(f"  slowest witness {made.slowest:.1f} s, most writes of one mutation {made.most_writes}")
        wrong = made.wrong + made.broken()
    assert wrong == [], "\n\n".join(wrong)


async def test_a_sample_meets_a_running_operator(rig: ApiServerRig, tmp_path: Path) -> None:
    found = [m for kind in KINDS for m in mutations(kind, everywhere=False)]
    sample = [m for m in touching_each_property(found, SEED) if m.what not in REFUSED]
    await play(rig, tmp_path, sample[:: len(sample) // SAMPLE])


# What the API server refuses nearly always: `test_fuzz` has seen to it.
REFUSED = ("wrong type", "another type", "null", "huge", "too long", "too many", "a number", "enum unknown")


@pytest.mark.soak
@pytest.mark.timeout(7200)
async def test_everything_that_is_taken_meets_a_running_operator(rig: ApiServerRig, tmp_path: Path) -> None:
    found = [m for kind in KINDS for m in mutations(kind, everywhere=False) if m.what != MANY]
    await play(rig, tmp_path, found)

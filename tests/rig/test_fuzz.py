"""Schema fuzz, driven by the CRDs: each property missing, empty, of a wrong type, at its bounds, past them, huge (60).

Here every answer of the API server is judged, without keeping an object; `test_fuzz_alive` sends what is accepted to
a running operator. `SEED` chooses the sample: the same one each time.
"""

import pytest

from local.rig import ApiServerRig
from tests.rig.fuzz.doors import Doors, Tally, tried
from tests.rig.fuzz.walking import KINDS, mutations, touching_each_property

pytestmark = pytest.mark.rig

SEED = 60


async def test_a_sample_that_touches_each_property_is_taken_or_refused_with_a_sentence(
    rig: ApiServerRig, crds: None
) -> None:
    found = (m for kind in KINDS for m in mutations(kind, everywhere=False))
    tally = Tally()
    async with Doors(rig, "default", dry=True) as doors:
        wrong = await tried(doors, touching_each_property(found, SEED), tally)
    print(f"seed {SEED}\n{tally}")
    assert wrong == []


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
async def test_every_mutation_is_taken_or_refused_with_a_sentence(kind: str, rig: ApiServerRig, crds: None) -> None:
    tally = Tally()
    async with Doors(rig, "default", dry=True) as doors:
        wrong = await tried(doors, list(mutations(kind)), tally)
    print(tally)
    assert wrong == []

from typing import Any

import pytest

from tests.unit.model_version.making import FILES, MANIFEST, SIZES, URI, spec
from trainyard.model_version import reasons
from trainyard.model_version.state import Evidence, Finding
from trainyard.model_version.verification import verify
from trainyard.resources.model_version import ModelVersionSpec
from trainyard.systems.artifacts.port import Manifest, ManifestFile


def check(evidence: Evidence, *, verified_before: bool = False, **changes: Any) -> Finding:
    return verify(ModelVersionSpec.model_validate(spec(**changes)), evidence, verified_before=verified_before)


def test_all_there() -> None:
    assert check(Evidence(manifest=MANIFEST, sizes=SIZES)) == Finding(True, reasons.VERIFIED)


def test_more_objects_than_the_manifest_lists_do_not_matter() -> None:
    assert check(Evidence(manifest=MANIFEST, sizes={**SIZES, "manifest.json": 7})).verified is True


def test_a_visit_without_a_listing_looks_at_the_manifest_only() -> None:
    assert check(Evidence(manifest=MANIFEST)).verified is True
    other = Manifest("SavedModel", FILES[:1])
    assert check(Evidence(manifest=other)).reason == reasons.DIGEST_MISMATCH


def test_store_away_is_unknown_unless_it_was_verified() -> None:
    assert check(Evidence(away=True)).verified is None
    assert check(Evidence(away=True)).reason == reasons.STORE_UNAVAILABLE
    assert check(Evidence(away=True), verified_before=True) == Finding(True, reasons.VERIFIED)


def test_manifest_missing_names_it() -> None:
    assert check(Evidence()) == Finding(False, reasons.MANIFEST_MISSING, f"{URI}manifest.json does not exist")


def test_manifest_malformed_says_how() -> None:
    assert check(Evidence(malformed="no JSON")) == Finding(False, reasons.MANIFEST_MALFORMED, "no JSON")


def test_digest_mismatch_names_both() -> None:
    wrong = {"uri": URI, "digest": "sha256:" + "0" * 64}
    found = check(Evidence(manifest=MANIFEST, sizes=SIZES), artifact=wrong)
    assert (found.verified, found.reason) == (False, reasons.DIGEST_MISMATCH)
    assert MANIFEST.digest in found.message
    assert wrong["digest"] in found.message


def test_missing_object_is_named() -> None:
    found = check(Evidence(manifest=MANIFEST, sizes={"model/saved_model.pb": 40}))
    assert found == Finding(False, reasons.OBJECT_MISSING, "the store lacks model/variables/v.data")


@pytest.mark.parametrize("size", [0, 899, 901])
def test_other_size_is_named(size: int) -> None:
    found = check(Evidence(manifest=MANIFEST, sizes={**SIZES, "model/variables/v.data": size}))
    assert found.reason == reasons.SIZE_MISMATCH
    assert f"model/variables/v.data ({size} bytes, not 900)" in found.message


def test_many_and_long_paths_stay_a_sentence() -> None:
    files = tuple(ManifestFile(f"{n}{'x' * 900}", 1, "c" * 64) for n in range(9))
    manifest = Manifest("SavedModel", files)
    found = check(Evidence(manifest=manifest, sizes={}), artifact={"uri": URI, "digest": manifest.digest})
    assert found.message.endswith("… and 6 more")
    assert len(found.message) < 2048

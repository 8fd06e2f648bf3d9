from typing import Any

import pytest

from tests.unit.model_version.making import AT, MANIFEST, NOW, SIZES, URI, by_type, observed, spec
from trainyard import naming
from trainyard.model_version import reasons
from trainyard.model_version.decide import HELD_SECONDS, STORE_AWAY_SECONDS, UNVERIFIED_SECONDS, decide
from trainyard.model_version.state import Evidence, Serving
from trainyard.reconciling.plan import PatchMetadata, Plan, Release
from trainyard.reconciling.status import difference

CONDITIONS = ["Accepted", "Verified", "Evaluated", "Rejected", "Ready", "Reconciling", "Stalled"]
BAD = Evidence(manifest=MANIFEST, sizes={"model/saved_model.pb": 40})


def settled(**changes: Any) -> dict[str, Any]:
    """The status of a version that was found ready."""
    return dict(decide(observed(**changes), NOW).status or {})


def test_good_version_is_ready() -> None:
    plan = decide(observed(), NOW)
    seen = by_type(plan.status)
    assert list(seen) == CONDITIONS
    assert seen["Accepted"] == ("True", reasons.VALID, "")
    assert seen["Verified"] == ("True", reasons.VERIFIED, "")
    assert seen["Evaluated"] == ("True", "Accepted", "")
    assert seen["Ready"] == ("True", reasons.READY, "")
    assert {seen[t][0] for t in ("Rejected", "Reconciling", "Stalled")} == {"False"}
    assert plan.status is not None
    assert plan.status["decision"] == {
        "verdict": "Accepted",
        "rules": [{"rule": "auc >= 0.90", "passed": True, "value": "0.93", "message": ""}],
        "at": AT,
    }
    assert plan.actions == ()
    assert plan.revisit_after is None
    assert [(n.reason, n.type) for n in plan.notes] == [("Accepted", "Normal")]


def test_missed_threshold_is_rejected_for_good() -> None:
    wanted = spec(rules=({"name": "auc", "min": "0.95"},))
    plan = decide(observed(wanted=wanted), NOW)
    seen = by_type(plan.status)
    sentence = "auc 0.93 is below min 0.95"
    assert seen["Rejected"] == ("True", reasons.THRESHOLD_MISSED, sentence)
    assert seen["Ready"] == ("False", reasons.REJECTED, sentence)
    assert seen["Stalled"] == ("True", reasons.REJECTED, sentence)
    assert [(n.reason, n.message, n.type) for n in plan.notes] == [("Rejected", sentence, "Warning")]
    assert plan.revisit_after is None


def test_decision_is_frozen_whatever_the_manifest_says_later() -> None:
    rejected = settled(wanted=spec(rules=({"name": "auc", "min": "0.95"},)))
    better = Evidence(manifest=MANIFEST, sizes=SIZES)
    plan = decide(observed(status=rejected, evidence=better), NOW)
    assert plan.status is not None
    assert plan.status["decision"]["verdict"] == "Rejected"
    assert plan.notes == ()


def test_no_rules_says_so() -> None:
    seen = by_type(decide(observed(wanted=spec(rules=())), NOW).status)
    assert seen["Rejected"][1] == reasons.NO_RULES
    assert seen["Ready"][2] == "no rule is declared in spec.evaluation.metrics, and noRules is Reject"


def test_store_away_decides_nothing_and_comes_again() -> None:
    plan = decide(observed(evidence=Evidence(away=True)), NOW)
    seen = by_type(plan.status)
    assert seen["Verified"][:2] == ("Unknown", reasons.STORE_UNAVAILABLE)
    assert seen["Evaluated"][:2] == ("Unknown", reasons.NOT_VERIFIED)
    assert seen["Ready"][:2] == ("Unknown", reasons.STORE_UNAVAILABLE)
    assert seen["Reconciling"][:2] == ("True", reasons.STORE_UNAVAILABLE)
    assert seen["Stalled"][0] == "False"
    assert "decision" not in (plan.status or {})
    assert plan.revisit_after == STORE_AWAY_SECONDS
    assert [r.type for r in plan.records] == ["version"]


def test_store_away_takes_nothing_from_a_ready_version() -> None:
    before = settled()
    plan = decide(observed(status=before, evidence=Evidence(away=True)), NOW)
    assert difference(before, plan.status or {}) == {}


def test_missing_object_is_not_ready_and_looked_for_again() -> None:
    plan = decide(observed(evidence=BAD), NOW)
    seen = by_type(plan.status)
    assert seen["Verified"] == ("False", reasons.OBJECT_MISSING, "the store lacks model/variables/v.data")
    assert seen["Ready"] == seen["Verified"]
    assert seen["Stalled"][0] == "True"
    assert plan.revisit_after == UNVERIFIED_SECONDS
    assert [n.reason for n in plan.notes] == [reasons.OBJECT_MISSING]


def test_what_is_broken_is_told_once_and_heals() -> None:
    broken = dict(decide(observed(evidence=BAD), NOW).status or {})
    assert decide(observed(evidence=BAD, status=broken), NOW).notes == ()
    healed = decide(observed(status=broken), NOW)
    assert by_type(healed.status)["Ready"][0] == "True"


def test_manifest_gone_later_takes_readiness_and_not_the_decision() -> None:
    before = settled()
    plan = decide(observed(status=before, evidence=Evidence()), NOW)
    assert by_type(plan.status)["Ready"][:2] == ("False", reasons.MANIFEST_MISSING)
    assert (plan.status or {})["decision"] == before["decision"]
    assert [n.reason for n in plan.notes] == [reasons.MANIFEST_MISSING]
    assert plan.records == ()


def test_artifact_of_another_namespace_is_refused() -> None:
    plan = decide(observed(misplaced="not below s3://b/ns/", evidence=Evidence()), NOW)
    seen = by_type(plan.status)
    assert seen["Accepted"] == ("False", reasons.OUTSIDE_NAMESPACE, "not below s3://b/ns/")
    assert seen["Verified"] == seen["Accepted"]
    assert seen["Ready"] == seen["Accepted"]
    assert plan.revisit_after is None
    assert [n.reason for n in plan.notes] == [reasons.OUTSIDE_NAMESPACE]


def test_unreadable_spec_is_refused() -> None:
    poisoned = observed(problem="spec.model: Field required")
    plan = decide(type(poisoned)(poisoned.meta, None, poisoned.status, problem=poisoned.problem), NOW)
    assert by_type(plan.status)["Ready"] == ("False", reasons.INVALID_SPEC, "spec.model: Field required")
    assert plan.records == ()


def test_served_by_and_rejections_show() -> None:
    status = decide(observed(serving=Serving(served_by=("web",))), NOW).status
    assert (status or {})["servedBy"] == ["web"]


@pytest.mark.parametrize(
    ("finalizers", "served_by", "wanted"),
    [
        ((), (), None),
        ((), ("web",), (naming.FINALIZER,)),
        (("other",), ("web",), ("other", naming.FINALIZER)),
        ((naming.FINALIZER,), ("web",), None),
        (("other", naming.FINALIZER), (), ("other",)),
    ],
)
def test_finalizer_follows_serving(
    finalizers: tuple[str, ...], served_by: tuple[str, ...], wanted: tuple[str, ...] | None
) -> None:
    plan = decide(observed(meta={"finalizers": finalizers}, serving=Serving(served_by=served_by)), NOW)
    assert plan.actions == (() if wanted is None else (PatchMetadata(finalizers=wanted),))


DELETED = {"deletionTimestamp": AT, "finalizers": [naming.FINALIZER, "other"]}


def test_deletion_of_one_that_serves_is_held_and_says_by_whom() -> None:
    plan = decide(observed(meta=DELETED, serving=Serving(served_by=("app", "web"))), NOW)
    assert (plan.actions, plan.status, plan.revisit_after) == ((), None, HELD_SECONDS)
    (note,) = plan.notes
    assert (note.reason, note.type) == (reasons.STILL_SERVING, "Warning")
    assert "app, web" in note.message


def test_deletion_goes_on_when_nobody_serves_it() -> None:
    plan = decide(observed(meta=DELETED), NOW)
    assert plan == Plan(actions=(Release(finalizers=("other",)),))


def test_skip_cleanup_releases_at_once() -> None:
    meta = {**DELETED, "annotations": {naming.ANNOTATION_SKIP_CLEANUP: "true"}}
    plan = decide(observed(meta=meta, serving=Serving(served_by=("web",))), NOW)
    assert plan.actions == (Release(finalizers=("other",)),)


def test_deletion_that_others_hold_is_left_alone() -> None:
    assert decide(observed(meta={"deletionTimestamp": AT, "finalizers": ["other"]}), NOW) == Plan()


def test_rows_are_written_once() -> None:
    first = decide(observed(), NOW)
    version, decision = first.records
    assert (version.uid, version.sequence, version.type, version.at) == (
        "u1", 1, "version", "2026-03-01T11:59:00.123456Z",
    )  # fmt: skip
    assert version.data["uri"] == URI
    assert version.data["digest"] == MANIFEST.digest
    assert (decision.sequence, decision.type, decision.at) == (2, "decision", AT)
    assert decision.data["verdict"] == "Accepted"
    assert decision.data["rules"][0]["value"] == "0.93"
    assert decide(observed(status=first.status), NOW).records == ()


def test_idle_changes_nothing() -> None:
    before = settled()
    later = NOW.replace(hour=20)
    plan = decide(observed(status=before, evidence=Evidence(manifest=MANIFEST)), later)
    assert difference(before, plan.status or {}) == {}
    assert (plan.actions, plan.records, plan.notes) == ((), (), ())

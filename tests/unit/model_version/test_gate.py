from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.model_version.making import AT
from trainyard.model_version import gate, reasons
from trainyard.resources.model_version import Evaluation, MetricRule


def failed(value: str | None, **limits: str) -> str:
    """Return the sentence with which a value of auc fails, "" where it passes."""
    evaluation = Evaluation(metrics=(MetricRule(name="auc", **limits),))
    decision = gate.judge(evaluation, {} if value is None else {"auc": value}, AT)
    (result,) = decision.rules
    assert result.passed == (decision.verdict == "Accepted") == (result.message == "")
    return result.message


@pytest.mark.parametrize("value", ["0.90", "0.9", "0.9000000000001", "1", "9e-1", "1E2"])
def test_at_or_above_min_passes(value: str) -> None:
    assert failed(value, min="0.90") == ""


def test_below_min_names_rule_value_and_limit() -> None:
    assert failed("0.84", min="0.90") == "auc 0.84 is below min 0.90"


def test_above_max_names_rule_value_and_limit() -> None:
    assert failed("0.31", max="0.3") == "auc 0.31 is above max 0.3"
    assert failed("0.30", max="0.3") == ""


def test_no_binary_fractions() -> None:
    assert failed("0.3000000000000000001", max="0.3") == "auc 0.3000000000000000001 is above max 0.3"
    assert failed("0.1", min="0.1", max="0.1") == ""


def test_missing_metric_fails() -> None:
    assert failed(None, min="0.90") == "auc is missing from the manifest's metrics"


@pytest.mark.parametrize("value", ["NaN", "nan", "Infinity", "-Infinity", "sNaN"])
def test_what_is_not_finite_passes_no_limit(value: str) -> None:
    assert failed(value, min="0.90") == f"auc is {value}, which passes no limit"
    assert failed(value, max="0.90") == f"auc is {value}, which passes no limit"


@pytest.mark.parametrize("value", ["", "good", "0,9", "x" * 900])
def test_what_is_no_number_fails(value: str) -> None:
    assert "which is no number" in failed(value, min="0.90")


def test_every_rule_must_pass_and_each_failure_is_named() -> None:
    evaluation = Evaluation(
        metrics=(
            MetricRule(name="auc", min="0.9"),
            MetricRule(name="recall", min="0.5", max="0.99"),
            MetricRule(name="loss", max="0.3"),
        )
    )
    decision = gate.judge(evaluation, {"auc": "0.84", "recall": "0.7", "loss": "0.5"}, AT)
    assert decision.verdict == "Rejected"
    assert [r.rule for r in decision.rules] == ["auc >= 0.9", "recall >= 0.5 and recall <= 0.99", "loss <= 0.3"]
    assert [r.value for r in decision.rules] == ["0.84", "0.7", "0.5"]
    assert gate.failure(decision) == (
        reasons.THRESHOLD_MISSED,
        "auc 0.84 is below min 0.9; loss 0.5 is above max 0.3",
    )


def test_no_rules() -> None:
    assert gate.judge(Evaluation(no_rules="Accept"), {}, AT).verdict == "Accepted"
    rejected = gate.judge(Evaluation(), {"auc": "1"}, AT)
    assert rejected.verdict == "Rejected"
    assert gate.failure(rejected) == (reasons.NO_RULES, gate.NO_RULES)


def test_fifty_failures_stay_within_a_condition() -> None:
    rules = tuple(MetricRule(name=f"{'m' * 60}{n}", min="0.5") for n in range(50))
    assert len(gate.failure(gate.judge(Evaluation(metrics=rules), {}, AT))[1]) == 2048


@given(value=st.decimals(-100, 100, places=6), limit=st.decimals(-100, 100, places=6))
def test_agrees_with_decimal_comparison(value: Decimal, limit: Decimal) -> None:
    assert (failed(str(value), min=f"{limit:f}") == "") == (value >= limit)
    assert (failed(str(value), max=f"{limit:f}") == "") == (value <= limit)

"""The gate: are the manifest's metrics good enough? Pure. Called by `decide`, once in a version's life.

Decimal arithmetic, so that 0.9 written by a person and 0.90 written by a training are the same number.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from trainyard.model_version import reasons
from trainyard.resources.model_version import DecisionStatus, Evaluation, MetricRule, RuleResult

NO_RULES = "no rule is declared in spec.evaluation.metrics, and noRules is Reject"


def judge(evaluation: Evaluation, metrics: Mapping[str, str], at: str) -> DecisionStatus:
    """Try every rule against the metrics; all must pass. `at` is RFC 3339 UTC."""
    results = tuple(_try(rule, metrics.get(rule.name)) for rule in evaluation.metrics)
    passed = all(r.passed for r in results) if results else evaluation.no_rules == "Accept"
    return DecisionStatus(verdict="Accepted" if passed else "Rejected", rules=results, at=at)


def failure(decision: DecisionStatus) -> tuple[str, str]:
    """Return reason and message of a rejection: each rule that failed, with its value and its limit."""
    if not decision.rules:
        return reasons.NO_RULES, NO_RULES
    return reasons.THRESHOLD_MISSED, "; ".join(r.message for r in decision.rules if not r.passed)[:2048]


def _try(rule: MetricRule, value: str | None) -> RuleResult:
    message = f"{rule.name} is missing from the manifest's metrics" if value is None else _miss(rule, value)
    return RuleResult(rule=_spelled(rule), passed=not message, value=(value or "")[:64], message=message)


def _miss(rule: MetricRule, value: str) -> str:
    """Return why a value fails a rule, "" where it passes."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return f"{rule.name} is {value[:64]!r}, which is no number"
    if not number.is_finite():
        return f"{rule.name} is {value[:64]}, which passes no limit"
    if rule.min is not None and number < Decimal(rule.min):
        return f"{rule.name} {value[:64]} is below min {rule.min}"
    if rule.max is not None and number > Decimal(rule.max):
        return f"{rule.name} {value[:64]} is above max {rule.max}"
    return ""


def _spelled(rule: MetricRule) -> str:
    bounds = ((">=", rule.min), ("<=", rule.max))
    return " and ".join(f"{rule.name} {sign} {limit}" for sign, limit in bounds if limit is not None)

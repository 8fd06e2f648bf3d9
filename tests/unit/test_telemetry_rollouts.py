"""Series of Rollouts: from objects to samples, counted while the process leads, gone with their object."""

from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from trainyard.telemetry_rollouts import Rollouts

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
OWNER = {"namespace": "shop", "rollout": "churn"}
CANARY: dict[str, Any] = {
    "stable": {"revision": "aaaaaaaaaa", "version": "churn-a"},
    "canary": {"revision": "bbbbbbbbbb", "version": "churn-b"},
    "weight": 20, "routedWeight": 10, "observedShare": "9.8", "step": 1, "ladder": ["setWeight 20", "pause"],
    "heldSince": "2026-11-24T11:58:00Z", "rejected": ["cccccccccc"], "frozen": "weekend", "sequence": 7,
    "conditions": [
        {"type": "Ready", "status": "False", "reason": "NoData"},
        {"type": "Stalled", "status": "Unknown", "reason": "Moving"},
        {"type": "Recorded", "status": "True", "reason": "Recorded"},
    ],
    "metrics": [{"name": "p99", "verdict": "Fail", "value": "0.3", "failures": 2, "lower": "-0.1", "upper": "odd"}],
}  # fmt: skip


class Operator:
    """Rollouts by name, a Lease, a clock, and what a scrape gives."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.leads = True
        self.registry = CollectorRegistry(auto_describe=True)
        self.registry.register(Rollouts(self.objects.values, lambda: self.leads, lambda: NOW))

    def say(self, name: str, **status: Any) -> None:
        meta = {"namespace": "shop", "name": name, "uid": f"uid-{name}"}
        self.objects[name] = {"metadata": meta, "status": status}

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"trainyard_rollout_{name}", OWNER | labels)

    def samples(self) -> list[str]:
        return [s.name for family in self.registry.collect() for s in family.samples]


@pytest.fixture
def operator() -> Operator:
    return Operator()


GAUGES: list[tuple[str, dict[str, str], float | None]] = [
    ("weight_percent", {"share": "intended"}, 20),
    ("weight_percent", {"share": "routed"}, 10),
    ("weight_percent", {"share": "observed"}, 9.8),
    ("step", {}, 1),
    ("steps", {}, 2),
    ("revision_info", {"role": "stable", "revision": "aaaaaaaaaa", "version": "churn-a"}, 1),
    ("revision_info", {"role": "canary", "revision": "bbbbbbbbbb", "version": "churn-b"}, 1),
    ("condition", {"condition": "Ready", "reason": "NoData"}, 0),
    ("condition", {"condition": "Stalled", "reason": "Moving"}, -1),
    ("condition", {"condition": "Recorded", "reason": "Recorded"}, None),
    ("held_seconds", {}, 120),
    ("frozen", {}, 1),
    ("metric_value", {"metric": "p99"}, 0.3),
    ("metric_verdict", {"metric": "p99", "verdict": "Fail"}, 1),
    ("metric_verdict", {"metric": "p99", "verdict": "Pass"}, 0),
    ("metric_failures", {"metric": "p99"}, 2),
    ("metric_bound", {"metric": "p99", "bound": "lower"}, -0.1),
    ("metric_bound", {"metric": "p99", "bound": "upper"}, None),
    ("rejected_revisions", {}, 1),
    ("decisions_total", {}, 7),
]


@pytest.mark.parametrize(("name", "labels", "value"), GAUGES)
def test_what_a_rollout_is_at(operator: Operator, name: str, labels: dict[str, str], value: float | None) -> None:
    operator.say("churn", **CANARY)
    assert operator.value(name, **labels) == value


def test_a_rollout_at_rest(operator: Operator) -> None:
    operator.say("churn", stable=CANARY["stable"])
    assert operator.value("weight_percent", share="intended") == 0
    assert operator.value("held_seconds") == 0
    assert operator.value("frozen") == 0
    assert operator.value("step") is None
    operator.objects["churn"].pop("status")
    assert operator.value("weight_percent", share="intended") == 0


def test_a_status_that_somebody_else_wrote_hurts_nobody(operator: Operator) -> None:
    operator.say("churn", weight={}, heldSince=7, metrics=[{"value": []}], conditions=[{}])
    operator.say("other", weight=3)
    assert operator.registry.get_sample_value(
        "trainyard_rollout_weight_percent", {"namespace": "shop", "rollout": "other", "share": "intended"}
    ) == 3  # fmt: skip


def test_series_go_with_their_object(operator: Operator) -> None:
    operator.say("churn", **CANARY)
    assert operator.samples()
    del operator.objects["churn"]
    assert operator.samples() == []


def test_a_standby_tells_nothing(operator: Operator) -> None:
    operator.say("churn", **CANARY)
    operator.leads = False
    assert operator.samples() == []


def ended(revision: str, outcome: str, minute: int) -> dict[str, str]:
    return {"revision": revision, "outcome": outcome, "finishedTime": f"2026-11-24T11:{minute:02d}:00Z"}


def test_outcomes_are_counted_from_the_first_look_on(operator: Operator) -> None:
    earlier, later = ended("aaaaaaaaaa", "Promoted", 1), ended("bbbbbbbbbb", "Aborted", 2)
    operator.say("churn", history=[earlier])
    assert operator.value("outcomes_total", outcome="Promoted") == 0
    operator.say("churn", history=[later, earlier, {}])
    assert operator.value("outcomes_total", outcome="Aborted") == 1
    operator.say("churn", history=[ended("bbbbbbbbbb", "Aborted", 3), later])
    assert operator.value("outcomes_total", outcome="Aborted") == 2, "the same revision, tried again"
    assert operator.value("outcomes_total", outcome="Promoted") == 0


def test_each_hold_is_counted_once(operator: Operator) -> None:
    for since, holds in (("a", 0), ("a", 0), ("", 0), ("b", 1), ("b", 1), (None, 1), ("c", 2)):
        operator.say("churn", heldSince=since)
        assert operator.value("holds_total") == holds


def test_counts_begin_anew_with_another_object_of_the_name(operator: Operator) -> None:
    operator.say("churn")
    operator.value("holds_total")
    operator.say("churn", heldSince="a")
    assert operator.value("holds_total") == 1
    operator.objects["churn"]["metadata"]["uid"] = "another"
    assert operator.value("holds_total") == 0


def test_prometheus_can_read_it(operator: Operator) -> None:
    operator.say("churn", **CANARY)
    text = generate_latest(operator.registry).decode()
    names = {family.name for family in text_string_to_metric_families(text) if family.samples}
    assert len(names) == 15
    assert all(name.startswith("trainyard_rollout_") for name in names)

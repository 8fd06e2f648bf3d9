"""Metrics of Rollouts, read from the objects at each scrape: what is gone there is gone here. Wired by `running`.

Only the leading process tells them, or two replicas would tell everything twice. docs/operating.md lists them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from trainyard.resources.foreign import part, parts
from trainyard.resources.rollout import Outcome
from trainyard.systems.cluster.port import Obj

VERDICTS = ("Pass", "Fail", "Inconclusive", "NoData")
OUTCOMES: tuple[str, ...] = get_args(Outcome)
CONDITIONS = ("Accepted", "Available", "Degraded", "Paused", "Ready", "Stalled")
_TRUTH = {"True": 1.0, "False": 0.0}
UNKNOWN = -1.0

_GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "weight_percent": ("The canary's share of traffic: intended, as routed, as observed.", ("share",)),
    "step": ("The running step, counted from 0; absent where no canary climbs.", ()),
    "steps": ("How many steps the running ladder has; absent where no canary climbs.", ()),
    "revision_info": ("1; the revision and version that are stable, and canary.", ("role", "revision", "version")),
    "condition": ("1 where the condition is True, 0 False, -1 Unknown.", ("condition", "reason")),
    "held_seconds": ("For how long measurements have held the running step, in seconds; 0 where they do not.", ()),
    "frozen": ("1 while a freeze window holds.", ()),
    "metric_value": ("The last measurement of a metric, in its own unit.", ("metric",)),
    "metric_verdict": ("1 for the last verdict of a metric, 0 for the others.", ("metric", "verdict")),
    "metric_failures": ("Failed measurements of a metric in this canary.", ("metric",)),
    "metric_bound": ("Between which bounds a sequential metric's harm lies.", ("metric", "bound")),
    "rejected_revisions": ("Revisions that are refused until a person retries them.", ()),
}
_COUNTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "outcomes": ("Canaries that ended while this process led, by how.", ("outcome",)),
    "holds": ("How often measurements began to hold a step, while this process led.", ()),
    "decisions": ("Decisions that were recorded: starts, weights, retries, ends.", ()),
}
OWNER = ("namespace", "rollout")
PREFIX = "trainyard_rollout_"


@dataclass
class Counted:
    """What this process has counted of one Rollout. What was there when it was seen first is not counted."""

    ended: set[tuple[str, str]]
    held_since: str
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    holds: int = 0

    def see(self, status: Mapping[str, Any]) -> None:
        """Count what is new."""
        for entry in parts(status, "history"):
            key = _end(entry)
            if key not in self.ended and entry.get("outcome") in self.outcomes:
                self.outcomes[entry["outcome"]] += 1
            self.ended.add(key)
        since = str(status.get("heldSince") or "")
        self.holds += since not in ("", self.held_since)
        self.held_since = since


class Rollouts(Collector):
    """The series of all Rollouts, made when scraped.

    objects yields them, leads says whether this process does, now is the clock that `heldSince` is counted by.
    """

    def __init__(
        self, objects: Callable[[], Iterable[Obj]], leads: Callable[[], bool], now: Callable[[], datetime]
    ) -> None:
        self._objects = objects
        self._leads = leads
        self._now = now
        self._counted: dict[str, Counted] = {}

    def describe(self) -> Iterable[Metric]:
        """Yield the families without a sample: registering reads no object."""
        return _families().values()

    def collect(self) -> Iterable[Metric]:
        """Yield the families; a standby's are empty."""
        families = _families()
        objects = list(self._objects()) if self._leads() else []
        self._counted = dict(map(self._count, objects))
        for obj in objects:
            meta, status = obj["metadata"], part(obj, "status")
            told = _Told(families, (meta["namespace"], meta["name"]))
            told.weights(status)
            told.roles(status)
            told.conditions(status)
            told.metrics(status)
            told.held(status, self._now())
            told.counted(status, self._counted[str(meta["uid"])])
        return families.values()

    def _count(self, obj: Obj) -> tuple[str, Counted]:
        uid, status = str(obj["metadata"]["uid"]), part(obj, "status")
        known = self._counted.get(uid)
        if known is None:
            ended = {_end(entry) for entry in parts(status, "history")}
            return uid, Counted(ended, str(status.get("heldSince") or ""))
        known.see(status)
        return uid, known


@dataclass(frozen=True)
class _Told:
    """Adds one Rollout's samples to the families."""

    families: Mapping[str, Metric]
    owner: tuple[str, str]

    def add(self, name: str, value: Any, *labels: str) -> None:
        number = _number(value)
        if number is not None:
            family = self.families[name]
            family.add_metric([*self.owner, *labels], number)  # type: ignore[attr-defined] # gauges and counters have it

    def weights(self, status: Mapping[str, Any]) -> None:
        self.add("weight_percent", status.get("weight", 0), "intended")
        self.add("weight_percent", status.get("routedWeight"), "routed")
        self.add("weight_percent", status.get("observedShare"), "observed")
        if status.get("canary"):
            self.add("step", status.get("step"))
            self.add("steps", _length(status, "ladder"))

    def roles(self, status: Mapping[str, Any]) -> None:
        for role in ("stable", "canary"):
            if found := part(status, role):
                self.add("revision_info", 1, role, str(found.get("revision")), str(found.get("version")))
        self.add("rejected_revisions", _length(status, "rejected"))
        self.add("frozen", 1 if status.get("frozen") else 0)

    def conditions(self, status: Mapping[str, Any]) -> None:
        for found in parts(status, "conditions"):
            if found.get("type") in CONDITIONS:
                truth = _TRUTH.get(found.get("status", ""), UNKNOWN)
                self.add("condition", truth, found["type"], str(found.get("reason", "")))

    def metrics(self, status: Mapping[str, Any]) -> None:
        for metric in parts(status, "metrics"):
            name = str(metric.get("name"))
            self.add("metric_value", metric.get("value"), name)
            self.add("metric_failures", metric.get("failures", 0), name)
            for verdict in VERDICTS:
                self.add("metric_verdict", 1 if metric.get("verdict") == verdict else 0, name, verdict)
            for bound in ("lower", "upper"):
                self.add("metric_bound", metric.get(bound), name, bound)

    def held(self, status: Mapping[str, Any], now: datetime) -> None:
        since = _moment(status.get("heldSince"))
        self.add("held_seconds", max(0.0, (now - since).total_seconds()) if since else 0)

    def counted(self, status: Mapping[str, Any], counted: Counted) -> None:
        self.add("decisions", status.get("sequence", 0))
        self.add("holds", counted.holds)
        for outcome, count in counted.outcomes.items():
            self.add("outcomes", count, outcome)


def _families() -> dict[str, Metric]:
    made: dict[str, Metric] = {
        name: GaugeMetricFamily(f"{PREFIX}{name}", text, labels=(*OWNER, *labels))
        for name, (text, labels) in _GAUGES.items()
    }
    return made | {
        name: CounterMetricFamily(f"{PREFIX}{name}", text, labels=(*OWNER, *labels))
        for name, (text, labels) in _COUNTERS.items()
    }


def _end(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Name one ending: the same revision may be tried again."""
    return str(entry.get("revision")), str(entry.get("finishedTime"))


def _length(status: Mapping[str, Any], field: str) -> int:
    listed = status.get(field)
    return len(listed) if isinstance(listed, list | tuple) else 0


def _number(value: Any) -> float | None:
    """Read a number of status, which may be text; None where there is none."""
    try:
        return None if value in (None, "") else float(value)
    except (TypeError, ValueError):
        return None


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except (TypeError, ValueError):
        return None

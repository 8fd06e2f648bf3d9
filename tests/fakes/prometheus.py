"""A Prometheus that answers by script: the `Prometheus` port for tests.

    prometheus = ScriptedPrometheus()
    prometheus.on("requests_total", 120)                         # by substring; a number becomes one sample
    prometheus.on(re.compile("code=~.5"), [0.0, 0.02])           # one answer a query, the last one stays
    prometheus.on(lambda expression: "histogram" in expression, Answer(failure="Prometheus timed out"))
    prometheus.on("canary", lambda expression, at: one(0.1 if at > later else 0.0, at))

The rule added last is asked first. What no rule matches is an empty vector. A range asks the same rules at each step.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from trainyard.systems.prometheus.port import Answer, RangeAnswer, Sample, Series

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

Matcher = str | re.Pattern[str] | Callable[[str], bool]
Said = Answer | float
Script = Said | Sequence[Said] | Callable[[str, datetime], Said]


def one(value: float, at: datetime, labels: Mapping[str, str] | None = None) -> Answer:
    """Return an instant vector of one series, sampled at `at`."""
    return Answer(samples=(Sample(labels or {}, at.timestamp(), value),))


def vector(at: datetime, *series: tuple[Mapping[str, str], float]) -> Answer:
    """Return an instant vector of these (labels, value), sampled at `at`."""
    return Answer(samples=tuple(Sample(labels, at.timestamp(), value) for labels, value in series))


def by_revision(at: datetime, namespace: str, rollout: str, values: Mapping[str, float], **more: str) -> Answer:
    """Return an instant vector with a series for each revision of a Rollout, labelled as the operator groups them."""
    labels = {"namespace": namespace, "rollout": rollout, **more}
    return vector(at, *(({**labels, "revision": revision}, value) for revision, value in values.items()))


@dataclass
class Rule:
    """One line of the script."""

    matcher: Matcher
    script: Script
    asked: int = 0

    def matches(self, expression: str) -> bool:
        """Tell whether the rule speaks for an expression."""
        if isinstance(self.matcher, str):
            return self.matcher in expression
        if isinstance(self.matcher, re.Pattern):
            return self.matcher.search(expression) is not None
        return self.matcher(expression)

    def say(self, expression: str, at: datetime) -> Said:
        """Return the answer of this turn."""
        self.asked += 1
        if callable(self.script):
            return self.script(expression, at)
        if isinstance(self.script, Sequence):
            return self.script[min(self.asked, len(self.script)) - 1]
        return self.script


@dataclass
class ScriptedPrometheus:
    """The port's two verbs over rules. `now` dates the queries without a time. `queries` keeps what was asked."""

    now: Callable[[], datetime] = lambda: EPOCH
    queries: list[str] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)

    def on(self, matcher: Matcher, script: Script) -> None:
        """Answer matching expressions by this script from now on."""
        self.rules.insert(0, Rule(matcher, script))

    async def query(self, expression: str, at: datetime | None = None) -> Answer:
        """Return what the newest matching rule says."""
        self.queries.append(expression)
        return self._say(expression, at or self.now())

    async def query_range(self, expression: str, start: datetime, end: datetime, step_seconds: int) -> RangeAnswer:
        """Ask the newest matching rule at every step; the first failure or unusable answer is the whole answer."""
        self.queries.append(expression)
        found: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        at = start
        while at <= end:
            answer = self._say(expression, at)
            if answer.samples is None:
                return RangeAnswer(None, answer.unusable, answer.failure, answer.warnings)
            for sample in answer.samples:
                found.setdefault(tuple(sorted(sample.labels.items())), []).append((at.timestamp(), sample.value))
            at += timedelta(seconds=step_seconds)
        return RangeAnswer(series=tuple(Series(dict(labels), tuple(points)) for labels, points in found.items()))

    def _say(self, expression: str, moment: datetime) -> Answer:
        for rule in self.rules:
            if rule.matches(expression):
                said = rule.say(expression, moment)
                return said if isinstance(said, Answer) else one(said, moment)
        return Answer(samples=())

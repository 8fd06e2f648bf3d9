"""What is replayed: a policy over a range of time that Prometheus has recorded, with the revisions of then.

The rollout's own code names revisions by what they serve, which may not be what was served then. So a revision has two
names here: the one of the replay and the one in the series; this file alone knows of both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from trainyard.systems.prometheus.port import Answer, Prometheus, RangeAnswer


class CannotReplay(Exception):
    """A policy that cannot be replayed; `str()` says why."""


class NothingAnswered(Exception):
    """Prometheus answered not one query; `str()` says why the last was not."""


@dataclass(frozen=True)
class Revision:
    """A revision as it was recorded: its name in the series, and its ModelVersion."""

    revision: str
    version: str


@dataclass(frozen=True)
class Past:
    """Whose traffic is looked at, from when to when."""

    namespace: str
    rollout: str
    canary: Revision
    stable: Revision
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Policy:
    """How it is judged: the spec of a Rollout, and what the operator's configuration would say.

    pass_pauses: whether a person promotes at each pause that waits for one.
    """

    spec: Mapping[str, Any]
    scrape_interval_seconds: int = 15
    pass_pauses: bool = False


@dataclass
class Renamed:
    """A Prometheus that calls revisions by the replay's names. `names`: replayed -> recorded.

    answered: whether any query was. failures: how many were not; failure: why the last was not.
    """

    behind: Prometheus
    names: dict[str, str]
    answered: bool = False
    failures: int = 0
    failure: str = ""

    def recorded(self, text: str) -> str:
        """Return a text with the names of the series."""
        return _replaced(text, self.names)

    def _replayed(self, labels: Mapping[str, str]) -> dict[str, str]:
        back = {recorded: name for name, recorded in self.names.items()}
        return {label: _replaced(value, back) for label, value in labels.items()}

    def _count(self, failure: str) -> None:
        self.answered = self.answered or not failure
        self.failures += bool(failure)
        self.failure = failure or self.failure

    async def query(self, expression: str, at: datetime | None = None) -> Answer:
        """See the port."""
        answer = await self.behind.query(self.recorded(expression), at)
        self._count(answer.failure)
        if answer.samples is None:
            return answer
        return replace(answer, samples=tuple(replace(s, labels=self._replayed(s.labels)) for s in answer.samples))

    async def query_range(self, expression: str, start: datetime, end: datetime, step_seconds: int) -> RangeAnswer:
        """See the port."""
        answer = await self.behind.query_range(self.recorded(expression), start, end, step_seconds)
        self._count(answer.failure)
        if answer.series is None:
            return answer
        return replace(answer, series=tuple(replace(s, labels=self._replayed(s.labels)) for s in answer.series))


def _replaced(text: str, names: Mapping[str, str]) -> str:
    for one, other in names.items():
        text = text.replace(one, other)
    return text

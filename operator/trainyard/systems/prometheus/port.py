"""Prometheus' HTTP API (v1) as the rooms see it: two verbs, and answers that are never exceptions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Sample:
    """One series' value: its labels, the Unix time of the sample in seconds, and the number (may be NaN)."""

    labels: Mapping[str, str]
    time: float
    value: float


@dataclass(frozen=True)
class Answer:
    """What a query gave.

    Exactly one of: `samples` (an instant vector, or a scalar as one sample without labels), `unusable` (a string
    or a matrix: the sentence says which), `failure` (the provider failed: refused, 5xx, timeout, redirect, over
    1 MiB, not JSON, status error; a short sentence of ours, never a body).
    """

    samples: tuple[Sample, ...] | None = None
    unusable: str = ""
    failure: str = ""
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Series:
    """One series over time: its labels, and (Unix time in seconds, value) at each step at which it was there."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class RangeAnswer:
    """What a query gave over a range of time. Exactly one of `series`, `unusable` and `failure`, as in `Answer`."""

    series: tuple[Series, ...] | None = None
    unusable: str = ""
    failure: str = ""
    warnings: tuple[str, ...] = field(default=())


class Prometheus(Protocol):
    """Evaluate PromQL; reads only, so asking twice is harmless."""

    async def query(self, expression: str, at: datetime | None = None) -> Answer:
        """Return the answer; equal expressions asked at the same time are sent once. Never raises."""
        ...

    async def query_range(self, expression: str, start: datetime, end: datetime, step_seconds: int) -> RangeAnswer:
        """Return the answers at start, start + step, ... up to end; equal questions in flight are sent once.

        Never raises. Prometheus gives no more than 11,000 steps; a body over 1 MiB is a failure.
        """
        ...

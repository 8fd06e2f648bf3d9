"""Prometheus' HTTP API (v1 query) as the rooms see it: one verb, and an answer that is never an exception."""

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


class Prometheus(Protocol):
    """Evaluate PromQL at one instant."""

    async def query(self, expression: str, at: datetime | None = None) -> Answer:
        """Return the answer; equal expressions asked at the same time are sent once. Never raises."""
        ...

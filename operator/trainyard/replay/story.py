"""What a replay tells: each measurement and each decision with its time, and how it ended. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trainyard.rollout.times import stamp

UNDECIDED = "Undecided"


@dataclass(frozen=True)
class Event:
    """One moment. kind: Measured, Waits, Step, or the reason of an event that the operator would have posted."""

    at: datetime
    kind: str
    text: str
    step: int | None = None
    weight: int = 0
    metrics: Sequence[Mapping[str, Any]] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        told: dict[str, Any] = {"time": stamp(self.at), "kind": self.kind, "step": self.step, "weight": self.weight}
        return told | {"text": self.text, "metrics": list(self.metrics)}


@dataclass
class Story:
    """A whole replay. outcome: how the canary would have ended, Undecided where the range ended first."""

    started: datetime
    events: list[Event] = field(default_factory=list)
    outcome: str = UNDECIDED
    message: str = ""
    ended: datetime | None = None

    def verdicts(self) -> dict[str, dict[str, int]]:
        """Return how often each metric came out how."""
        counts: dict[str, Counter[str]] = {}
        for metric in (m for event in self.events for m in event.metrics):
            counts.setdefault(metric["name"], Counter())[metric["verdict"]] += 1
        return {name: dict(count) for name, count in counts.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        seconds = (self.ended - self.started).total_seconds() if self.ended else None
        return {
            "outcome": self.outcome,
            "message": self.message,
            "seconds": seconds,
            "measurements": sum(1 for event in self.events if event.kind == "Measured"),
            "verdicts": self.verdicts(),
            "events": [event.to_dict() for event in self.events],
        }

"""Recordings of what a source exports, as OpenMetrics with times: counters and histograms that grow evenly."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

STEP = 5.0  # seconds between two scrapes


def rows(name: str, labels: Mapping[str, str], values: Iterable[tuple[float, float]]) -> list[str]:
    """Return one series as (Unix time, value) lines."""
    shown = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return [f"{name}{{{shown}}} {value:.12g} {time:.3f}" for time, value in values]


@dataclass(frozen=True)
class Traffic:
    """Requests of one process: so many a second, this share of them failed, and how long they take.

    slow: seconds -> share of requests that take just so long.
    """

    per_second: float
    failed: float = 0.0
    slow: Mapping[float, float] = field(default_factory=lambda: {0.08: 1.0})

    def below(self, bound: float) -> float:
        """Return the share of requests that take at most so many seconds."""
        return sum(share for seconds, share in self.slow.items() if seconds <= bound)

    def quantile(self, share: float, bounds: Sequence[float]) -> float:
        """Return what a histogram with these bounds tells, reckoned as Prometheus documents it: straight lines."""
        low = 0.0
        for high in bounds:
            if self.below(high) >= share:
                inside = self.below(high) - self.below(low)
                return low + (high - low) * (share - self.below(low)) / inside
            low = high
        return bounds[-1]


@dataclass(frozen=True)
class Recorder:
    """Writes series over some seconds up to `end` (Unix time)."""

    end: float
    seconds: float = 300.0

    @property
    def times(self) -> list[float]:
        """When it was scraped."""
        count = int(self.seconds / STEP)
        return [self.end - (count - n) * STEP for n in range(count + 1)]

    def counter(self, name: str, labels: Mapping[str, str], per_second: float, start: float = 1000.0) -> list[str]:
        """A counter that grows evenly."""
        return rows(name, labels, [(t, start + per_second * (t - self.times[0])) for t in self.times])

    def gauge(self, name: str, labels: Mapping[str, str], value: float) -> list[str]:
        """A number that stays."""
        return rows(name, labels, [(t, value) for t in self.times])

    def histogram(
        self, name: str, labels: Mapping[str, str], traffic: Traffic, bounds: Sequence[str], unit: float = 1.0
    ) -> list[str]:
        """Buckets and count; bounds are written as they stand, in the unit."""
        told = [
            line
            for bound in bounds
            for line in self.counter(
                f"{name}_bucket", {**labels, "le": bound}, traffic.per_second * traffic.below(float(bound) / unit)
            )
        ]
        told += self.counter(f"{name}_bucket", {**labels, "le": "+Inf"}, traffic.per_second)
        return told + self.counter(f"{name}_count", labels, traffic.per_second)

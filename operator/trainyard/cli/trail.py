"""The last values of each metric, for sparklines: what a watching process saw, or what Prometheus kept."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainyard.cli.objects import Obj, at

LENGTH = 60  # values that are kept of a metric


@dataclass
class Trail:
    """Values by metric, oldest first; of one canary only, for the next one begins anew."""

    _revision: str = ""
    _last: dict[str, Obj] = field(default_factory=dict)
    _values: dict[str, deque[float | None]] = field(default_factory=dict)

    def see(self, rollout: Obj) -> None:
        """Take up the measurements of a status; one that was seen already adds nothing."""
        revision = str(at(rollout, "status.canary.revision"))
        if revision and revision != self._revision:
            self._revision, self._last, self._values = revision, {}, {}
        for metric in at(rollout, "status.metrics", ()):
            if self._last.get(metric["name"]) != metric:
                self._last[metric["name"]] = metric
                self._kept(metric["name"]).append(number(metric.get("value")))

    def begin(self, rollout: Obj, values: Mapping[str, Sequence[float]]) -> None:
        """Start with what was measured before anybody watched."""
        self.see(rollout)
        for name, earlier in values.items():
            self._values[name] = deque(earlier, LENGTH)

    def of(self, metric: str) -> list[float | None]:
        """Return a metric's values."""
        return list(self._values.get(metric, ()))

    def _kept(self, metric: str) -> deque[float | None]:
        return self._values.setdefault(metric, deque(maxlen=LENGTH))


def number(text: str | None) -> float | None:
    """Read a value of status; None where there is none."""
    try:
        return float(text) if text else None
    except ValueError:
        return None

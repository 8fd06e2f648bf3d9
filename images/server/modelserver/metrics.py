"""What Prometheus reads. No label says who the server is: relabelling adds that (docs/contracts.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import generate_latest

from .tensors import Array

# Seconds. Dense from 2 ms to 1 s, where small models answer and where a quantile decides about a canary.
BUCKETS = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075,
    0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
# Values that a model predicts. Dense between 0 and 1, where probabilities are; coarse for everything else.
PREDICTIONS = "trainyard_server_prediction"
PREDICTION_BOUNDS = (
    -1e6, -1e5, -1e4, -1e3, -300.0, -100.0, -30.0, -10.0, -3.0, -1.0, -0.3, -0.1, -0.01,
    0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0,
    3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e4, 1e5, 1e6,
)  # fmt: skip
# Of one output; a longer row is an embedding or an image, and no distribution that is compared number by number.
MOST_COLUMNS = 16
# Of one answer, so that a large batch costs no more than a small one.
MOST_ROWS = 64
# Counted from 0 on, so that the first error of a new pod is an increase.
FORESEEN = ("200", "400", "404", "413", "500", "503")


class Metrics:
    """Counters of inference requests and of what was predicted, of this process alone."""

    def __init__(self, prediction_bounds: Sequence[float] = PREDICTION_BOUNDS) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the package gives it no types
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "trainyard_server_requests_total",
            "Inference requests by the HTTP status they were answered with.",
            ["code"],
            registry=self._registry,
        )
        self._durations = Histogram(
            "trainyard_server_request_duration_seconds",
            "From the last byte of an inference request to its answer, the wait for a thread included.",
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._predictions = Histogram(
            PREDICTIONS,
            "Predicted values by output, and by column where an output has several.",
            ["output"],
            buckets=tuple(prediction_bounds),
            registry=self._registry,
        )
        for code in FORESEEN:
            self._requests.labels(code)

    def answered(self, code: int, seconds: float) -> None:
        """Count one inference request."""
        self._requests.labels(str(code)).inc()
        self._durations.observe(seconds)

    def predicted(self, outputs: Mapping[str, Array]) -> None:
        """Count the values of an answer; outputs that are no numbers, or rows of more than `MOST_COLUMNS`, are not."""
        for name, values in outputs.items():
            if values.dtype.kind not in "fiu" or values.size == 0:
                continue
            rows = values.reshape(len(values) if values.ndim > 1 else values.size, -1)
            if rows.shape[1] <= MOST_COLUMNS:
                self._count(name, rows[:: -(-len(rows) // MOST_ROWS)])

    def _count(self, name: str, rows: Array) -> None:
        several = rows.shape[1] > 1
        for column in range(rows.shape[1]):
            histogram = self._predictions.labels(f"{name}[{column}]" if several else name)
            for value in rows[:, column].tolist():
                histogram.observe(value)

    def render(self) -> bytes:
        """Return the text exposition."""
        return generate_latest(self._registry)

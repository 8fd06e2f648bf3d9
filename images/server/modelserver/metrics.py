"""What Prometheus reads. No label says who the server is: relabelling adds that (docs/contracts.md)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import generate_latest

# Seconds. Dense from 2 ms to 1 s, where small models answer and where a quantile decides about a canary.
BUCKETS = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075,
    0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
# Counted from 0 on, so that the first error of a new pod is an increase.
FORESEEN = ("200", "400", "404", "413", "500", "503")


class Metrics:
    """Counters of inference requests, of this process alone."""

    def __init__(self) -> None:
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
        for code in FORESEEN:
            self._requests.labels(code)

    def answered(self, code: int, seconds: float) -> None:
        """Count one inference request."""
        self._requests.labels(str(code)).inc()
        self._durations.observe(seconds)

    def render(self) -> bytes:
        """Return the text exposition."""
        return generate_latest(self._registry)

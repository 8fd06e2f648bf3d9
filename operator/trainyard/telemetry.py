"""The operator's own metrics, with the names that dashboards and alerts use. Filled by `running`."""

from collections.abc import Callable, Iterable

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector

from trainyard.reconciling.tracking import Written
from trainyard.reconciling.worker import Report

CYCLES = Counter(
    "trainyard_operator_cycles_total", "Visits to objects, by kind and how they ended.", ["kind", "result"]
)
SECONDS = Histogram(
    "trainyard_operator_cycle_duration_seconds",
    "How long a visit takes, without the wait for the store.",
    ["kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
ERRORS = Counter("trainyard_operator_errors_total", "Visits that failed, by kind and reason.", ["kind", "reason"])
WRITES = Counter(
    "trainyard_operator_writes_total", "Answered writes to the API server, by verb and kind.", ["verb", "kind"]
)
DROPPED = Counter("trainyard_operator_rows_dropped_total", "Rows that never reached the database.", ["kind"])
EVENTS = Counter("trainyard_operator_changes_total", "Changes seen by the watches, by kind.", ["kind"])
LEADING = Gauge("trainyard_operator_lease_held", "1 while this process may write.")
DEPTH = Gauge("trainyard_operator_queue_depth", "Keys that are due and wait for a free worker.")
KEYS = Gauge("trainyard_operator_queue_keys", "Keys that the queue knows.")


def count(report: Report) -> None:
    """Count a visit."""
    kind = report.key.kind.kind
    CYCLES.labels(kind, report.failure or "ok").inc()
    SECONDS.labels(kind).observe(report.seconds)
    if report.failure:
        ERRORS.labels(kind, report.failure).inc()
    count_writes(report.writes)
    if report.outcome.dropped:
        DROPPED.labels(kind).inc(report.outcome.dropped)


def count_writes(writes: Iterable[Written]) -> None:
    """Count answered writes, events too."""
    for write in writes:
        WRITES.labels(write.verb, write.ref.kind.kind).inc()


class WatchAges(Collector):
    """The age of each watch, asked for when scraped. `ages` yields (kind, namespace, seconds, synced)."""

    def __init__(self, ages: Callable[[], Iterable[tuple[str, str, float, bool]]]) -> None:
        self._ages = ages

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield the metrics."""
        labels = ["kind", "namespace"]
        age = GaugeMetricFamily(
            "trainyard_operator_watch_age_seconds", "Seconds since a watch's last sign of life.", labels=labels
        )
        synced = GaugeMetricFamily(
            "trainyard_operator_watch_synced", "1 once a kind's objects have been listed.", labels=labels
        )
        for kind, namespace, seconds, is_synced in self._ages():
            age.add_metric([kind, namespace], seconds)
            synced.add_metric([kind, namespace], float(is_synced))
        yield age
        yield synced


class WaitingRows(Collector):
    """How many rows wait for the database in the status of all objects, asked for when scraped."""

    def __init__(self, rows: Callable[[], int]) -> None:
        self._rows = rows

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield the metric."""
        yield GaugeMetricFamily(
            "trainyard_operator_rows_waiting", "Rows that wait in status for the database.", value=self._rows()
        )


__all__ = ["DEPTH", "EVENTS", "KEYS", "LEADING", "REGISTRY", "WaitingRows", "WatchAges", "count", "count_writes"]

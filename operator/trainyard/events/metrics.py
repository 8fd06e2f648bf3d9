"""The receiver's own metrics. Labels are words of ours only: what a caller writes never becomes one."""

from prometheus_client import Counter, Gauge, Histogram

ANSWERS = Counter(
    "trainyard_events_answers_total", "Answered requests, by HTTP status and reason.", ["status", "reason"]
)
SECONDS = Histogram(
    "trainyard_events_duration_seconds",
    "From the request's headers to the answer, without the pause before a refusal.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_HAND = Gauge("trainyard_events_in_hand", "Requests that are being answered.")

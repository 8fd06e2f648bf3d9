"""What a Rollout's metrics were before anybody watched: the operator's own series, as Prometheus kept them."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from trainyard.cli import clock, entering
from trainyard.cli.entering import Entrance
from trainyard.cli.objects import Obj, at
from trainyard.systems.prometheus.port import Answer

POINTS = 24  # instants that are asked for
SERIES = "trainyard_rollout_metric_value"


async def earlier(url: str, entrance: Entrance, namespace: str, rollout: Obj) -> Mapping[str, Sequence[float]]:
    """Return the values of each metric since the canary began, oldest first; nothing without a URL or a canary."""
    moments = instants(rollout, clock.now())
    if not url or not moments:
        return {}
    prometheus = entering.prometheus(url, entrance)
    try:
        question = query(namespace, str(at(rollout, "metadata.name")))
        answers = await asyncio.gather(*(prometheus.query(question, moment) for moment in moments))
    finally:
        await prometheus.close()
    return by_metric(answers)


def query(namespace: str, rollout: str) -> str:
    """Return the PromQL; a Prometheus that does not honour labels has renamed the namespace."""
    either = (f'{SERIES}{{rollout="{rollout}",{label}="{namespace}"}}' for label in ("namespace", "exported_namespace"))
    return f"max by (metric) ({' or '.join(either)})"


def instants(rollout: Obj, present: datetime) -> list[datetime]:
    """Return when to ask: every interval since the canary began, the last ones."""
    began = clock.parse(at(rollout, "status.canaryStartedTime") or None)
    if began is None or not at(rollout, "status.canary", None):
        return []
    step = timedelta(seconds=at(rollout, "spec.analysis.intervalSeconds", 30))
    count = min(POINTS, int((present - began) / step) + 1)
    return [present - step * n for n in reversed(range(count))]


def by_metric(answers: Sequence[Answer]) -> dict[str, list[float]]:
    """Sort what was answered by metric."""
    found: dict[str, list[float]] = {}
    for answer in answers:
        for sample in answer.samples or ():
            found.setdefault(sample.labels.get("metric", ""), []).append(sample.value)
    return found

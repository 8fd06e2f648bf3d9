"""Made blocks for the tests of sequential metrics and experiments."""

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from trainyard.resources.rollout import AnalysisMetric
from trainyard.rollout.blocks import Block, Blocks

BASE = 10
Pattern = Sequence[tuple[float, float]]


def arm(pattern: Pattern, count: int, step: int = BASE) -> tuple[Block, ...]:
    """Repeat (part, total) over so many blocks."""
    pairs = islice(cycle(pattern), count)
    return tuple(Block((n + 1) * step, part, total) for n, (part, total) in enumerate(pairs))


def blocks(canary: Pattern, stable: Pattern, count: int, step: int = BASE, **more: Any) -> Blocks:
    """Blocks up to now, in which both revisions repeat what they do."""
    seen = {"seen": float(count * step)} | more
    return Blocks(arm(canary, count, step), arm(stable, count, step), step_seconds=step, base_seconds=BASE, **seen)


def metric(**fields: Any) -> AnalysisMetric:
    """An ErrorRate with a margin of 1 %."""
    base = {"name": "errors", "builtin": "ErrorRate", "margin": "0.01", "sequential": {"alpha": "0.05"}}
    return AnalysisMetric.model_validate(base | fields)


def ratio(**fields: Any) -> AnalysisMetric:
    """A conversion: clicks of visits, more is better, with a margin of 1 %."""
    counters = {"good": "clicks_total", "total": "visits_total"} | fields.pop("ratio", {})
    return metric(name="clicks", builtin=None, ratio=counters, **fields)


FINE: Pattern = ((1, 100), (2, 100), (3, 100))
STABLE: Pattern = ((20, 1000), (18, 1000), (22, 1000))
BAD: Pattern = ((9, 100), (11, 100), (10, 100))

"""The measurements of a Rollout: verdict, value, limit, failures, a sparkline, and the bounds of sequential tests."""

from collections.abc import Iterator

from rich.text import Text

from trainyard.cli import clock
from trainyard.cli.console import Columns, table, word
from trainyard.cli.objects import Obj, at
from trainyard.cli.sparkline import axis, sparkline
from trainyard.cli.trail import Trail, number

COLUMNS = ("METRIC", "VERDICT", "VALUE", "LIMIT", "FAILED", "REQUESTS", "LAST")
DROPPED = ("REQUESTS", "LAST")
LAST = 12  # values in a sparkline
AXIS = 21  # characters of an interval
_LIMITS = (
    ("min", "≥ {}"), ("max", "≤ {}"), ("maxIncrease", "≤ stable + {}"), ("maxIncreasePercent", "≤ stable + {} %"),
    ("maxDecrease", "≥ stable - {}"), ("maxDecreasePercent", "≥ stable - {} %"), ("margin", "worse by ≤ {}"),
)  # fmt: skip


def metrics(rollout: Obj, trail: Trail) -> Columns | None:
    """Return the measurements as a table; None where there is none."""
    declared = {m["name"]: m for m in at(rollout, "spec.analysis.metrics", ())}
    rows = [_row(m, declared.get(m["name"], {}), trail) for m in at(rollout, "status.metrics", ())]
    return table(COLUMNS, rows, DROPPED) if rows else None


def limit(metric: Obj) -> str:
    """Write a metric's limits, or what a sequential one tolerates."""
    return ", ".join(text.format(metric[name]) for name, text in _LIMITS if name in metric)


def remarks(rollout: Obj) -> Iterator[tuple[str, str]]:
    """Yield by metric what a table has no room for: bounds of sequential tests, why a measurement does not pass."""
    declared = {m["name"]: m for m in at(rollout, "spec.analysis.metrics", ())}
    for metric in at(rollout, "status.metrics", ()):
        bounds = _bounds(metric, declared.get(metric["name"], {}))
        why = metric.get("message") or ("" if bounds else metric.get("reason"))
        if bounds:
            yield metric["name"], bounds
        if why and metric["verdict"] != "Pass":
            yield metric["name"], why


def _row(metric: Obj, declared: Obj, trail: Trail) -> tuple[str | Text, ...]:
    failures = metric.get("failures", 0)
    failed = "" if "sequential" in declared else f"{failures} of {declared.get('failureLimit', 0)}"
    return (
        metric["name"],
        word(metric["verdict"]),
        metric.get("value", ""),
        limit(declared),
        Text(failed, "red" if failures else ""),
        str(metric.get("samples", 0)),
        sparkline(trail.of(metric["name"]), LAST),
    )


def _bounds(metric: Obj, declared: Obj) -> str:
    """Write how sure a sequential test is: worse by lower to upper, against its margin, and what it still needs."""
    lower, upper, margin = (number(text) for text in (metric.get("lower"), metric.get("upper"), declared.get("margin")))
    if lower is None or upper is None:
        return ""
    drawn = f"{axis(lower, upper, margin, AXIS)}  " if margin is not None else ""
    told = f"{drawn}worse by {metric['lower']} … {metric['upper']}"
    needs, seconds = metric.get("needs"), metric.get("needsSeconds")
    if needs is None:
        return told
    return f"{told}; about {needs} more requests" + ("" if seconds is None else f" ({clock.spoken(seconds)})")

"""Which metrics cannot be asked for here, and why: names, limits, sources, queries of one's own. Pure.

The API server refuses most of it; this holds where its rules are older, or cannot see (a parser, the configuration).
Called by `admission`.
"""

from trainyard.resources.rollout import Analysis, AnalysisMetric
from trainyard.rollout import queries_custom, sequential, sources
from trainyard.rollout.analysis import COMPARED, window_seconds
from trainyard.systems.bundle import Config

LIMITS = ("min", "max", *COMPARED, "sequential")


def problem(analysis: Analysis, config: Config, decides: str = "") -> tuple[str, str] | None:
    """Return (reason, sentence) for the first metric that cannot be asked for, or would never answer in time.

    decides: the name of the metric that decides an experiment; it is waited for as long as the experiment lasts.
    """
    metrics = analysis.metrics
    if len({m.name for m in metrics}) < len(metrics):
        return ("DuplicateMetric", "metric names must differ")
    found = (_of_metric(analysis.source, metric, config) for metric in metrics)
    late = (_late(analysis, metric, config) for metric in metrics if metric.name != decides)
    return next((one for one in (*found, *late) if one), None)


def _late(analysis: Analysis, metric: AnalysisMetric, config: Config) -> tuple[str, str] | None:
    """Refuse a metric that holds every step beyond maxHoldSeconds before it can pass for the first time.

    Blocks come in time or not by the configuration's scrape interval: where the step is only held, they may be late.
    """
    needs = metric.label_delay_seconds or 0
    if metric.sequential and analysis.on_no_data == "Abort":
        needs += sequential.LEAST_BLOCKS * window_seconds(analysis, config.scrape_interval_seconds)
    if not needs or needs + analysis.interval_seconds <= analysis.max_hold_seconds:
        return None
    sentence = f"metric {metric.name} cannot pass before {needs} s, and maxHoldSeconds is {analysis.max_hold_seconds}"
    return ("HoldTooShort", sentence)


def _of_metric(source: str, metric: AnalysisMetric, config: Config) -> tuple[str, str] | None:
    if all(getattr(metric, name) is None for name in LIMITS):
        return ("NoLimit", f"metric {metric.name} has no limit")
    if metric.builtin:
        return sources.problem(source, metric)
    if not config.custom_queries:
        return ("CustomQueriesDisabled", f"metric {metric.name}: queries of one's own are off in this installation")
    refused = _query_problem(metric)
    return ("InvalidQuery", f"metric {metric.name}: {refused}") if refused else None


def _query_problem(metric: AnalysisMetric) -> str:
    if metric.ratio is None:
        return queries_custom.check(metric.query or "")
    sides = (("good", metric.ratio.good), ("total", metric.ratio.total))
    checked = ((side, queries_custom.check_counter(query)) for side, query in sides)
    return next((f"ratio.{side}: {why}" for side, why in checked if why), "")

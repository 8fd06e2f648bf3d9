"""Sequential metrics: from blocks to a verdict about a margin, at any time (rollout.md, Comparing with stable). Pure.

Fail aborts, so a rollout's alpha is shared: among its sequential metrics by Holm, and among the stretches of its ladder
that begin with new data. Pass needs no sharing: every metric has to pass, in every stretch. Called by `analysis`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from trainyard.resources.rollout import Analysis, AnalysisMetric
from trainyard.rollout import sequential
from trainyard.rollout.blocks import Blocks
from trainyard.rollout.sequential import Estimate

SHARES = ("ErrorRate", "SlowShare")
WORSE = "WorseThanMargin"
WHOLE = 1e-6  # so near to a whole number is one


@dataclass(frozen=True)
class Compared:
    """How one comparison came out; lower, upper: between them lies the harm; needs: requests of the canary."""

    verdict: Literal["Pass", "Fail", "Inconclusive", "NoData"]
    reason: str = ""
    message: str = ""
    estimate: Estimate | None = None
    lower: float = -math.inf
    upper: float = math.inf
    needs: int | None = None
    needs_seconds: int | None = None


@dataclass(frozen=True)
class Question:
    """What is asked about the harm: is it beyond the margin. failing, passing: the alpha of each answer."""

    margin: float
    failing: float
    passing: float


def sequential_metrics(analysis: Analysis) -> tuple[AnalysisMetric, ...]:
    """Return the metrics that are compared by blocks."""
    return tuple(metric for metric in analysis.metrics if metric.sequential is not None)


def compared(analysis: Analysis, found: Mapping[str, Blocks], stretches: int) -> dict[str, Compared]:
    """Judge every sequential metric, by Holm: what has failed leaves its share of alpha to the rest."""
    metrics, failed = sequential_metrics(analysis), 0
    while True:
        share = stretches * max(1, len(metrics) - failed)
        told = {m.name: _one(analysis, m, found.get(m.name), share) for m in metrics}
        count = sum(one.verdict == "Fail" for one in told.values())
        if count <= failed:
            return told
        failed = count


def _one(analysis: Analysis, metric: AnalysisMetric, blocks: Blocks | None, share: int) -> Compared:
    alpha = float(metric.sequential.alpha) if metric.sequential else 0.0
    return asked(analysis, metric, blocks, Question(float(metric.margin or 0), alpha / share, alpha))


def asked(analysis: Analysis, metric: AnalysisMetric, blocks: Blocks | None, question: Question) -> Compared:
    """Answer one question from the blocks of a metric; None: not one block was asked for yet."""
    if blocks is None:
        return Compared("Inconclusive", "TooFewBlocks", "no whole block of time has passed since the step began")
    hindered = obstacle(analysis, metric, blocks)
    if hindered:
        return hindered
    told = estimated(metric, blocks)
    if told is None:
        return Compared("NoData", "NoStableData", "stable had no requests since the step began")
    least, unit = enough(analysis, metric)
    if told.canary < least:
        return Compared("Inconclusive", f"TooFew{unit.capitalize()}", f"fewer than {least} {unit}", told)
    return _judged(question, told, blocks)


def enough(analysis: Analysis, metric: AnalysisMetric) -> tuple[int, str]:
    """Return how much the canary must have had before anything counts, and of what."""
    if metric.min_labels is not None:
        return metric.min_labels, "labels"
    return analysis.min_requests, "requests"


def estimated(metric: AnalysisMetric, blocks: Blocks) -> Estimate | None:
    """Return the harm of the canary in a metric, None where one of the two had nothing."""
    lower = metric.builtin in SHARES or (metric.ratio is not None and metric.ratio.better == "Lower")
    return sequential.estimate(blocks, lower, is_proportion=_is_proportion(metric, blocks))


def _is_proportion(metric: AnalysisMetric, blocks: Blocks) -> bool:
    """Whether the metric counts some of all; a ratio of anything else (a mean) has no binomial variance.

    What is counted comes in ones: a mean of seconds, below 1, is not taken for a share.
    """
    both = (*blocks.canary, *blocks.stable)
    counts = all(abs(b.part - round(b.part)) < WHOLE for b in both)
    return metric.builtin in SHARES or (counts and sum(b.part for b in both) <= sum(b.total for b in both))


def obstacle(analysis: Analysis, metric: AnalysisMetric, blocks: Blocks) -> Compared | None:
    """Return what keeps a metric from being compared; the rows of the verdict table that are about answers."""
    name = metric.builtin or (metric.ratio.total if metric.ratio else "")
    if blocks.failure:
        return Compared("NoData", "ProviderError", f"Prometheus: {blocks.failure}")
    if blocks.unusable:
        return Compared("Inconclusive", "NotCounters", blocks.unusable)
    if blocks.seen is None:
        return Compared("NoData", "NoSeries", f"nothing is returned by {name[:200]}")
    if not blocks.is_present:
        return Compared("NoData", "StaleSample", "the counters of a revision are not there any more")
    if blocks.canary[-1].end - blocks.seen > max(2 * analysis.interval_seconds, blocks.step_seconds):
        return Compared("NoData", "StaleSample", "the counters of a revision are older than two intervals")
    return _uncounted(metric, blocks) if sum(block.total for block in blocks.canary) > 0 else _nothing(analysis, metric)


def _uncounted(metric: AnalysisMetric, blocks: Blocks) -> Compared | None:
    """Return what is missing of what the metric counts. Absence is 0 only where that speaks against the canary.

    ErrorRate's failures may have no series before the first one. A histogram has all its buckets from the first request
    on: one that is missing was never configured, so it says nothing of either revision.
    """
    ours, theirs = blocks.parts
    if metric.builtin == "ErrorRate" or (ours and theirs):
        return None
    better = metric.ratio.better if metric.ratio else ""
    counted = metric.ratio.good[:200] if metric.ratio else f"the bucket that ends at {metric.slower_than_seconds} s"
    if not ours and not theirs:
        return Compared("NoData", "NoSeries", f"neither revision ever had a series of {counted}")
    if not ours and better != "Higher":
        return Compared("NoData", "NoSeries", f"the canary, unlike stable, has no series of {counted}")
    if not theirs and better != "Lower":
        return Compared("NoData", "NoStableData", f"stable, unlike the canary, has no series of {counted}")
    return None


def _nothing(analysis: Analysis, metric: AnalysisMetric) -> Compared:
    least, unit = enough(analysis, metric)
    if least:
        return Compared("Inconclusive", f"TooFew{unit.capitalize()}", f"fewer than {least} {unit}")
    return Compared("NoData", "NotANumber", f"the canary had no {unit} since the step began")


def _judged(question: Question, told: Estimate, blocks: Blocks) -> Compared:
    lower = told.harm - sequential.reach(told, question.failing)
    upper = told.harm + sequential.reach(told, question.passing)
    if lower > question.margin:
        message = f"worse than stable by more than margin {question.margin:g}"
        return Compared("Fail", WORSE, message, told, lower, upper)
    if upper < question.margin:
        return Compared("Pass", "", "", told, lower, upper)
    needs, seconds = _needs(question, told, blocks)
    if told.informative < sequential.LEAST_BLOCKS:
        message = f"fewer than {sequential.LEAST_BLOCKS} blocks of time with requests"
        return Compared("Inconclusive", "TooFewBlocks", message, told, lower, upper, needs, seconds)
    message = f"the harm may lie on either side of margin {question.margin:g}"
    return Compared("Inconclusive", "NotDecided", message, told, lower, upper, needs, seconds)


def _needs(question: Question, told: Estimate, blocks: Blocks) -> tuple[int | None, int | None]:
    """Return about how many more requests of the canary it takes, and seconds, if all goes on as so far."""
    alpha = question.failing if told.harm > question.margin else question.passing
    times = sequential.more_data(told, question.margin, alpha)
    if times is None:
        return None, None
    seconds = told.information * blocks.base_seconds
    return math.ceil(told.canary * (times - 1)), math.ceil(seconds * (times - 1))


def stretches(weights: Sequence[int], lasting: Sequence[bool]) -> int:
    """Return how often a ladder begins to count anew with part of the traffic: once a step, at least once.

    A step that takes no time and only sets the weight counts together with the lasting one after it.
    """
    found = 0
    for weight, lasts, lasts_next in zip(weights, lasting, (*lasting, False)[1:], strict=True):
        found += weight < 100 and (lasts or (weight > 0 and not lasts_next))
    return max(1, found)

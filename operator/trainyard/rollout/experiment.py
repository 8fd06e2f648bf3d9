"""An A/B experiment: is the hypothesis shown, is the new revision harmful, or is time over? Pure.

The test is the sequential one, so it may be asked at every measurement and ends as soon as it is sure.
`decide` is called by `progress` with every measurement, and the ladder acts on it; `told` by `analysis`.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from trainyard.resources.rollout import Analysis, AnalysisMetric
from trainyard.resources.rollout_strategy import Experiment
from trainyard.rollout import comparing, sequential
from trainyard.rollout.blocks import Blocks
from trainyard.rollout.comparing import Compared, Question
from trainyard.rollout.sequential import Estimate

SHOWN = "HypothesisShown"
HARMFUL = "Harmful"
TIME_OVER = "TimeOver"
UNDECIDED = "Undecided"
TOO_FEW = "TooFewPerArm"
NO_DATA = "NoData"
MISMATCH = "SampleRatioMismatch"
MISMATCH_ALPHA = 0.001
# Whoever assigns deals people, and each has many requests: of so few people, the luck of the draw moves the split by
# so many standard deviations at most. The operator sees requests alone, so it takes less than that for luck.
MISMATCH_PEOPLE, MISMATCH_LUCK = 400, 4.0


@dataclass(frozen=True)
class Verdict:
    """What an experiment says now.

    Only Undecided goes on; without data, or with requests split otherwise than declared, it does so beyond its time.
    """

    word: Literal["Undecided", "Shown", "Harmful", "NotShown"]
    reason: str
    sentence: str


def decide(
    experiment: Experiment, analysis: Analysis, metric: AnalysisMetric, blocks: Blocks | None, seconds: float
) -> Verdict:
    """Decide from all blocks since the share was set, `seconds` ago."""
    if blocks is None:
        return Verdict("Undecided", NO_DATA, "the first whole block of time")
    obstacle = comparing.obstacle(analysis, metric, blocks)
    if obstacle and not obstacle.reason.startswith("TooFew"):
        return Verdict("Undecided", NO_DATA, f"metric {metric.name}: {obstacle.reason}")
    if is_mismatched(blocks, experiment.share / 100):
        sentence = f"requests to be split as declared: {experiment.share} of a hundred for the new revision"
        return Verdict("Undecided", MISMATCH, sentence)
    found = comparing.estimated(metric, blocks)
    if found is None or min(found.canary, found.stable) < experiment.min_per_arm:
        return _open(experiment, seconds, TOO_FEW, f"{experiment.min_per_arm} in each arm")
    return _shown(experiment, metric, found) or _open(experiment, seconds, UNDECIDED, f"{metric.name} to tell")


def told(experiment: Experiment, analysis: Analysis, metric: AnalysisMetric, blocks: Blocks | None) -> Compared:
    """Return how the deciding metric stands, for status. Never Fail: that an experiment ends is said by `decide`."""
    found = comparing.asked(analysis, metric, blocks, question(experiment))
    return replace(found, verdict="Inconclusive") if found.verdict == "Fail" else found


def question(experiment: Experiment) -> Question:
    """Return what is asked: whether the harm lies below the margin (non-inferior), or the gain beyond it (superior)."""
    alpha, margin = float(experiment.alpha), float(experiment.margin)
    return Question(margin if experiment.hypothesis == "NonInferior" else -margin, alpha, alpha)


def is_mismatched(blocks: Blocks, share: float) -> bool:
    """Whether requests are split otherwise than the luck of a draw explains, as surely as p < 0.001 at any time."""
    found = sequential.split(blocks, share)
    if found is None:
        return False
    luck = MISMATCH_LUCK * math.sqrt(share * (1 - share) / MISMATCH_PEOPLE)
    return abs(found.harm) > luck + sequential.reach(found, MISMATCH_ALPHA / 2)


def _shown(experiment: Experiment, metric: AnalysisMetric, found: Estimate) -> Verdict | None:
    """Return the verdict where the bounds give one. Not to be better is no harm yet: harm begins above 0."""
    asked = question(experiment)
    reach = sequential.reach(found, asked.passing)
    harmful = asked.margin if asked.margin > 0 else 0.0
    if found.harm + reach < asked.margin:
        words = "not worse than stable by as much as" if asked.margin > 0 else "better than stable by more than"
        return Verdict("Shown", SHOWN, f"{metric.name} is {words} {experiment.margin}")
    if found.harm - reach > harmful:
        return Verdict("Harmful", HARMFUL, f"{metric.name} is worse than stable by more than {harmful:g}")
    return None


def _open(experiment: Experiment, seconds: float, reason: str, waits_for: str) -> Verdict:
    if seconds < experiment.duration_seconds:
        return Verdict("Undecided", reason, waits_for)
    words = "not inferior" if experiment.hypothesis == "NonInferior" else "superior"
    return Verdict("NotShown", TIME_OVER, f"{experiment.duration_seconds} s are over, and {words} was not shown")

"""Is the canary worse than stable? Bounds on the harm that hold however often one looks. Pure.

The harm is the difference of two ratio estimates, positive where the canary is worse. Its variance comes from the
blocks, paired in time, at several lengths of block, the greatest counting; for proportions it is at least the
binomial one. The bounds are the confidence sequence of the normal-mixture test with unknown variance (Lindon, Ham,
Tingley, Bojinov, "Anytime-Valid Linear Models and Regression Adjusted Causal Inference in Randomized Experiments",
arXiv 2210.08589; with many blocks it becomes the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha,
Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 52(6),
2024), each side at its own alpha. docs/analysis.md has the mathematics and what simulations say.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from trainyard.rollout.blocks import Block, Blocks

TUNED_FOR = 24.0  # base blocks at which the bounds are about tightest; other numbers cost little
LEAST_BLOCKS = 24  # with data; fewer tell nothing about the variance, nor about what lasts longer than a block
LEAST_GROUPS = 4  # lengths of block that leave fewer groups tell nothing about the variance either
STEADY_GROUPS = 8  # fewer are too unsteady to be reckoned on from
MOST_TIMES = 10_000.0  # more than so many times the data is as good as never


@dataclass(frozen=True)
class Estimate:
    """What the blocks say of the harm (in the metric's unit).

    variance is that of the estimate. informative: blocks in which there was something. information: time with data, in
    base blocks. canary, stable: requests of each; values: their ratios.
    """

    harm: float
    variance: float
    informative: int
    information: float
    canary: float
    stable: float
    values: tuple[float, float]

    def times(self, factor: float) -> "Estimate":
        """Return the estimate as it would be with so many times the data."""
        return replace(
            self,
            variance=self.variance / factor,
            informative=int(self.informative * factor),
            information=self.information * factor,
        )


def estimate(blocks: Blocks, lower_is_better: bool, is_proportion: bool) -> Estimate | None:
    """Return the harm, None where one of the revisions has nothing yet."""
    ours, theirs = _sums(blocks.canary), _sums(blocks.stable)
    if ours[1] <= 0 or theirs[1] <= 0:
        return None
    pairs = [(c, s) for c, s in zip(blocks.canary, blocks.stable, strict=True) if c.total > 0 or s.total > 0]
    values = (ours[0] / ours[1], theirs[0] / theirs[1])
    influences = [
        (c.part - values[0] * c.total) / ours[1] - (s.part - values[1] * s.total) / theirs[1] for c, s in pairs
    ]
    least = _binomial(*ours) + _binomial(*theirs) if is_proportion else 0.0
    harm = values[0] - values[1] if lower_is_better else values[1] - values[0]
    return Estimate(
        harm,
        max(least, _variance(influences)),
        len(pairs),
        len(pairs) * blocks.step_seconds / blocks.base_seconds,
        ours[1],
        theirs[1],
        values,
    )


def split(blocks: Blocks, declared: float) -> Estimate | None:
    """Return how far the canary's share of all requests is from the declared one, None where there are none."""
    pairs = [(c.total, c.total + s.total) for c, s in zip(blocks.canary, blocks.stable, strict=True)]
    ours, all_ = math.fsum(c for c, _ in pairs), math.fsum(both for _, both in pairs)
    if all_ <= 0:
        return None
    share = ours / all_
    influences = [(c - share * both) / all_ for c, both in pairs if both > 0]
    variance = max(_binomial(ours, all_), _variance(influences))
    information = len(influences) * blocks.step_seconds / blocks.base_seconds
    values = (share, declared)
    return Estimate(share - declared, variance, len(influences), information, ours, all_ - ours, values)


def _sums(blocks: Sequence[Block]) -> tuple[float, float]:
    return math.fsum(b.part for b in blocks), math.fsum(b.total for b in blocks)


def _binomial(part: float, total: float) -> float:
    """Return the variance of a proportion if requests were independent; never 0, for 0 of 500 is not certainty."""
    share = min((part + 1.0) / (total + 2.0), 1.0)
    return share * (1.0 - share) / total


def _variance(influences: Sequence[float]) -> float:
    """Return the variance of the influences' sum: the greatest over groups of 1, 2, 4, ... neighbours.

    What lasts longer than a block (a user, a slow pod) makes neighbours alike; only longer groups see it, and each
    length still misses about as much as it adds to the length before. So that is added once more (the zero lugsail
    window of Vats and Flegal, "Lugsail lag windows for estimating time-average covariance matrices", Biometrika
    109(3), 2022), where enough groups are left.
    """
    found, before, length = 0.0, math.inf, 1
    sums = [0.0, *accumulate(influences)]
    while (groups := len(influences) // length) >= max(2, min(LEAST_GROUPS, len(influences))):
        ends = [sums[n * length] for n in range(groups)] + [sums[-1]]  # the last group takes the rest
        spread = sum((b - a) ** 2 for a, b in pairwise(ends)) * groups / (groups - 1)
        found = max(found, spread, spread + (spread - before if groups >= STEADY_GROUPS else 0.0))
        before, length = spread, 2 * length
    return found


def reach(told: Estimate, alpha: float) -> float:
    """Return how far the harm may lie from its estimate on one side, at any time, but for a share alpha of cases.

    Infinite while there are too few blocks. `1 +` makes it one-sided (the one-sided form of Waudby-Smith et al.).
    """
    if told.informative < LEAST_BLOCKS:
        return math.inf
    shrunk = TUNED_FOR / (TUNED_FOR + told.information)
    odds = 1.0 + math.sqrt(1.0 / shrunk) / (2.0 * alpha)
    freedom = told.informative - 1
    left = odds ** (-2.0 / (freedom + 1))
    if left <= shrunk:
        return math.inf
    return math.sqrt(told.variance * freedom * (1.0 - left) / (left - shrunk))


def more_data(told: Estimate, margin: float, alpha: float) -> float | None:
    """Return how many times the data is about needed to tell, if the estimate stays; None for as good as never."""
    distance = abs(told.harm - margin)
    if reach(told.times(MOST_TIMES), alpha) > distance:
        return None
    low, high = 1.0, MOST_TIMES
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if reach(told.times(middle), alpha) <= distance else (middle, high)
    return high

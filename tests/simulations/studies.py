"""The studies: how often equal revisions are told apart, how surely unequal ones are, and how experiments end."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from tests.simulations.driving import BLOCK_SECONDS, Ended, climb, spec, tried
from tests.simulations.traffic import Scene
from trainyard.resources.rollout import AnalysisMetric
from trainyard.resources.rollout_strategy import Experiment

ALPHA = 0.05
SEED = 20261124
BLOCKS = 96
LADDER = (0.1, 0.5)
USUAL, WORSE = 0.02, 0.06
POWER_BLOCKS = 240
CONVERSION = AnalysisMetric.model_validate(
    {
        "name": "conversion",
        "ratio": {"good": "bought_total", "total": "visits_total"},
        "margin": "0.01",
        "sequential": {},
    }
)


@dataclass(frozen=True)
class Study:
    """What came out of so many rollouts: how often each end, and the median block in which they ended."""

    rollouts: int
    ends: Counter[str]
    median: float

    def share(self, end: str) -> float:
        """Return how often it ended so."""
        return self.ends[end] / self.rollouts


def most(alpha: float, rollouts: int) -> float:
    """Return the share above which a true share of alpha is not believed: three standard deviations."""
    return alpha + 3 * math.sqrt(alpha * (1 - alpha) / rollouts)


def equal_revisions(kind: str, rollouts: int, seed: int = SEED) -> Study:
    """A/A without any margin, one metric, one timed stretch: the whole alpha in one test, looked at to the end."""
    return _climbs(kind, rollouts, seed, [Scene(BLOCKS, 300, 0.2, USUAL, USUAL)], "0", 1, timed=True)


def equal_on_a_ladder(kind: str, rollouts: int, seed: int = SEED) -> Study:
    """A/A with a margin on a ladder of two stretches with two metrics, to its end."""
    scenes = [Scene(BLOCKS, 300, share, USUAL, USUAL) for share in LADDER]
    return _climbs(kind, rollouts, seed + 1, scenes, "0.02", 2)


def worse_revision(kind: str, rollouts: int, seed: int = SEED) -> Study:
    """The declared effect: 2 % become 6 %, margin 1 %, a fifth of 300 requests a block, at most 240 blocks."""
    return _climbs(kind, rollouts, seed + 2, [Scene(POWER_BLOCKS, 300, 0.2, USUAL, WORSE)], "0.01", 1)


def experiment(
    effect: float, rollouts: int, hypothesis: str = "Superior", seed: int = SEED, kind: str = "users"
) -> Study:
    """A/B with 15 % of 1,000 visits a block, sticky users, a conversion of 10 % and this effect, 96 blocks."""
    told = Experiment.model_validate(
        {
            "share": 15,
            "durationSeconds": BLOCKS * BLOCK_SECONDS,
            "minPerArm": 1000,
            "decideOn": "conversion",
            "hypothesis": hypothesis,
            "margin": "0" if hypothesis == "Superior" else "0.03",
            "assignment": {"cookie": {}},
        }
    )
    scene = Scene(BLOCKS, 1000, 0.15, 0.1, 0.1 + effect)
    found = (tried(np.random.default_rng([seed + 3, n]), kind, scene, told, CONVERSION) for n in range(rollouts))
    return Study(rollouts, Counter(verdict.word for verdict in found), math.nan)


def _climbs(
    kind: str, rollouts: int, seed: int, scenes: list[Scene], margin: str, metrics: int, timed: bool = False
) -> Study:
    rules = spec(margin, metrics, str(ALPHA))
    ends: list[Ended] = [climb(np.random.default_rng([seed, n]), kind, scenes, rules, timed) for n in range(rollouts)]
    return Study(rollouts, Counter(end.how for end in ends), float(np.median([end.block for end in ends])))

"""Made traffic: what the counters of two revisions say at the end of every base block.

Each kind breaks independence in its own way; the revisions differ only by the error rates they are given. Numbers are
per base block. Persistent differences between pods are no kind: with one canary pod nobody can tell them from a
difference between revisions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Random = np.random.Generator
KINDS: dict[str, "Kind"] = {}


@dataclass(frozen=True)
class Scene:
    """One stretch: blocks, requests a block, the canary's share, and the error rates."""

    blocks: int
    rate: float
    share: float
    stable: float
    canary: float


@dataclass(frozen=True)
class Pod:
    """Counters of one process at the end of every block: part and total; NaN where Prometheus has nothing."""

    part: Numbers
    total: Numbers


@dataclass(frozen=True)
class Traffic:
    """The pods of both revisions; index 0 of their counters is before the first block."""

    canary: Mapping[str, Pod]
    stable: Mapping[str, Pod]


Kind = Callable[[Random, Scene], Traffic]


def kind(function: Kind) -> Kind:
    """Enter a kind of traffic under its name."""
    KINDS[function.__name__] = function
    return function


@kind
def independent(random: Random, scene: Scene) -> Traffic:
    """Every request for itself."""
    ours, theirs = _split(random, scene, np.full(scene.blocks, scene.rate))
    return Traffic(
        _pods(random, ours, random.binomial(ours, scene.canary), 2),
        _pods(random, theirs, random.binomial(theirs, scene.stable), 3),
    )


@kind
def bursty(random: Random, scene: Scene) -> Traffic:
    """Load comes in bursts; storms of errors hit both revisions, and now and then one alone."""
    ours, theirs = _split(random, scene, scene.rate * random.lognormal(0, 0.7, scene.blocks))
    storm = _storms(random, scene.blocks, 0.1, 0.6)
    failing = [
        np.minimum(1, p + storm + _storms(random, scene.blocks, 0.05, 0.5)) for p in (scene.canary, scene.stable)
    ]
    return Traffic(
        _pods(random, ours, random.binomial(ours, failing[0]), 2),
        _pods(random, theirs, random.binomial(theirs, failing[1]), 3),
    )


@kind
def users(random: Random, scene: Scene) -> Traffic:
    """Users stay with their revision for a geometric time, three blocks on average, and each has luck of their own."""
    return _staying(random, scene, 3)


@kind
def long_users(random: Random, scene: Scene) -> Traffic:
    """Like users, who stay for six blocks."""
    return _staying(random, scene, 6)


def _staying(random: Random, scene: Scene, stay: int) -> Traffic:
    each, before = 5.0, 20 * stay // 3
    counts = np.zeros((2, 2, scene.blocks))  # revision, (part, total)
    arrivals = random.poisson(scene.rate / each / stay, scene.blocks + before)
    begins = np.repeat(np.arange(-before, scene.blocks), arrivals)
    ends = begins + random.geometric(1 / stay, len(begins))
    arms = random.random(len(begins)) >= scene.share  # False: canary
    means = np.where(arms, scene.stable, scene.canary)
    luck = random.beta(means * 5, (1 - means) * 5)
    for block in range(scene.blocks):
        here = (begins <= block) & (block < ends)
        asked = random.poisson(each, int(here.sum()))
        failed = random.binomial(asked, luck[here])
        for arm in (0, 1):
            mine = arms[here] == bool(arm)
            counts[arm, 0, block], counts[arm, 1, block] = failed[mine].sum(), asked[mine].sum()
    whole = counts.astype(np.int64)
    return Traffic(_pods(random, whole[0, 1], whole[0, 0], 2), _pods(random, whole[1, 1], whole[1, 0], 3))


@kind
def uneven_pods(random: Random, scene: Scene) -> Traffic:
    """Pods get very different shares, and each has bad spells of three blocks, whatever it serves."""

    def arm(pods: int, rate: float, failing: float) -> Mapping[str, Pod]:
        shares = random.dirichlet(np.full(pods, 2.0))
        made = {}
        for name, share in enumerate(shares):
            total = random.poisson(rate * share, scene.blocks)
            bad = np.repeat(_storms(random, scene.blocks // 3 + 1, 0.05, 0.3), 3)[: scene.blocks]
            made[str(name)] = _pod(random.binomial(total, np.minimum(1, failing + bad)), total)
        return made

    return Traffic(arm(1, scene.rate * scene.share, scene.canary), arm(4, scene.rate * (1 - scene.share), scene.stable))


@kind
def counter_resets(random: Random, scene: Scene) -> Traffic:
    """Processes start again from zero, are scraped now and then only, and are replaced by others."""
    plain = independent(random, scene)
    return Traffic(_troubled(random, plain.canary), _troubled(random, plain.stable))


def _split(random: Random, scene: Scene, rates: Numbers) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    requests = random.poisson(rates)
    ours = random.binomial(requests, scene.share)
    return ours, requests - ours


def _storms(random: Random, blocks: int, often: float, worst: float) -> Numbers:
    return np.where(random.random(blocks) < often, random.uniform(0.0, worst, blocks), 0.0)


def _pods(random: Random, total: NDArray[np.int64], part: NDArray[np.int64], count: int) -> Mapping[str, Pod]:
    """Spread requests, and those that failed, over pods."""
    evenly = np.full(count, 1 / count)
    failed = random.multinomial(part, evenly)
    fine = random.multinomial(total - part, evenly)
    return {str(n): _pod(failed[:, n], failed[:, n] + fine[:, n]) for n in range(count)}


def _pod(part: NDArray[np.int64], total: NDArray[np.int64]) -> Pod:
    """Make counters; a part that has not happened yet has no series."""
    grown = np.concatenate(([0.0], np.cumsum(part)))
    return Pod(np.where(grown > 0, grown, np.nan), np.concatenate(([1000.0], 1000.0 + np.cumsum(total))))


def _troubled(random: Random, pods: Mapping[str, Pod]) -> Mapping[str, Pod]:
    made: dict[str, Pod] = {}
    for name, pod in pods.items():
        restarted = _restarted(random, pod)
        missed = random.random(len(pod.total)) < 0.1
        seen = Pod(np.where(missed, np.nan, restarted.part), np.where(missed, np.nan, restarted.total))
        replaced = int(random.integers(1, len(pod.total)))
        before, after = np.arange(len(pod.total)) < replaced, np.arange(len(pod.total)) >= replaced
        made[name] = Pod(np.where(before, seen.part, np.nan), np.where(before, seen.total, np.nan))
        fresh = Pod(seen.part - np.nan_to_num(seen.part[replaced - 1]), seen.total)
        made[f"{name}-new"] = Pod(np.where(after, fresh.part, np.nan), np.where(after, fresh.total, np.nan))
    return made


def _restarted(random: Random, pod: Pod) -> Pod:
    """Let the process start again at some blocks' ends: both counters fall to zero there."""
    part, total = np.nan_to_num(pod.part).copy(), pod.total.copy()
    for at in np.flatnonzero(random.random(len(total)) < 0.03):
        part[at:] -= part[at]
        total[at:] -= total[at]
    return Pod(np.where(part > 0, part, np.nan), total)

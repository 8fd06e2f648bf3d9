"""Drives the operator's own pure code over made traffic as the operator does: counters, blocks, look after look."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from tests.simulations.traffic import KINDS, Pod, Scene, Traffic
from trainyard.resources.rollout import Analysis, AnalysisMetric, MetricStatus
from trainyard.resources.rollout_strategy import Experiment
from trainyard.rollout import analysis, blocks, experiment
from trainyard.rollout.blocks import Blocks
from trainyard.rollout.experiment import Verdict
from trainyard.rollout.state import Measurement
from trainyard.systems.prometheus.port import Answer, RangeAnswer, Sample, Series

START = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
BLOCK_SECONDS = 8  # four scrapes of two seconds
LOOK_BLOCKS = 3
CANARY, STABLE = "c", "s"


@dataclass(frozen=True)
class Ended:
    """How one rollout ended: aborted, promoted or neither; in which block (of all its stretches)."""

    how: str
    block: int


def looked(traffic: Traffic, scene: Scene) -> Iterator[tuple[int, datetime, Blocks]]:
    """Look every interval: all blocks so far, read from the counters anew."""
    ours, theirs = (_Answers(pods) for pods in (traffic.canary, traffic.stable))
    for block in range(LOOK_BLOCKS, scene.blocks + 1, LOOK_BLOCKS):
        at = START + timedelta(seconds=block * BLOCK_SECONDS)
        grid = blocks.grid(START, at, BLOCK_SECONDS)
        assert grid is not None
        yield block, at, blocks.made(grid, ours.over(grid), theirs.over(grid), (None, None))


class _Answers:
    """Answers range queries about pods."""

    def __init__(self, pods: Mapping[str, Pod]) -> None:
        self.parts = {name: pod.part.tolist() for name, pod in pods.items()}
        self.totals = {name: pod.total.tolist() for name, pod in pods.items()}

    def over(self, grid: blocks.Grid) -> blocks.Arm:
        """Return the counters at the grid's times, NaN left out."""
        times, stride = grid.times, grid.step_seconds // BLOCK_SECONDS
        first = round(times[0] - START.timestamp()) // BLOCK_SECONDS
        indices = range(first, first + stride * len(times), stride)

        def answer(counters: Mapping[str, list[float]]) -> RangeAnswer:
            read = {
                name: [(t, values[i]) for t, i in zip(times, indices, strict=True)] for name, values in counters.items()
            }
            known = {name: tuple(point for point in points if point[1] == point[1]) for name, points in read.items()}
            return RangeAnswer(series=tuple(Series({"pod": name}, points) for name, points in known.items()))

        return answer(self.parts), answer(self.totals)


def spec(margin: str, metrics: int, alpha: str = "0.05") -> Analysis:
    """Return an analysis of so many error rates."""
    made = [
        AnalysisMetric(name=f"errors{n}", builtin="ErrorRate", margin=margin, sequential={"alpha": alpha})
        for n in range(metrics)
    ]
    return Analysis(interval_seconds=LOOK_BLOCKS * BLOCK_SECONDS, min_requests=100, metrics=tuple(made))


def climb(random: np.random.Generator, kind: str, scenes: list[Scene], rules: Analysis, timed: bool = False) -> Ended:
    """Climb a ladder: a stretch ends when every metric passes, a timed one only when it is over; any Fail aborts."""
    passed = 0
    for number, scene in enumerate(scenes):
        told, block = _stretch(random, kind, scene, rules, len(scenes), timed)
        if told != "Pass":
            return Ended("aborted" if told == "Fail" else "held", passed + block)
        passed += block
        if number == len(scenes) - 1:
            return Ended("promoted", passed)
    return Ended("held", passed)


def _stretch(
    random: np.random.Generator, kind: str, scene: Scene, rules: Analysis, stretches: int, timed: bool
) -> tuple[str, int]:
    """Look until the verdict is Pass or Fail, or the blocks are over."""
    seen = [looked(KINDS[kind](random, scene), scene) for _ in rules.metrics]
    before: tuple[MetricStatus, ...] = ()
    for looks in zip(*seen, strict=True):
        block, at, _ = looks[0]
        found = {m.name: look[2] for m, look in zip(rules.metrics, looks, strict=True)}
        requests = Answer(samples=(Sample({"revision": CANARY}, at.timestamp(), 1e6),))
        measurement = Measurement(block, at, requests, {}, blocks=found)
        before = analysis.measured(rules, measurement, CANARY, STABLE, before, at, stretches=stretches)
        if analysis.over_limit(rules, before):
            return "Fail", block
        if not timed and _all_pass(before):
            return "Pass", block
    return "Pass" if _all_pass(before) else "", scene.blocks


def _all_pass(metrics: tuple[MetricStatus, ...]) -> bool:
    return all(metric.verdict == "Pass" for metric in metrics)


def tried(random: np.random.Generator, kind: str, scene: Scene, told: Experiment, metric: AnalysisMetric) -> Verdict:
    """Run an experiment to its end."""
    verdict = Verdict("Undecided", "", "")
    rules = Analysis(interval_seconds=LOOK_BLOCKS * BLOCK_SECONDS, metrics=(metric,))
    for block, _, found in looked(KINDS[kind](random, scene), scene):
        verdict = experiment.decide(told, rules, metric, found, block * BLOCK_SECONDS)
        if verdict.word != "Undecided":
            return verdict
    return verdict

"""Blocks: what each revision did in equal stretches of time, taken from raw counters. Pure.

Requests of one moment share their fate (a burst, a user, a pod), so they are no independent samples; stretches of
time nearly are. Counters are read at the blocks' ends and subtracted here, not by PromQL's increase(): that one loses
the first error of a series that only appears with it, and what happens between two windows.
Used by `asking` and `comparing`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from trainyard.systems.prometheus.port import Answer, RangeAnswer, Series

MOST_BLOCKS = 128  # two queries with a series per pod stay under the 1 MiB of an answer for 150 pods
PROCESS = ("instance", "pod")  # labels that tell one scraped process from another
Arm = tuple[RangeAnswer, RangeAnswer]  # (part, total)
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Grid:
    """When the counters are read: at start (the base), and then at the end of every block.

    base_seconds: the length of a block before doubling.
    """

    start: datetime
    end: datetime
    step_seconds: int
    base_seconds: int

    @property
    def times(self) -> tuple[float, ...]:
        """The moments in Unix seconds, the base first."""
        first, step = self.start.timestamp(), self.step_seconds
        count = round((self.end - self.start).total_seconds() / step)
        return tuple(first + n * step for n in range(count + 1))


@dataclass(frozen=True)
class Block:
    """One revision in one block: when it ended (Unix seconds), the part that the metric counts, and all there was."""

    end: float
    part: float
    total: float


@dataclass(frozen=True)
class Blocks:
    """Both revisions over the same blocks, or why there are none.

    seen: until when Prometheus knew both revisions (Unix seconds), None where it never knew one of them. parts: whether
    the canary and stable have any series of the part at all. The test counts information in base_seconds, so that
    doubling changes nothing. is_present: whether both are there at the moment of measuring, long after the last block
    as it may be.
    """

    canary: tuple[Block, ...] = ()
    stable: tuple[Block, ...] = ()
    seen: float | None = None
    parts: tuple[bool, bool] = (True, True)
    step_seconds: int = 1
    base_seconds: int = 1
    is_present: bool = True
    failure: str = ""
    unusable: str = ""
    warnings: tuple[str, ...] = ()


def grid(begin: datetime, at: datetime, base_seconds: int) -> Grid | None:
    """Return the blocks between two moments, None where not even one fits.

    Their ends are multiples of their length since 1970, so that every visit, and every rollout, cuts alike; the
    length doubles where they would be too many.
    """
    first, last, length = begin.timestamp(), at.timestamp(), base_seconds
    while (last - first) / length > MOST_BLOCKS:
        length *= 2
    start, end = math.ceil(first / length) * length, math.floor(last / length) * length
    if end <= start:
        return None
    return Grid(datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC), length, base_seconds)


def made(grid: Grid, canary: Arm, stable: Arm, revisions: tuple[str | None, str | None]) -> Blocks:
    """Turn the counters of both revisions into blocks; a revision None takes every series of its answers."""
    answers = (*canary, *stable)
    warnings = tuple(dict.fromkeys(w for answer in answers for w in answer.warnings))
    failure = next((a.failure for a in answers if a.failure), "")
    unusable = next((a.unusable or "no matrix" for a in answers if a.series is None), "")
    if failure or unusable:
        return Blocks(failure=failure, unusable="" if failure else unusable, warnings=warnings)
    ours, theirs = (_Counters(arm, revision) for arm, revision in zip((canary, stable), revisions, strict=True))
    seen = (ours.seen, theirs.seen)
    return Blocks(
        ours.blocks(grid.times),
        theirs.blocks(grid.times),
        None if None in seen else min(time for time in seen if time is not None),
        (ours.has_part, theirs.has_part),
        grid.step_seconds,
        grid.base_seconds,
        warnings=warnings,
    )


def up_to_now(found: Blocks, answers: Sequence[Answer]) -> Blocks:
    """Add what Prometheus says at the moment of measuring: of each revision, the counters that it has."""
    failure = next((a.failure for a in answers if a.failure), "")
    unusable = next((a.unusable for a in answers if a.unusable), "")
    return replace(
        found,
        failure=found.failure or failure,
        unusable=found.unusable or unusable,
        is_present=all(answer.samples for answer in answers),
    )


class _Counters:
    """The counters of one revision: labels -> time -> value."""

    def __init__(self, arm: Arm, revision: str | None) -> None:
        self.parts, self.totals = (_by_labels(answer.series or (), revision) for answer in arm)
        self.processes: dict[Labels, list[Mapping[float, float]]] = {}
        for labels, points in self.totals.items():
            self.processes.setdefault(_process(labels), []).append(points)

    @property
    def seen(self) -> float | None:
        """When there was a total last."""
        return max((time for points in self.totals.values() for time in points), default=None)

    @property
    def has_part(self) -> bool:
        """Whether there is a series of the part."""
        return any(self.parts.values())

    def blocks(self, times: Sequence[float]) -> tuple[Block, ...]:
        """Return the increases between one moment and the next."""
        totals = [_increases(self._from_zero(labels, points, times), times) for labels, points in self.totals.items()]
        parts = [_increases(self._from_zero(labels, points, times), times) for labels, points in self.parts.items()]
        nothing = [0.0] * (len(times) - 1)
        sums = (map(sum, zip(nothing, *found, strict=True)) for found in (parts, totals))
        return tuple(Block(end, part, total) for end, part, total in zip(times[1:], *sums, strict=True))

    def _from_zero(
        self, labels: Labels, points: Mapping[float, float], times: Sequence[float]
    ) -> Mapping[float, float]:
        """Add the zeros of a counter that does not exist yet: the process was there, the first error was not.

        A process is known by all its totals (one by code, one by path); where it has none, by any of the revision.
        """
        process = self.processes.get(_process(labels)) or [{t: 0.0 for found in self.totals.values() for t in found}]
        before: dict[int, float] = {}
        filled, new = dict(points), True
        for time in times:
            there = {number: found[time] for number, found in enumerate(process) if time in found}
            new = new or any(value < before.get(number, -math.inf) for number, value in there.items())  # started again
            before |= there
            if time in points:
                new = False
            elif new and there:
                filled[time] = 0.0
        return filled


def _process(labels: Labels) -> Labels:
    """Return what names the process that a counter is of: its instance, or pod; all its labels where neither does."""
    return next(((pair,) for name in PROCESS for pair in labels if pair[0] == name), labels)


def _by_labels(series: Sequence[Series], revision: str | None) -> dict[Labels, Mapping[float, float]]:
    return {
        tuple(sorted(one.labels.items())): {time: value for time, value in one.points if math.isfinite(value)}
        for one in series
        if revision is None or one.labels.get("revision") == revision
    }


def _increases(points: Mapping[float, float], times: Sequence[float]) -> list[float]:
    """Return how much a counter grew in each block.

    Its first value is only a base: nobody knows since when it counts. What grew over a gap counts in the block in
    which it is seen again. A fall is a start from zero.
    """
    found, before = [], points.get(times[0])
    for time in times[1:]:
        value = points.get(time)
        grown = 0.0
        if value is not None:
            grown = 0.0 if before is None else value - before if value >= before else value
            before = value
        found.append(grown)
    return found

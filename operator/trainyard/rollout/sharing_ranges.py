"""Counters over time for sequential tests: every reading is asked for once, and for all Rollouts together.

An interval adds a reading or two to a history that stays; only those are asked for, in one pair of queries for
everybody whose history ends at the same reading. After a restart the histories are read again from Prometheus. What
failed is asked for again at the next instant.
Used by `asking`.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from trainyard.rollout.blocks import Arm, Grid
from trainyard.rollout.queries import Form, Key
from trainyard.rollout.sharing import FORGOTTEN, REMEMBERED, Batch, joined
from trainyard.rollout.sources import Subject
from trainyard.systems.prometheus.port import Prometheus, RangeAnswer, Series

MOST_READINGS = 4000  # of one query, over all its subjects: under 1 MiB with eight pods a Rollout
MOST_SUBJECTS = 100  # of one query; fewer after one that failed, for the answer may have been too large
Readings = dict[tuple[str, str], dict[float, float]]  # (revision, process) -> time -> counter
Stretch = tuple[float, float, int]  # first and last reading (Unix seconds), and the seconds between two
Found = Mapping[Key, Sequence[Series]]
Who = tuple[Subject, int]  # and how many seconds back: two metrics of one Rollout may want different stretches


@dataclass(frozen=True)
class _Pair:
    """Two answers, part and total, and their series by what they name."""

    answers: tuple[RangeAnswer, RangeAnswer]
    found: tuple[Found, Found]


@dataclass
class _History:
    """What is known of one subject: the readings of a stretch, of the part and of the total."""

    turn: int
    stretch: Stretch = (math.inf, -math.inf, 1)
    arms: tuple[Readings, Readings] = field(default_factory=lambda: ({}, {}))
    warnings: tuple[str, ...] = ()

    def missing(self, grid: Grid) -> Stretch | None:
        """Return which of the grid's readings are not known yet, None where all are."""
        first, last, step = self.stretch
        begin, end = grid.start.timestamp(), grid.end.timestamp()
        if first > begin or grid.step_seconds % step:
            return (begin, end, grid.step_seconds)
        unknown = next((time for time in grid.times if time > last), None)
        return None if unknown is None else (unknown, end, grid.step_seconds)

    def take(self, form: Form, subject: Subject, pair: _Pair) -> None:
        """Add readings."""
        self.warnings = tuple(dict.fromkeys(w for answer in pair.answers for w in answer.warnings))
        for readings, found in zip(self.arms, pair.found, strict=True):
            for revision in subject.revisions:
                for series in found.get(form.naming.key(subject, revision), ()):
                    readings.setdefault((revision, series.labels.get("instance", "")), {}).update(series.points)

    def cut(self, grid: Grid) -> Arm:
        """Forget what the grid does not have, and return the rest."""
        wanted = set(grid.times)
        for readings in self.arms:
            for who, points in [*readings.items()]:
                readings[who] = {time: value for time, value in points.items() if time in wanted}
        self.stretch = (grid.start.timestamp(), grid.end.timestamp(), grid.step_seconds)
        part, total = (RangeAnswer(series=_series(readings), warnings=self.warnings) for readings in self.arms)
        return part, total


@dataclass
class _Group:
    """The histories of one form, since when nobody asked for them, and the queries of the newest readings."""

    touched: datetime
    turn: int = 0
    newest: float = 0.0
    most: int = MOST_SUBJECTS
    histories: dict[Who, _History] = field(default_factory=dict)
    rounds: dict[Stretch, list[Batch[_Pair]]] = field(default_factory=dict)
    failed: dict[Stretch, datetime] = field(default_factory=dict)

    def round(self, stretch: Stretch, at: datetime) -> list[Batch[_Pair]]:
        """Return the queries of a stretch; a newer end lets the older ones go, and whoever has long been silent.

        A later instant lets go what failed: the same readings are wanted until the next block ends, which can be long.
        """
        if stretch[1] > self.newest:
            self.turn, self.newest, self.rounds, self.failed = self.turn + 1, stretch[1], {}, {}
            self.histories = {s: h for s, h in self.histories.items() if h.turn >= self.turn - REMEMBERED}
        if self.failed.get(stretch, at) < at:
            del self.failed[stretch]
            self.rounds.pop(stretch, None)
        return self.rounds.setdefault(stretch, [])

    def alike(self, history: _History) -> list[Subject]:
        """Return who lacks the same readings, and so can be asked for in the same query."""
        mine = history.stretch[1:]
        return [subject for (subject, _), other in self.histories.items() if other.stretch[1:] == mine]


class RangeSharing:
    """Readings of counters, for as long as the process lives; losing them costs queries."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._groups: dict[Form, _Group] = {}

    async def ask(
        self, prometheus: Prometheus, form: Form, subject: Subject, grid: Grid, at: datetime, delay: int = 0
    ) -> Arm:
        """Return part and total over the grid: series with the labels revision and instance. Never raises.

        at: the instant that is measured. delay: seconds that the grid ends before it: outcomes come late.
        """
        group = self._groups.setdefault(form, _Group(at))
        group.touched = max(group.touched, at)
        self._forget(at)
        history = group.histories.get((subject, delay)) or _History(group.turn)
        stretch = history.missing(grid)
        if stretch is not None:
            pair = await _asked(prometheus, form, subject, group, history, stretch, at)
            if any(answer.series is None for answer in pair.answers):
                return pair.answers
            history.take(form, subject, pair)
        history.turn = group.turn
        group.histories[subject, delay] = history
        return history.cut(grid)

    def _forget(self, at: datetime) -> None:
        for form in [f for f, group in self._groups.items() if group.touched < at - FORGOTTEN]:
            del self._groups[form]


async def _asked(
    prometheus: Prometheus,
    form: Form,
    subject: Subject,
    group: _Group,
    history: _History,
    stretch: Stretch,
    at: datetime,
) -> _Pair:
    first, last, step = stretch
    start, end = datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)

    async def ask(subjects: Sequence[Subject]) -> _Pair:
        texts = form.counters(subjects)
        part, total = await asyncio.gather(*(prometheus.query_range(t, start, end, step) for t in texts))
        failed = part.series is None or total.series is None
        group.most = max(1, len(subjects) // 2) if failed else min(MOST_SUBJECTS, 2 * group.most)
        if failed:
            group.failed[stretch] = at
        return _Pair((part, total), (_found(form, part), _found(form, total)))

    most = max(1, min(group.most, int(MOST_READINGS / ((last - first) / step + 1))))
    return await joined(group.round(stretch, at), subject, group.alike(history), most, ask).told()


def _found(form: Form, answer: RangeAnswer) -> Found:
    found: dict[Key, list[Series]] = {}
    for series in answer.series or ():
        found.setdefault(tuple(series.labels.get(label, "") for label in form.naming.by), []).append(series)
    return found


def _series(readings: Readings) -> tuple[Series, ...]:
    return tuple(
        Series({"revision": revision, "instance": process}, tuple(sorted(points.items())))
        for (revision, process), points in readings.items()
        if points
    )

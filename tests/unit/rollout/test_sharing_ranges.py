"""Readings of counters: each is asked for once, for all together, and everybody gets the own ones."""

import asyncio
from datetime import UTC, datetime, timedelta

from trainyard.rollout import sharing_ranges as room
from trainyard.rollout.blocks import Arm, Grid
from trainyard.rollout.queries import Form
from trainyard.rollout.sharing import FORGOTTEN, REMEMBERED
from trainyard.rollout.sharing_ranges import RangeSharing, _Group
from trainyard.rollout.sources import Subject
from trainyard.systems.prometheus.port import Answer, RangeAnswer, Series

START = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
ERRORS = Form("ModelServer", "ErrorRate", 20)


def subject(number: int, namespace: str = "team") -> Subject:
    return Subject(namespace, f"rollout-{number:04}", (f"{2 * number:010x}", f"{2 * number + 1:010x}"))


def grid(end: int, start: int = 0, step: int = 20) -> Grid:
    return Grid(START + timedelta(seconds=start), START + timedelta(seconds=end), step, 20)


class Counters:
    """One process a revision; its counter is the seconds since START times the revision's number."""

    def __init__(self, subjects: list[Subject], failing: int = 0) -> None:
        self.subjects = subjects
        self.failing = failing
        self.asked: list[tuple[int, int, int]] = []

    async def query(self, expression: str, at: datetime | None = None) -> Answer:
        raise AssertionError("no instant is asked here")

    async def query_range(self, expression: str, start: datetime, end: datetime, step_seconds: int) -> RangeAnswer:
        first, last = ((t - START).total_seconds() for t in (start, end))
        self.asked.append((int(first), int(last), step_seconds))
        await asyncio.sleep(0)
        if self.failing:
            self.failing -= 1
            return RangeAnswer(failure="away")
        times = [first + n * step_seconds for n in range(int((last - first) / step_seconds) + 1)]
        series = (
            Series(
                {"namespace": s.namespace, "rollout": s.rollout, "revision": r, "instance": "a"},
                tuple((START.timestamp() + t, t * int(r, 16)) for t in times),
            )
            for s in self.subjects
            for r in s.revisions
            if s.rollout in expression
        )
        return RangeAnswer(series=tuple(series), warnings=("partial",))


def told(arm: Arm, s: Subject) -> dict[str, list[float]]:
    """Revision -> counters, after a look at what else must be so."""
    part, total = arm
    assert part == total
    assert part.series is not None
    assert part.warnings == ("partial",)
    assert {x.labels["revision"] for x in part.series} <= set(s.revisions)
    assert all(x.labels["instance"] == "a" for x in part.series)
    return {x.labels["revision"]: [value for _, value in x.points] for x in part.series}


async def test_only_what_is_new_is_asked_for() -> None:
    one = subject(1)
    prometheus, sharing = Counters([one]), RangeSharing()
    assert told(await sharing.ask(prometheus, ERRORS, one, grid(60), START), one)[one.revisions[0]] == [0, 40, 80, 120]
    assert told(await sharing.ask(prometheus, ERRORS, one, grid(80), START), one)[one.revisions[0]] == [
        0,
        40,
        80,
        120,
        160,
    ]
    assert told(await sharing.ask(prometheus, ERRORS, one, grid(80), START), one)[one.revisions[1]][-1] == 240
    assert prometheus.asked == [(0, 60, 20)] * 2 + [(80, 80, 20)] * 2


async def test_longer_blocks_need_nothing_again_and_shorter_ones_all() -> None:
    one = subject(1)
    prometheus, sharing = Counters([one]), RangeSharing()
    await sharing.ask(prometheus, ERRORS, one, grid(120), START)
    longer = told(await sharing.ask(prometheus, ERRORS, one, grid(160, start=40, step=40), START), one)
    assert longer[one.revisions[0]] == [80, 160, 240, 320]
    assert prometheus.asked[2:] == [(160, 160, 40)] * 2
    await sharing.ask(prometheus, ERRORS, one, grid(160, start=0, step=40), START)
    assert prometheus.asked[4:] == [(0, 160, 40)] * 2


async def test_hundreds_share_the_newest_readings() -> None:
    many = [subject(n, f"team-{n % 3}") for n in range(300)]
    prometheus, sharing = Counters(many), RangeSharing()
    for end in (60, 80, 100):
        before = len(prometheus.asked)
        for batch in range(0, 300, 10):
            asked = many[batch : batch + 10]
            arms = await asyncio.gather(*(sharing.ask(prometheus, ERRORS, s, grid(end), START) for s in asked))
            for s, arm in zip(asked, arms, strict=True):
                assert told(arm, s)[s.revisions[1]][-1] == end * int(s.revisions[1], 16)
        queries = len(prometheus.asked) - before
        assert queries == (2 * 30 if end == 60 else 2 * 3)  # histories at first, ten workers at once; then one reading


async def test_a_failure_is_told_and_asked_for_again() -> None:
    one, two = subject(1), subject(2)
    prometheus, sharing = Counters([one, two]), RangeSharing()
    await asyncio.gather(*(sharing.ask(prometheus, ERRORS, s, grid(60), START) for s in (one, two)))
    prometheus.failing = 2
    failed = await asyncio.gather(*(sharing.ask(prometheus, ERRORS, s, grid(80), START) for s in (one, two)))
    assert all(answer.failure == "away" for arm in failed for answer in arm)
    assert sharing._groups[ERRORS].most == 1  # the answer may have been too large
    healed = await asyncio.gather(*(sharing.ask(prometheus, ERRORS, s, grid(100), START) for s in (one, two)))
    assert [len(told(arm, s)[s.revisions[0]]) for arm, s in zip(healed, (one, two), strict=True)] == [6, 6]
    assert prometheus.asked[4:] == [(80, 100, 20)] * 4
    assert sharing._groups[ERRORS].most > 1
    assert room.MOST_SUBJECTS > 1


async def test_what_failed_is_asked_for_again_at_the_next_instant_though_no_further_block_has_ended() -> None:
    one, two = subject(1), subject(2)
    prometheus, sharing = Counters([one, two]), RangeSharing()
    await asyncio.gather(*(sharing.ask(prometheus, ERRORS, s, grid(60), START) for s in (one, two)))
    prometheus.failing = 2
    failed = [await sharing.ask(prometheus, ERRORS, s, grid(80), START + timedelta(seconds=80)) for s in (one, two)]
    assert all(answer.failure == "away" for arm in failed for answer in arm)
    assert prometheus.asked[2:] == [(80, 80, 20)] * 2  # once for both
    healed = await sharing.ask(prometheus, ERRORS, one, grid(80), START + timedelta(seconds=85))
    assert told(healed, one)[one.revisions[0]][-1] == 160
    assert prometheus.asked[4:] == [(80, 80, 20)] * 2


async def test_a_failure_that_comes_late_disturbs_nobody() -> None:
    """The next block has ended by then, and the queries of the last one are forgotten."""
    one = subject(1)
    prometheus, sharing = Counters([one]), RangeSharing()
    group = sharing._groups.setdefault(ERRORS, _Group(START))
    group.newest, group.failed[START.timestamp(), START.timestamp() + 60, 20] = START.timestamp() + 80, START
    arm = await sharing.ask(prometheus, ERRORS, one, grid(60), START + timedelta(seconds=85))
    assert told(arm, one)[one.revisions[0]] == [0, 40, 80, 120]


async def test_two_metrics_of_one_rollout_that_look_differently_far_back_lose_nothing() -> None:
    one = subject(1)
    prometheus, sharing = Counters([one]), RangeSharing()
    for end in range(200, 400, 20):
        at = START + timedelta(seconds=end)
        asked = ((grid(end), 0), (grid(end - 100), 100))
        arms = await asyncio.gather(*(sharing.ask(prometheus, ERRORS, one, g, at, delay) for g, delay in asked))
        for (g, _), arm in zip(asked, arms, strict=True):
            times = [time - START.timestamp() for time in g.times]
            assert told(arm, one)[one.revisions[0]] == [2 * time for time in times]


async def test_who_is_silent_is_forgotten() -> None:
    here, gone = subject(1), subject(2)
    prometheus, sharing = Counters([here, gone]), RangeSharing()
    await sharing.ask(prometheus, ERRORS, gone, grid(20), START)
    for n in range(REMEMBERED + 2):
        await sharing.ask(prometheus, ERRORS, here, grid(40 + 20 * n), START)
    assert set(sharing._groups[ERRORS].histories) == {(here, 0)}


async def test_a_form_that_nobody_asks_is_forgotten() -> None:
    """Two forms: one is asked for outcomes of long ago, which are no older for that."""
    one, late = subject(1), Form("ModelServer", "ErrorRate", 40)
    prometheus, sharing = Counters([one]), RangeSharing()
    await sharing.ask(prometheus, ERRORS, one, grid(60), START + 2 * FORGOTTEN)
    await sharing.ask(prometheus, late, one, grid(60), START + 2 * FORGOTTEN + timedelta(seconds=1))
    await sharing.ask(prometheus, late, one, grid(60), START + 3 * FORGOTTEN)
    assert set(sharing._groups) == {ERRORS, late}
    await sharing.ask(prometheus, late, one, grid(60), START + 3 * FORGOTTEN + timedelta(seconds=1))
    assert set(sharing._groups) == {late}
    asked = len(prometheus.asked)
    again = told(await sharing.ask(prometheus, ERRORS, one, grid(60), START + 4 * FORGOTTEN), one)
    assert again[one.revisions[0]] == [0, 40, 80, 120]
    assert prometheus.asked[asked:] == [(0, 60, 20)] * 2

"""From raw counters to blocks: resets, gaps, pods that come and go, errors that begin to exist."""

from datetime import UTC, datetime, timedelta

import pytest

from trainyard.rollout import blocks
from trainyard.rollout.blocks import Blocks, Grid
from trainyard.systems.prometheus.port import Answer, RangeAnswer, Sample, Series

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOBODY = RangeAnswer(series=())
Said = dict[str, list[float | None]]


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


GRID = Grid(at(100), at(140), 10, 10)


def answer(pods: Said, **labels: str) -> RangeAnswer:
    """Counters at 100, 110, ... 140; None: nothing there."""
    made = []
    for pod, values in pods.items():
        points = tuple((time, v) for time, v in zip(GRID.times, values, strict=True) if v is not None)
        made.append(Series({"pod": pod, **labels}, points))
    return RangeAnswer(series=tuple(made))


def made(part: Said, total: Said) -> list[tuple[float, float]]:
    found = blocks.made(GRID, (answer(part), answer(total)), (NOBODY, NOBODY), (None, None))
    assert [b.end for b in found.canary] == [110, 120, 130, 140]
    return [(b.part, b.total) for b in found.canary]


def test_counters_become_increases() -> None:
    assert made({"a": [5, 6, 6, 8, 8]}, {"a": [50, 60, 75, 80, 80]}) == [(1, 10), (0, 15), (2, 5), (0, 0)]


def test_pods_are_added_up() -> None:
    part: Said = {"a": [0, 1, 1, 1, 1], "b": [0, 0, 2, 2, 2]}
    total: Said = {"a": [0, 10, 20, 30, 40], "b": [7, 17, 27, 37, 47]}
    assert made(part, total) == [(1, 20), (2, 20), (0, 20), (0, 20)]


def test_the_first_error_counts_although_its_series_is_new() -> None:
    assert made({"a": [None, None, 3, 3, 4]}, {"a": [10, 20, 30, 40, 50]}) == [(0, 10), (3, 10), (0, 10), (1, 10)]


def test_a_process_that_starts_again_counts_from_zero() -> None:
    assert made({"a": [5, 6, 1, 1, 1]}, {"a": [50, 60, 7, 17, 27]}) == [(1, 10), (1, 7), (0, 10), (0, 10)]
    # Its errors have no series until the first one, which may be more than there were before.
    assert made({"a": [2, 2, None, 3, 3]}, {"a": [50, 60, 7, 17, 27]}) == [(0, 10), (0, 7), (3, 10), (0, 10)]


def test_a_missing_scrape_moves_what_grew_to_the_block_that_sees_it() -> None:
    assert made({"a": [0, None, 2, 2, 2]}, {"a": [0, None, 20, 30, 40]}) == [(0, 0), (2, 20), (0, 10), (0, 10)]
    assert made({"a": [1, None, 2, 2, 2]}, {"a": [0, 10, 20, 30, 40]}) == [(0, 10), (1, 10), (0, 10), (0, 10)]


def test_a_pod_that_comes_counts_from_where_it_was_first_seen() -> None:
    both: Said = {"a": [0, 10, 20, 30, 40], "b": [None, None, 1_000_000, 1_000_005, 1_000_005]}
    assert made({"b": [None, None, 900, 901, 901]}, both) == [(0, 10), (0, 10), (1, 15), (0, 10)]


def test_a_pod_that_goes_takes_nothing_away() -> None:
    both: Said = {"a": [0, 10, 20, 30, 40], "b": [100, 110, None, None, None]}
    assert made({"b": [1, 2, None, None, None]}, both) == [(1, 20), (0, 10), (0, 10), (0, 10)]


def test_what_is_no_number_is_not_there() -> None:
    odd: Said = {"a": [0, float("nan"), 20, float("inf"), 40]}
    assert made({}, odd) == [(0, 0), (0, 20), (0, 0), (0, 20)]


def test_own_queries_may_label_the_good_ones_otherwise() -> None:
    good = RangeAnswer(series=(Series({"result": "yes"}, ((120.0, 4.0), (130.0, 6.0), (140.0, 6.0))),))
    total = RangeAnswer(series=(Series({}, tuple((t, t) for t in GRID.times)),))
    found = blocks.made(GRID, (good, total), (NOBODY, total), (None, None))
    assert [(b.part, b.total) for b in found.canary] == [(0, 10), (4, 10), (2, 10), (0, 10)]
    assert [(b.part, b.total) for b in found.stable] == [(0, 10)] * 4


def test_a_code_that_a_process_answers_for_the_first_time_counts_from_zero() -> None:
    """Series by code, as most servers export them: the burst of failures makes a series of its own, in both."""
    ok, bad = {"code": "200"}, {"code": "500"}
    failed = answer({"a": [None, None, 90, 90, 90]}, **bad).series or ()
    total = RangeAnswer(series=(*(answer({"a": [10, 20, 30, 40, 50]}, **ok).series or ()), *failed))
    found = blocks.made(GRID, (RangeAnswer(series=failed), total), (NOBODY, total), (None, None))
    assert [(b.part, b.total) for b in found.canary] == [(0, 10), (90, 100), (0, 10), (0, 10)]
    # A process that is new itself counts from where it was first seen, by any of its series.
    late = answer({"b": [None, None, 70, 71, 71]}, **bad).series or ()
    grown = RangeAnswer(series=(*(total.series or ()), *late))
    found = blocks.made(GRID, (RangeAnswer(series=late), grown), (NOBODY, total), (None, None))
    assert [(b.part, b.total) for b in found.canary] == [(0, 10), (0, 100), (1, 11), (0, 10)]


def test_one_series_that_is_missed_is_no_new_start() -> None:
    ok = answer({"a": [10, 20, 30, 40, 50]}, code="200").series or ()
    bad = answer({"a": [7, 7, None, 8, 8]}, code="500").series or ()
    found = blocks.made(
        GRID, (RangeAnswer(series=bad), RangeAnswer(series=(*ok, *bad))), (NOBODY, NOBODY), (None, None)
    )
    assert [(b.part, b.total) for b in found.canary] == [(0, 10), (0, 10), (1, 11), (0, 10)]


THERE = Answer(samples=(Sample({}, 145.0, 0.0),))


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        ((THERE, THERE), Blocks(seen=140.0)),
        ((THERE, Answer(samples=())), Blocks(seen=140.0, is_present=False)),
        ((Answer(failure="away"), THERE), Blocks(seen=140.0, is_present=False, failure="away")),
        ((THERE, Answer(unusable="a scalar")), Blocks(seen=140.0, is_present=False, unusable="a scalar")),
    ],
)
def test_what_is_there_at_the_moment_of_measuring(answers: tuple[Answer, Answer], wanted: Blocks) -> None:
    assert blocks.up_to_now(Blocks(seen=140.0), answers) == wanted


def test_an_earlier_failure_stays_told() -> None:
    there = (THERE, THERE)
    assert blocks.up_to_now(Blocks(failure="timed out"), there).failure == "timed out"
    assert blocks.up_to_now(Blocks(unusable="a histogram"), there).unusable == "a histogram"


def test_whether_a_revision_has_the_part_at_all() -> None:
    there, empty = answer({"a": [None, None, 0, 0, 0]}), answer({"a": [None] * 5})
    total = answer({"a": [0, 10, 20, 30, 40]})
    assert blocks.made(GRID, (there, total), (NOBODY, total), (None, None)).parts == (True, False)
    assert blocks.made(GRID, (empty, total), (there, total), (None, None)).parts == (False, True)
    ours = answer({"a": [0, 1, 1, 1, 1]}, revision="c")
    assert blocks.made(GRID, (ours, total), (ours, total), ("c", "s")).parts == (True, False)


def test_revisions_are_told_apart_by_their_label() -> None:
    total = RangeAnswer(
        series=(
            *(answer({"a": [0, 1, 2, 3, 4]}, revision="c").series or ()),
            *(answer({"b": [0, 10, 20, 30, None]}, revision="s").series or ()),
        )
    )
    found = blocks.made(GRID, (NOBODY, total), (NOBODY, total), ("c", "s"))
    assert [b.total for b in found.canary] == [1, 1, 1, 1]
    assert [b.total for b in found.stable] == [10, 10, 10, 0]
    assert (found.seen, found.step_seconds, found.base_seconds) == (130.0, 10, 10)  # stable was not seen at 140
    assert blocks.made(GRID, (NOBODY, total), (NOBODY, total), ("c", "c")).seen == 140.0
    assert blocks.made(GRID, (NOBODY, total), (NOBODY, NOBODY), ("c", "s")).seen is None
    assert blocks.made(GRID, (NOBODY, NOBODY), (NOBODY, total), ("c", "s")).seen is None


def test_failures_and_warnings_are_passed_on() -> None:
    away, warned = RangeAnswer(failure="away"), RangeAnswer(series=(), warnings=("partial",))
    assert blocks.made(GRID, (warned, warned), (away, NOBODY), (None, None)) == Blocks(
        failure="away", warnings=("partial",)
    )
    unusable = RangeAnswer(unusable="a histogram")
    assert blocks.made(GRID, (NOBODY, unusable), (NOBODY, NOBODY), (None, None)) == Blocks(unusable="a histogram")
    assert blocks.made(GRID, (NOBODY, unusable), (away, NOBODY), (None, None)) == Blocks(failure="away")
    assert blocks.made(GRID, (NOBODY, RangeAnswer()), (NOBODY, NOBODY), (None, None)).unusable


@pytest.mark.parametrize(
    ("begin", "now", "wanted"),
    [
        (100.0, 109.0, None),
        (101.0, 119.9, None),  # 110 to 119.9 is no whole block
        (101.0, 120.0, (110, 120, 10)),
        (100.0, 139.9, (100, 130, 10)),
        (0.0, 1280.0, (0, 1280, 10)),
        (0.0, 1290.0, (0, 1280, 20)),  # one block too many: all are twice as long
        (5.0, 86_400.0, (1280, 85_760, 1280)),
    ],
)
def test_blocks_lie_between_begin_and_now(begin: float, now: float, wanted: tuple[int, int, int] | None) -> None:
    grid = blocks.grid(at(begin), at(now), 10)
    if wanted is None:
        assert grid is None
        return
    assert grid is not None
    assert (grid.start, grid.end, grid.step_seconds) == (at(wanted[0]), at(wanted[1]), wanted[2])
    assert grid.base_seconds == 10
    assert len(grid.times) - 1 <= blocks.MOST_BLOCKS
    assert grid.times[0] == wanted[0]
    assert grid.times[-1] == wanted[1]

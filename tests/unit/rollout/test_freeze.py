"""Freeze windows: when they hold, also over changes of clocks, and when that changes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.resources.rollout import Freeze
from trainyard.rollout import freeze

WEEKEND = Freeze(name="weekend", cron="0 18 * * FRI", duration_seconds=60 * 3600, time_zone="Europe/Berlin")
NIGHT = Freeze(name="night", cron="0 22 * * *", duration_seconds=8 * 3600)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "name", "seconds"),
    [
        ("2026-11-27T16:59:59", None, 1),  # a Friday, an hour east of UTC
        ("2026-11-27T17:00:00", "weekend", 60 * 3600),
        ("2026-11-30T04:59:59", "weekend", 1),
        ("2026-11-30T05:00:00", None, 4 * 86400 + 12 * 3600),
        ("2026-10-23T16:00:00", "weekend", 60 * 3600),  # in summer time; the clocks go back within the window
        ("2026-10-26T03:59:59", "weekend", 1),
        ("2026-10-26T04:00:00", None, 4 * 86400 + 13 * 3600),
    ],
)
def test_a_weekend(moment: str, name: str | None, seconds: int) -> None:
    assert freeze.holding([WEEKEND], utc(moment)) == name
    assert freeze.next_change([WEEKEND], utc(moment)) == seconds


def test_of_several_the_first_is_named_and_the_nearest_change_counts() -> None:
    windows = [WEEKEND, NIGHT]
    assert freeze.holding(windows, utc("2026-11-27T23:00:00")) == "weekend"
    assert freeze.next_change(windows, utc("2026-11-27T23:00:00")) == 7 * 3600
    assert freeze.holding(windows, utc("2026-11-25T23:00:00")) == "night"
    assert freeze.holding(windows, utc("2026-11-25T12:00:00")) is None
    assert freeze.holding([], utc("2026-11-25T12:00:00")) is None
    assert freeze.next_change([], utc("2026-11-25T12:00:00")) is None


def test_what_cannot_be_followed_holds_nothing_and_is_told() -> None:
    never = Freeze(name="never", cron="0 0 31 2 *", duration_seconds=60)
    assert freeze.holding([never], utc("2026-02-28T00:00:00")) is None
    assert freeze.next_change([never], utc("2026-02-28T00:00:00")) is None
    assert freeze.problem([WEEKEND, never]) == 'freeze window never: "0 0 31 2 *" has a day-of-month that cannot be'
    assert freeze.problem([WEEKEND, NIGHT]) == ""


def test_a_time_that_a_day_lacks_begins_at_the_next_minute_that_exists() -> None:
    gap = Freeze(name="gap", cron="30 2 * * *", duration_seconds=3600, time_zone="Europe/Berlin")
    assert freeze.holding([gap], utc("2027-03-28T00:59:00")) is None
    assert freeze.holding([gap], utc("2027-03-28T01:00:00")) == "gap"
    assert freeze.holding([gap], utc("2027-03-28T02:00:00")) is None


MOMENTS = st.datetimes(datetime(2026, 3, 1), datetime(2026, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds it


@given(MOMENTS, st.sampled_from([WEEKEND, NIGHT, Freeze(name="h", cron="*/7 * * * *", duration_seconds=95)]))
def test_between_two_changes_nothing_changes(moment: datetime, window: Freeze) -> None:
    seconds = freeze.next_change([window], moment)
    assert seconds is not None
    assert seconds > 0
    last = moment + timedelta(seconds=seconds, microseconds=-1)
    assert freeze.holding([window], last) == freeze.holding([window], moment)
    assert freeze.holding([window], last + timedelta(microseconds=1)) != freeze.holding([window], moment)

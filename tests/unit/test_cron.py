"""Calendars against an own reckoning of Debian's rules, around changes of clocks in zones that change oddly."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainyard.cron import MINUTE, Calendar, Unreadable, calendar
from trainyard.resources.triggers import CRON_FIELDS

# (zone, a moment near a change): an hour forward and back, at midnight, and none at all.
CHANGES = [
    ("Europe/Berlin", "2027-03-28T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"),
    ("America/New_York", "2027-03-14T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("Africa/Cairo", "2026-04-23T22:00"),
    ("Africa/Cairo", "2026-10-29T21:00"),
    ("UTC", "2026-11-24T00:00"),
]
HALF_AN_HOUR = [("Australia/Lord_Howe", "2026-10-03T15:30"), ("Australia/Lord_Howe", "2027-04-03T15:00")]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slots(found: Calendar, begin: datetime, end: datetime) -> list[datetime]:
    """All slots after `begin` until `end`."""
    all_slots, slot = [], found.after(begin)
    while slot is not None and slot <= end:
        all_slots.append(slot)
        slot = found.after(slot)
    return all_slots


# ---- the own reckoning ----


def values(field: str, limit: int) -> set[int]:
    first, _, step = field.partition("/")
    if first == "*":
        return set(range(0, limit, int(step or 1)))
    return {int(value) for value in field.split(",")}


def expected(minute: str, hour: str, zone: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    """What Debian's cron does with words that name minutes and hours only."""
    minutes, hours = values(minute, 60), values(hour, 24)
    if minute.startswith("*") or hour.startswith("*"):
        count = int((end - begin) / MINUTE)
        moments = (begin + n * MINUTE for n in range(1, count + 1))
        local = ((m, m.astimezone(zone)) for m in moments)
        return [m for m, there in local if there.minute in minutes and there.hour in hours]
    days = [begin.astimezone(zone).date() + timedelta(days=n) for n in range(-1, 7)]
    fixed = {first_that_exists(day, time(h, m), zone) for day in days for h in hours for m in minutes}
    return sorted(m for m in fixed if begin < m <= end)


def first_that_exists(day: date, at: time, zone: ZoneInfo) -> datetime:
    wall = datetime.combine(day, at)
    while wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall:
        wall += MINUTE
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def numbers(limit: int) -> st.SearchStrategy[str]:
    found = st.lists(st.integers(0, limit - 1), min_size=1, max_size=3, unique=True)
    return found.map(lambda n: ",".join(str(v) for v in n))


def fields(limit: int) -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(("*", "*/2", "*/7", "*/15")), numbers(limit))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CHANGES + HALF_AN_HOUR), numbers(60), numbers(24), st.integers(-1500, 1500))
def test_fixed_times_as_in_debian(change: tuple[str, str], minute: str, hour: str, shift: int) -> None:
    compare(change, minute, hour, shift)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CHANGES), fields(60), fields(24), st.integers(-600, 600))
def test_any_times_as_in_debian(change: tuple[str, str], minute: str, hour: str, shift: int) -> None:
    compare(change, minute, hour, shift)


def compare(change: tuple[str, str], minute: str, hour: str, shift: int) -> None:
    zone, near = change
    begin = utc(near) - timedelta(hours=15) + shift * MINUTE
    end = begin + timedelta(hours=30)
    found = calendar(f"{minute} {hour} * * *", zone)
    assert slots(found, begin, end) == expected(minute, hour, ZoneInfo(zone), begin, end)


def test_a_star_where_clocks_change_by_half_an_hour() -> None:
    """cronsim 2.7 skips the first half hour of the day after the change; on one island, once a year."""
    begin = utc("2026-10-04T12:59")  # 23:59 on Lord Howe
    assert calendar("* 0 * * *", "Australia/Lord_Howe").after(begin) == utc("2026-10-04T13:00")
    assert calendar("* 0 * * *", "Australia/Lord_Howe").after(utc("2026-10-03T15:00")) == utc("2026-10-04T13:30")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CHANGES), fields(60), fields(24), st.integers(0, 1500), st.integers(0, 59))
def test_the_latest_is_the_last_that_came(
    change: tuple[str, str], minute: str, hour: str, later: int, seconds: int
) -> None:
    zone, near = change
    found = calendar(f"{minute} {hour} * * *", zone)
    armed = found.after(utc(near) - timedelta(hours=26))
    assert armed is not None
    now = armed + later * MINUTE + timedelta(seconds=seconds)
    assert found.latest(armed, now) == slots(found, armed - MINUTE, now)[-1]
    assert found.has(armed)


# ---- single words ----


def test_what_is_armed_stays_where_the_words_have_changed() -> None:
    armed = utc("2026-11-24T02:07")
    assert calendar("0 * * * *", "UTC").latest(armed, utc("2026-11-24T05:30")) == armed


def test_a_year_of_minutes_takes_no_time() -> None:
    armed, now = utc("2025-01-01T00:00"), utc("2026-01-01T00:00:30")
    assert calendar("* * * * *", "Europe/Berlin").latest(armed, now) == utc("2026-01-01T00:00")


@pytest.mark.parametrize(
    ("word", "slot"),
    [
        ("@hourly", "2026-11-24T13:00"),
        ("@daily", "2026-11-25T00:00"),
        ("@midnight", "2026-11-25T00:00"),
        ("@weekly", "2026-11-29T00:00"),
        ("@monthly", "2026-12-01T00:00"),
        ("@yearly", "2027-01-01T00:00"),
        ("@annually", "2027-01-01T00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("0 0 L * *", "2026-11-30T00:00"),
    ],
)
def test_words(word: str, slot: str) -> None:
    assert calendar(word, "UTC").after(utc("2026-11-24T12:30")) == utc(slot)


@pytest.mark.parametrize(
    ("cron", "zone", "sentence"),
    [
        ("61 * * * *", "UTC", '"61 * * * *" has a minute that cannot be'),
        ("5-1 * * * *", "UTC", '"5-1 * * * *" has a minute that cannot be'),
        ("0 0 30 2 *", "UTC", '"0 0 30 2 *" has a day-of-month that cannot be'),
        ("0 0 */15 2 SUN#5", "UTC", '"0 0 */15 2 SUN#5" never comes'),
        ("* * *", "UTC", '"* * *" has not five fields: minute hour day-of-month month day-of-week'),
        ("0 0 0 * * *", "UTC", '"0 0 0 * * *" has not five fields: minute hour day-of-month month day-of-week'),
        ("@daily", "Mars/Olympus", "Mars/Olympus is not a time zone of the IANA database"),
        ("@daily", "Europe", "Europe is not a time zone of the IANA database"),
        ("@daily", "../etc/passwd", "../etc/passwd is not a time zone of the IANA database"),
        ("@daily", "localtime", "localtime is not a time zone of the IANA database"),
    ],
)
def test_what_cannot_be_followed(cron: str, zone: str, sentence: str) -> None:
    with pytest.raises(Unreadable, match=f"^{re.escape(sentence)}$"):
        calendar(cron, zone)


# ---- admission and reading agree ----

WORD = st.one_of(
    st.sampled_from(
        ["*", "0", "7", "59", "60", "23", "24", "31", "32", "12", "13", "MON", "feb", "L", "LW", "5L", "x"]
    ),
    st.builds("{}-{}".format, st.integers(0, 9), st.integers(0, 9)),
    st.builds("{}/{}".format, st.sampled_from(["*", "3", "1-9"]), st.integers(0, 12)),
    st.builds("{}#{}".format, st.sampled_from(["MON", "3"]), st.integers(0, 6)),
    st.builds("{},{}".format, st.integers(0, 12), st.integers(0, 12)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(WORD, min_size=5, max_size=5).map(" ".join))
def test_what_can_be_followed_is_admitted(cron: str) -> None:
    """The API server may let through what only a calendar shows wrong: 5-1, or the 30th of February."""
    admitted = re.fullmatch(CRON_FIELDS, cron, re.IGNORECASE) is not None
    problem = problem_of(cron)
    backwards = any(int(a) > int(b) for a, b in re.findall(r"(\d)-(\d)", cron))
    assert admitted or problem
    assert not admitted or not problem or backwards or "day-of-month" in problem or "never" in problem, problem


def problem_of(cron: str) -> str:
    try:
        calendar(cron, "UTC")
    except Unreadable as error:
        return str(error)
    return ""

from datetime import UTC, datetime

import pytest

from trainyard.cli import clock

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""), (-1, "0s"), (0.9, "0s"), (42, "42s"), (60, "1m"), (185, "3m5s"), (700, "11m"), (3_600, "1h"),
        (25_920, "7h12m"), (86_400, "1d"), (90_000, "1d1h"), (12 * 86_400, "12d"),
    ],
)  # fmt: skip
def test_spoken(seconds: float | None, text: str) -> None:
    assert clock.spoken(seconds) == text


def test_age_and_duration() -> None:
    assert clock.age("2026-03-01T11:59:00Z", NOW) == "1m"
    assert clock.age("2026-03-01T11:59:00.123456Z", NOW) == "59s"
    assert clock.age("", NOW) == clock.age("yesterday", NOW) == ""
    assert clock.seconds_between("2026-03-01T11:00:00Z", "2026-03-01T11:00:30Z", NOW) == 30
    assert clock.seconds_between(None, "2026-03-01T11:00:30Z", NOW) is None


def test_now_is_aware() -> None:
    assert clock.now().tzinfo is UTC

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from trainyard.training_pipeline import slots


def test_slots_as_text() -> None:
    assert slots.text(datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))) == "2026-10-25T01:30Z"
    assert slots.moment("2026-10-25T01:30Z") == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert slots.moment(None) is None
    assert slots.moment("2026-13-99T01:30Z") is None

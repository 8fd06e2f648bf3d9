"""From the operator's rows to the tables': total over what a status may hold, exact in key and time."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import String

from trainyard.reconciling.plan import Record
from trainyard.systems.metadata.rows import inserts, utc

AT = "2026-01-01T10:00:00Z"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
WORDS = (
    "event",
    "decision",
    "verdict",
    "by",
    "model",
    "attempt",
    "parameters",
    "datasets",
    "metrics",
    "message",
    "run",
)


@given(
    st.sampled_from(["run", "artifact", "version", "decision"]),
    st.dictionaries(st.sampled_from(WORDS), JSON, max_size=6),
)
def test_any_data_fits_its_table(kind: Any, data: dict[str, Any]) -> None:
    for table, rows in inserts([Record("uid", 1, kind, AT, "team", "x", data)]):
        for row in rows:
            assert row.keys() == {c.name for c in table.columns}
            for column in table.columns:
                value = row[column.name]
                if isinstance(column.type, String) and column.type.length and value is not None:
                    assert isinstance(value, str)
                    assert len(value) <= column.type.length


def test_a_version_names_its_datasets_in_order() -> None:
    datasets = [{"name": "a", "uri": "s3://b/a/", "digest": "sha256:1"}, "no dataset", {"name": "b"}]
    made = {
        table.name: rows for table, rows in inserts([Record("u", 1, "version", AT, "t", "x", {"datasets": datasets})])
    }
    assert [(e["position"], e["dataset"], e["digest"]) for e in made["events"]] == [
        (0, "a", "sha256:1"),
        (1, "b", None),
    ]
    assert made["artifacts"][0]["type"] == "ModelVersion"


def test_a_key_told_twice_is_inserted_once() -> None:
    """The later of two decisions that differ wins, the first of all other rows."""
    for kind, kept in (("decision", "second"), ("run", "first")):
        rows = [Record("u", 1, kind, AT, "t", "x", {"event": e}) for e in ("first", "second")]  # type: ignore[arg-type] # a literal of the two
        (one,) = inserts(rows)
        assert [r["data"] for r in one.rows] == [{"event": kept}]


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("2026-01-01T10:00:00Z", datetime.fromisoformat("2026-01-01T10:00:00")),
        ("2026-01-01T10:00:00.123456789Z", datetime.fromisoformat("2026-01-01T10:00:00.123456")),
        ("2026-01-01T00:30:00+02:00", datetime.fromisoformat("2025-12-31T22:30:00")),
    ],
)
def test_times_are_utc_without_zone(stamp: str, moment: datetime) -> None:
    assert utc(stamp) == moment


@pytest.mark.parametrize("bad", ["", "today", "2026-01-01T10:00:00"])
def test_a_time_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        utc(bad)


def test_a_number_that_json_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        inserts([Record("u", 1, "decision", AT, "t", "x", {"value": float("nan")})])

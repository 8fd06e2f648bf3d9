"""The version that a run leaves, and the row of a run that cannot be read."""

from datetime import UTC, datetime

import pytest

from tests.unit.training_run.making import STATE, obj
from trainyard.resources.training_run import TrainingRunStatus
from trainyard.systems.engine.port import Outputs
from trainyard.training_run import lineage, outcome
from trainyard.training_run.observe import read
from trainyard.training_run.state import Observed


@pytest.mark.parametrize(
    ("stamp", "wide"),
    [
        ("2026-11-24T06:00:00Z", "2026-11-24T06:00:00.000000Z"),
        ("2026-11-24T06:00:00.5Z", "2026-11-24T06:00:00.500000Z"),
    ],
)
def test_created_at_comes_from_the_publisher_and_is_the_same_every_time(stamp: str, wide: str) -> None:
    run = read(obj()).run
    assert run is not None
    outputs = Outputs("s3://m/n/c/o/1/", "sha256:" + "0" * 64, "Custom", 1, completed_at=stamp)
    versions = [lineage.version_of(run, STATE, outputs) for _ in range(2)]
    assert versions[0] == versions[1]
    assert versions[0]["spec"]["createdAt"] == wide
    assert versions[0]["spec"]["evaluation"] == {"metrics": [{"name": "auc", "min": "0.80"}], "noRules": "Reject"}


def test_an_unreadable_run_has_rows_too() -> None:
    seen = Observed(read(obj()).meta, TrainingRunStatus(), problem="odd")
    ended = outcome.Outcome(reason="Cancelled", at=datetime(2026, 1, 1, tzinfo=UTC).isoformat())
    (row,) = lineage.finished(seen, ended)
    assert (row.sequence, row.data["reason"]) == (2, "Cancelled")

"""The steps as they stand in the committed packages: their text is run here, as a pod would run it, without the SDK."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainyard.resources import kfp_package

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/kubeflow"


class Artifact:
    """What the SDK hands a step for an input or output."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.metadata: dict[str, Any] = {}

    @property
    def text(self) -> str:
        return Path(self.path).read_text()

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def step(package: str, name: str) -> Callable[..., None]:
    """Take one step's function out of a package."""
    executors = kfp_package.parse((EXAMPLES / package).read_text()).executors
    source = executors[f"exec-{name}"]["container"]["command"][-1]
    room: dict[str, Any] = {}
    # The text before it imports the SDK, for annotations that nobody evaluates here.
    exec("from __future__ import annotations\n" + source[source.index("def ") :], room)  # noqa: S102 - our own package
    function: Callable[..., None] = room[name]
    return function


@pytest.fixture
def made(tmp_path: Path) -> Artifact:
    table = Artifact(tmp_path / "table")
    step("churn.yaml", "data")(rows=2000, seed=7, table=table)
    return table


def validate(table: Artifact, folder: Path, most_missing: float = 0.05, label: str = "churned") -> list[Artifact]:
    valid, report = Artifact(folder / "valid"), Artifact(folder / "report")
    run = step("churn.yaml", "validate")
    run(table=table, most_missing=most_missing, label=label, valid=valid, report=report)
    return [valid, report]


def test_the_same_seed_makes_the_same_customers(made: Artifact, tmp_path: Path) -> None:
    again, other = Artifact(tmp_path / "again"), Artifact(tmp_path / "other")
    step("churn.yaml", "data")(rows=2000, seed=7, table=again)
    step("churn.yaml", "data")(rows=2000, seed=8, table=other)
    assert made.text == again.text != other.text
    assert made.metadata == {"rows": 2000}
    assert len(made.text.splitlines()) == 2001


def test_whole_rows_are_passed_on_and_counted(made: Artifact, tmp_path: Path) -> None:
    valid, report = validate(made, tmp_path)
    rows = list(csv.DictReader(valid.text.splitlines()))
    assert 0 < report.json["missing_share"] < 0.05
    assert len(rows) == round(2000 * (1 - report.json["missing_share"])) < report.json["rows"] == 2000
    assert all(value for row in rows for value in row.values())
    assert 0.2 < report.json["label_share"] < 0.8, "both kinds of customers, enough of each to learn from"


def test_too_many_missing_values_end_the_run_with_a_sentence(made: Artifact, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"of the rows lack a value; 0\.0% is the most"):
        validate(made, tmp_path, most_missing=0.0)
    assert not (tmp_path / "valid").exists()


def test_a_label_that_is_none_ends_the_run_with_a_sentence(made: Artifact, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no column 'left'; there are tenure_months"):
        validate(made, tmp_path, label="left")
    with pytest.raises(SystemExit, match="'tenure_months' does not hold 0 and 1"):
        validate(made, tmp_path, label="tenure_months")


def test_two_steps_learn_the_mean(tmp_path: Path) -> None:
    table, model, report = (Artifact(tmp_path / name) for name in ("table", "model", "report"))
    step("two-steps.yaml", "collect")(numbers=[1.0, 2.0, 6.0], table=table)
    step("two-steps.yaml", "fit")(table=table, model=model, report=report)
    assert report.json == {"mean": 3.0, "examples": 3}
    assert json.loads((tmp_path / "model/mean.json").read_text()) == {"mean": 3.0}

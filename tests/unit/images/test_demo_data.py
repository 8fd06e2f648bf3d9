"""The demo's data set and its load."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from examples.data.breast_cancer import main as make
from images.trainer.trainer import table


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> table.Table:
    path = tmp_path_factory.mktemp("data") / "data.csv"
    make([str(path)])
    with path.open() as stream:
        assert next(csv.reader(stream))[-1] == "label"
    return table.read([path], "label")


def test_the_data_set_is_whole(dataset: table.Table) -> None:
    assert dataset.features.shape == (569, 30)
    assert dataset.labels.sum() == 357


def test_a_share_of_the_load_lies_outside_of_what_was_trained_on(dataset: table.Table, tmp_path: Path) -> None:
    def outside(drift: str) -> int:
        make([str(tmp_path / "requests.jsonl"), "--requests", "1000", "--drift", drift])
        bodies = [json.loads(line) for line in (tmp_path / "requests.jsonl").read_text().splitlines()]
        rows = np.array([row for body in bodies for row in body["instances"]], dtype=np.float32)
        low, high = dataset.features.min(axis=0), dataset.features.max(axis=0)
        return int(((rows < low) | (rows > high)).any(axis=1).sum())

    assert outside("0") == 0
    drifted = outside("0.05")
    assert drifted >= 30
    assert drifted == outside("0.05"), "the load is the same each time"

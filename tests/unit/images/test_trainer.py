"""The trainer's parameters, data and metrics, without TensorFlow."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from images.trainer.trainer import parameters, scores, table
from images.trainer.trainer.problems import Problem


def test_parameters_as_the_pipeline_gives_them() -> None:
    read = parameters.read(
        json.dumps({"epochs": 5, "hiddenUnits": [32, 16], "learningRate": 1, "inputGuard": "strict"})
    )
    assert (read.epochs, read.hidden_units, read.learning_rate, read.input_guard) == (5, (32, 16), 1.0, "strict")
    assert parameters.read('{"hiddenUnits": 8}').hidden_units == (8,)
    assert parameters.read("{}") == parameters.Parameters()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"epoch": 1}', "has no parameter 'epoch'; it has epochs"),
        ('{"epochs": 1.5}', "epochs must be a whole number"),
        ('{"epochs": true}', "epochs must be a whole number"),
        ('{"epochs": -1}', "epochs must be a whole number"),
        ('{"learningRate": "0.1"}', "learningRate must be a number"),
        ('{"learningRate": NaN}', "learningRate must be a number"),
        ('{"hiddenUnits": [0]}', "hiddenUnits must be a whole number from 1"),
        ('{"hiddenUnits": [1,1,1,1,1,1,1,1,1,1,1]}', "at most 10 layers"),
        ('{"inputGuard": "on"}', "inputGuard must be one of off, strict"),
        ('{"labelColumn": ""}', "labelColumn must be a word"),
        ('{"delaySeconds": 61}', "delaySeconds must be a number from 0 to 60"),
    ],
)
def test_wrong_parameters(text: str, sentence: str) -> None:
    with pytest.raises(Problem) as wrong:
        parameters.read(text)
    assert sentence in str(wrong.value)


def write(folder: Path, text: str | bytes, name: str = "a.csv") -> Path:
    (folder / "train").mkdir(exist_ok=True)
    file = folder / "train" / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


GOOD = "a,label,b\n" + "".join(f"{n},{n % 2},{n * 0.5}\n" for n in range(16))


def test_reads_every_file_and_keeps_the_columns_in_order(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, "﻿" + GOOD + "\n", "b.csv")
    read = table.read(table.find_files(tmp_path), "label")
    assert read.columns == ("a", "b")
    assert read.features.shape == (32, 2)
    assert read.features[3].tolist() == [3, 1.5]
    assert read.labels[:4].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a.csv is empty"),
        ("a,b\n1,2\n", "has no column 'label'; it has a, b"),
        ("label\n" + "0\n1\n" * 9, "no feature columns"),
        ("a,a,label\n", "a column name twice"),
        (GOOD + "1,1\n", "line 18: 2 values for 3 columns"),
        (GOOD + "1,1,x\n", "line 18, column 'b': 'x' is not a number"),
        (GOOD + "nan,1,2\n", "line 18, column 'a': 'nan' is not a finite number"),
        (GOOD + "1e39,1,2\n", "is not a finite number"),
        (GOOD + "1,2,2\n", "must hold 0 and 1 only, found 2"),
        ("a,label\n" + "1,1\n" * 9, "only 0 rows have the label 0, at least 4"),
        ("a,label\n", "only 0 rows have the label 0"),
        (b"\xff\xfe\x00a", "not a CSV file in UTF-8"),
        (GOOD.encode() + b"\xff,1,1\n", "not a CSV file in UTF-8"),
    ],
)
def test_wrong_data(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(Problem) as wrong:
        table.read([file], "label")
    assert sentence in str(wrong.value)


def test_wrong_folders(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="wants one dataset"):
        table.find_files(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(Problem, match=r"has no \.csv file"):
        table.find_files(tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(Problem, match="found other, train"):
        table.find_files(tmp_path)
    with pytest.raises(Problem, match="found none"):
        table.find_files(tmp_path / "absent")


def test_files_with_other_columns(tmp_path: Path) -> None:
    files = [write(tmp_path, GOOD), write(tmp_path, "a,label,c\n1,1,1\n", "b.csv")]
    with pytest.raises(Problem, match=r"b\.csv has other columns than a\.csv"):
        table.read(files, "label")


@settings(deadline=None)
@given(st.integers(0, 2**31 - 1), st.floats(0.01, 0.9), st.integers(4, 60), st.integers(4, 60))
def test_the_split_loses_no_row_and_keeps_both_classes(seed: int, share: float, zeros: int, ones: int) -> None:
    labels = np.array([0] * zeros + [1] * ones, dtype=np.float32)
    features = np.arange(len(labels), dtype=np.float32).reshape(-1, 1)
    whole = table.Table(("a",), features, labels)
    training, held_out = table.split(whole, share, seed)
    assert sorted([*training.features.ravel(), *held_out.features.ravel()]) == features.ravel().tolist()
    for part in (training, held_out):
        assert set(part.labels.tolist()) == {0.0, 1.0}
    again = table.split(whole, share, seed)[1]
    assert again.features.tolist() == held_out.features.tolist()


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(0, 20)), min_size=2, max_size=60))
def test_scores_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels = np.array([0, 1, *(label for label, _ in pairs)], dtype=np.float32)
    probabilities = np.array([10, 10, *(level for _, level in pairs)], dtype=np.float32) / 20
    found = scores.score(labels, probabilities)
    assert found["auc"] == pytest.approx(roc_auc_score(labels, probabilities), abs=2e-6)
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, probabilities >= 0.5), abs=2e-6)
    clipped = np.clip(probabilities.astype(float), 1e-7, 1 - 1e-7)
    assert found["loss"] == pytest.approx(log_loss(labels, clipped, labels=[0, 1]), abs=2e-6)
    assert found["examples"] == len(labels)

"""The trainer with TensorFlow on the demo's data, and its models behind the model server."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.images.serving import ROOT, ask, metric, predict, serving

COLUMNS = 4


@dataclass
class Trained:
    """How a training ended."""

    code: int
    said: str
    output: Path

    @property
    def metrics(self) -> dict[str, float]:
        return dict(json.loads((self.output / "metrics.json").read_text()))


def train(folder: Path, name: str, parameters: dict[str, object]) -> Trained:
    """Train as the container does."""
    told = {
        "TRAINYARD_DATA": str(folder / "data"),
        "TRAINYARD_OUTPUT": str(folder / name),
        "TRAINYARD_MODEL": "m",
        "TRAINYARD_PARAMETERS": json.dumps(parameters),
    }
    done = subprocess.run(
        [sys.executable, "-m", "trainer"],
        cwd=ROOT / "images/trainer",
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=False,
    )
    return Trained(done.returncode, done.stdout + done.stderr, folder / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data that can be learned: the label is 1 where the features' sum is positive."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "data/train").mkdir(parents=True)
    rows = [[((7 * row + 3 * row * column) % 19 - 9) / 3 for column in range(COLUMNS)] for row in range(400)]
    lines = [",".join(f"{value:.3f}" for value in row) + f",{int(sum(row) > 0)}" for row in rows]
    header = ",".join([*"abcd", "label"])
    (folder / "data/train/data.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder


def test_trains_measures_and_tells_its_progress(folder: Path) -> None:
    one = train(folder, "one", {"epochs": 3, "hiddenUnits": [16, 8]})
    assert one.code == 0, one.said
    assert set(one.metrics) == {"auc", "accuracy", "loss", "examples"}
    assert one.metrics["auc"] > 0.95
    assert one.metrics["examples"] == 100
    assert [line.split()[1] for line in one.said.splitlines() if line.startswith("epoch")] == ["1/3", "2/3", "3/3"]
    assert (one.output / "model/saved_model.pb").is_file()
    again = train(folder, "again", {"epochs": 3, "hiddenUnits": [16, 8]})
    assert again.metrics == one.metrics, "the same seed gives the same model"


def test_a_model_that_learned_nothing_shows_in_its_metrics(folder: Path) -> None:
    untrained = train(folder, "untrained", {"epochs": 0})
    assert untrained.code == 0, untrained.said
    assert untrained.metrics["auc"] < 0.9


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [({"epochs": "3"}, "epochs must be a whole number"), ({"labelColumn": "y"}, "has no column 'y'")],
)
def test_wrong_parameters_end_it_with_a_sentence(folder: Path, parameters: dict[str, object], sentence: str) -> None:
    wrong = train(folder, "wrong", parameters)
    assert wrong.code == 2
    assert sentence in wrong.said.splitlines()[-1]
    assert not (folder / "wrong/model").exists()


def test_the_planted_faults_show_in_serving_only(folder: Path) -> None:
    sound = train(folder, "sound", {})
    faulty = train(folder, "faulty", {"inputGuard": "strict", "delaySeconds": 0.3})
    assert faulty.metrics == sound.metrics
    inside, outside = {"instances": [[0.0] * COLUMNS]}, {"instances": [[99.0] * COLUMNS]}
    with serving(sound.output) as server:
        answer = predict(server.port, outside)
        assert (answer.status, len(answer.json["predictions"])) == (200, 1)
        expected = predict(server.port, inside).json
        shape = ask(server.port, "GET", "/v2/models/m").json["inputs"]
        assert shape == [{"name": "features", "datatype": "FP32", "shape": [-1, COLUMNS]}]
    with serving(faulty.output) as server:
        assert predict(server.port, inside).json == expected
        assert metric(server.port, 'trainyard_server_request_duration_seconds_bucket{le="0.25"}') == 0
        refused = predict(server.port, outside)
        assert refused.status == 500
        assert "outside of the range of the training data" in refused.json["error"]

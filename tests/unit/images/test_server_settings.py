"""What the model server is told by its environment, and what it says when that is wrong."""

from pathlib import Path

import pytest

from images.server.modelserver.failures import first_line
from images.server.modelserver.settings import BadSetting, Settings, check_folder, read


def test_defaults_are_those_of_the_contract() -> None:
    settings = read({"TRAINYARD_MODEL": "tumor"})
    assert (settings.model, settings.saved_model, settings.port) == ("tumor", Path("/models/model"), 8080)
    assert settings.prediction_bounds == ()
    assert read({"TRAINYARD_MODEL": "m", "SERVER_PREDICTION_BOUNDS": "-1, 0,2.5"}).prediction_bounds == (-1.0, 0.0, 2.5)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "TRAINYARD_MODEL must give the name"),
        ({"TRAINYARD_MODEL": "a/b"}, "TRAINYARD_MODEL must give the name"),
        ({"TRAINYARD_MODEL": "m", "SERVER_THREADS": "0"}, "SERVER_THREADS must be a whole number from 1 to 64"),
        ({"TRAINYARD_MODEL": "m", "SERVER_PORT": "70000"}, "SERVER_PORT must be a whole number from 1 to 65535"),
        ({"TRAINYARD_MODEL": "m", "SERVER_MAX_ROWS": "-1"}, "SERVER_MAX_ROWS must be"),
        ({"TRAINYARD_MODEL": "m", "SERVER_MAX_ROWS": "٣"}, "SERVER_MAX_ROWS must be"),
        ({"TRAINYARD_MODEL": "m", "SERVER_PREDICTION_BOUNDS": "1,0"}, "rising numbers"),
        ({"TRAINYARD_MODEL": "m", "SERVER_PREDICTION_BOUNDS": "1,x"}, "rising numbers"),
        ({"TRAINYARD_MODEL": "m", "SERVER_PREDICTION_BOUNDS": "1,inf"}, "rising numbers"),
        ({"TRAINYARD_MODEL": "m", "SERVER_PREDICTION_BOUNDS": ",".join(map(str, range(65)))}, "at most 64"),
    ],
)
def test_wrong_settings(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadSetting) as wrong:
        read(environment)
    assert sentence in str(wrong.value)


def test_the_folder_is_looked_at_before_tensorflow(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="no model folder"):
        check_folder(Settings("m", tmp_path / "model"))
    (tmp_path / "model").mkdir()
    with pytest.raises(BadSetting, match="not a SavedModel"):
        check_folder(Settings("m", tmp_path / "model"))
    (tmp_path / "model/saved_model.pb").touch()
    check_folder(Settings("m", tmp_path / "model"))


def test_the_telling_line_of_a_tensorflow_error() -> None:
    text = (
        "Graph execution error:\n\nDetected at node x/Assert\n<stack traces unavailable>\n"
        "assertion failed: [7]\n\t [[{{node x}}]]"
    )
    assert first_line(ValueError(text)) == "ValueError: assertion failed: [7]"
    assert first_line(ValueError()) == "ValueError"

"""These tests need TensorFlow, so they run in the images' own environment: `python -m tests.images.environment`.

In the project's environment only `test_in_own_environment.py` is seen, which makes that environment and runs the rest.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
collect_ignore_glob = (
    ["test_in_own_environment.py"] if HAS_TENSORFLOW else ["test_paths.py", "test_served_model.py", "test_trained.py"]
)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small SavedModels, made once."""
    from tests.images import made_models

    folder = tmp_path_factory.mktemp("models")
    made_models.make(folder)
    return folder


@pytest.fixture(scope="session")
def plain_server(models: Path) -> Iterator[Any]:
    """A server with the model `plain`, shared by tests that only ask."""
    from tests.images.serving import serving

    with serving(models / "plain", SERVER_MAX_ROWS="100", SERVER_MAX_BODY_BYTES="20000") as server:
        yield server


@pytest.fixture
def plain(plain_server: Any) -> int:
    """Its port."""
    return int(plain_server.port)

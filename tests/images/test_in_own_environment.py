"""Model server and trainer on TensorFlow itself, in the images' own environment."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.servers
@pytest.mark.timeout(1500)  # the first time it downloads and installs TensorFlow
def test_server_and_trainer_with_tensorflow() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.images.environment"], cwd=ROOT, check=False)
    assert done.returncode == 0, "python -m tests.images.environment tells which test failed"

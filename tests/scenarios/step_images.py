"""Images of pipeline steps on the local cluster: bases with kfp, and stand-ins for what foreign packages name."""

import subprocess
import sys
from pathlib import Path

import pytest

from local import image_table, node
from tests.scenarios.cluster import ROOT

# Foreign packages ask for this one; nothing can be pulled, so its name is given to an image with kfp and wheels.
STAND_INS = {"docker.io/library/python:3.9": "kfp-python"}


@pytest.fixture(scope="session")
def step_images(cluster_env: dict[str, str]) -> None:
    """Build and import the images, and name the stand-ins."""
    command = [sys.executable, "-m", "local", "images", "kfp", "kfp-tensorflow", "kfp-python"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    state = Path(cluster_env["TRAINYARD_STATE"])
    for name, image in STAND_INS.items():
        reference = image_table.read()[image].reference
        subprocess.run(node.ctr(state, "images", "tag", "--force", reference, name), check=True, capture_output=True)

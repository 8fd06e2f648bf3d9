"""Runs the images' tests in the environment that the images have, plus pytest."""

import os
import subprocess
import sys
from pathlib import Path

from local import environments

ROOT = Path(__file__).parents[2]
LOCKS = tuple(ROOT / path / "requirements.txt" for path in ("images/tensorflow", "images/server", "tests/images"))


def run(*arguments: str) -> int:
    """Run pytest on the images' tests in their environment; return its exit status."""
    python = environments.python("images", *LOCKS, compiled=True)
    apart = "--confcutdir=tests/images"  # tests/conftest.py imports what is not there
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", apart, "tests/images", *arguments]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **quiet}, check=False).returncode


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(run(*sys.argv[1:]))

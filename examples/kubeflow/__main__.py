"""`python -m examples.kubeflow`: compile the packages beside this file, in an environment with the kfp SDK.

    python -m examples.kubeflow            write churn.yaml and two-steps.yaml
    python -m examples.kubeflow --into D   write them into another folder

The SDK pins libraries that the operator has newer, so its environment is its own: made once per lock file, in the
cache. `make packages` calls this.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from local import places
from local.locking import exclusive

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
LOCK = HERE / "requirements.txt"
PACKAGES = ("churn.yaml", "two-steps.yaml")


def python() -> Path:
    """Return the interpreter that has the SDK, after making its environment where that is missing."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    room = places.cache() / "venvs" / f"kfp-{digest}"
    room.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(room.with_suffix(".lock"), "environment of the kfp SDK"):
        if not (room / "whole").exists():
            shutil.rmtree(room, ignore_errors=True)
            _make(room)
            (room / "whole").touch()
    return room / "bin/python"


def _make(room: Path) -> None:
    uv = ROOT / ".tools/bin/uv"
    subprocess.run([uv, "venv", "-q", "--python", "3.11", room], check=True, cwd=ROOT)
    chosen = ["-q", "--require-hashes", "--python", room / "bin/python"]
    subprocess.run([uv, "pip", "sync", *chosen, LOCK], check=True, cwd=ROOT)


def compile_into(folder: Path) -> None:
    """Write the packages into `folder`. Raises CalledProcessError where the SDK refuses one."""
    # The SDK asks for a user's settings and warns of its own future; neither belongs into what is compiled.
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([python(), "-m", "examples.kubeflow.compiling", folder], check=True, cwd=ROOT, env=env)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compile what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=HERE)
    folder = parser.parse_args(arguments).into.resolve()
    compile_into(folder)
    for name in PACKAGES:
        print(f"{folder / name}: {(folder / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

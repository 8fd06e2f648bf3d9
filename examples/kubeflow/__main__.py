"""`python -m examples.kubeflow`: compile the packages beside this file, in an environment with the kfp SDK.

    python -m examples.kubeflow            write churn.yaml and two-steps.yaml
    python -m examples.kubeflow --into D   write them into another folder

The SDK pins libraries that the operator has newer, so its environment is its own: made once per lock file, in the
cache. `make packages` calls this.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from local import environments

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
LOCK = HERE / "requirements.txt"
PACKAGES = ("churn.yaml", "two-steps.yaml")


def compile_into(folder: Path) -> None:
    """Write the packages into `folder`. Raises CalledProcessError where the SDK refuses one."""
    # The SDK asks for a user's settings and warns of its own future; neither belongs into what is compiled.
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        [environments.python("kfp", LOCK), "-m", "examples.kubeflow.compiling", folder], check=True, cwd=ROOT, env=env
    )


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

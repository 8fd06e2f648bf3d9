"""Python environments beside the project's own, for libraries that cannot live with its pins.

Each is made once per lock file, in the cache outside of the checkout. Called by the example packages and by tests.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

from local import places
from local.locking import exclusive

ROOT = Path(__file__).resolve().parent.parent


def python(name: str, *locks: Path, compiled: bool = False) -> Path:
    """Return the interpreter of the environment that the lock files pin, made first where it is missing.

    compiled: also compile what is installed, for libraries that import slowly. Raises CalledProcessError.
    """
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:16]
    room = places.cache() / "venvs" / f"{name}-{digest}"
    room.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(room.with_suffix(".lock"), f"Python environment {name}"):
        if not (room / "whole").exists():
            shutil.rmtree(room, ignore_errors=True)
            _make(room, locks, ["--compile-bytecode"] if compiled else [])
            (room / "whole").touch()
    return room / "bin/python"


def _make(room: Path, locks: tuple[Path, ...], flags: list[str]) -> None:
    uv = ROOT / ".tools/bin/uv"
    subprocess.run([uv, "venv", "-q", "--python", "3.11", room], check=True, cwd=ROOT)
    chosen: list[str | Path] = ["--require-hashes", *flags, "--python", room / "bin/python"]
    subprocess.run([uv, "pip", "sync", "-q", *chosen, *locks], check=True, cwd=ROOT)

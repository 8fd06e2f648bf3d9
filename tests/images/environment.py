"""Makes the environment that the images have, plus pytest, once per lock file, in the cache outside of the checkout."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from local import places
from local.locking import exclusive

ROOT = Path(__file__).parents[2]
LOCKS = tuple(ROOT / path / "requirements.txt" for path in ("images/tensorflow", "images/server", "tests/images"))


def python() -> Path:
    """Return the interpreter of the environment, made first where it is missing."""
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in LOCKS)).hexdigest()[:16]
    room = places.cache() / "venvs" / f"images-{digest}"
    room.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(room.with_suffix(".lock"), "environment of the images' tests"):
        if not (room / "whole").exists():
            shutil.rmtree(room, ignore_errors=True)
            _make(room)
            (room / "whole").touch()
    return room / "bin/python"


def _make(room: Path) -> None:
    uv = ROOT / ".tools/bin/uv"
    subprocess.run([uv, "venv", "-q", "--python", "3.11", room], check=True, cwd=ROOT)
    chosen = ["--require-hashes", "--compile-bytecode", "--python", str(room / "bin/python")]
    subprocess.run([str(uv), "pip", "sync", "-q", *chosen, *map(str, LOCKS)], check=True, cwd=ROOT)


def run(*arguments: str) -> int:
    """Run pytest on the images' tests in their environment; return its exit status."""
    command = [str(python()), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/images", *arguments]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **quiet}, check=False).returncode


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(run(*sys.argv[1:]))

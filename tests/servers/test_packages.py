"""The committed packages are what the kfp SDK compiles from their sources (`make packages`)."""

from pathlib import Path

import pytest

from examples.kubeflow.__main__ import HERE, PACKAGES, main

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]  # the first time it installs the SDK


def test_compiling_again_gives_the_same_bytes(tmp_path: Path) -> None:
    main(["--into", str(tmp_path)])
    for name in PACKAGES:
        assert (tmp_path / name).read_bytes() == (HERE / name).read_bytes(), f"run `make packages`: {name} is old"

"""Packages and their makers: ours are what the SDK compiles from their sources; others' are read as they are."""

from collections import Counter
from pathlib import Path

import pytest

from examples.kubeflow.__main__ import HERE, PACKAGES, main
from tests.servers.kubeflow_archive import compiled
from trainyard.resources import kfp_package, kfp_platform

REASONS = ("wants input artifacts", "schemaVersion is '2.0.0'", "TASK_FINAL_STATUS")
pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]  # the first time it installs the SDK


def test_compiling_again_gives_the_same_bytes(tmp_path: Path) -> None:
    main(["--into", str(tmp_path)])
    for name in PACKAGES:
        assert (tmp_path / name).read_bytes() == (HERE / name).read_bytes(), f"run `make packages`: {name} is old"


def test_every_package_in_kubeflows_own_archive_is_read_or_refused_with_its_reason() -> None:
    refused: Counter[str] = Counter()
    read = 0
    for file in compiled():
        try:
            package = kfp_package.parse(file.read_text())
        except kfp_package.Malformed as error:
            refused[next((word for word in REASONS if word in str(error)), f"{file.name}: {error}")] += 1
            continue
        read += 1
        assert kfp_platform.problem(package) == "", file
        assert package.tasks, file
        assert kfp_package.parse(package.text).digest == package.digest, file
    assert (read, refused) == (
        108,
        {"wants input artifacts": 16, "schemaVersion is '2.0.0'": 1, "TASK_FINAL_STATUS": 1},
    )

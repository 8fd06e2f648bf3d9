"""Reads images.toml and tells, by digest, what an image is made of."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import builds, places, versions

FILE = places.LOCAL / "images.toml"
REPOSITORY = "localhost/trainyard"
LEFT_OUT = ("__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache")


@dataclass(frozen=True)
class Image:
    """One row of the table; paths are relative to the checkout. `only` is the part of the cluster that it is for."""

    name: str
    about: str
    dockerfile: str
    tag: str = "dev"
    base: str | None = None
    context: tuple[str, ...] = ()
    wheels: str | None = None
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    compile: str | None = None
    only: str | None = None

    @property
    def reference(self) -> str:
        """The name under which pods ask for it."""
        return f"{REPOSITORY}/{self.name}:{self.tag}"

    @property
    def present(self) -> bool:
        """Whether the checkout has what it is built from."""
        needed = [self.dockerfile, *self.context, *filter(None, (self.wheels, self.compile))]
        return all((places.CHECKOUT / path).exists() for path in needed)


def read(file: Path = FILE) -> dict[str, Image]:
    """The table, bases before what stands on them."""
    rows = tomllib.loads(file.read_text())["image"]
    images = {name: _image(name, row) for name, row in rows.items()}
    ordered: dict[str, Image] = {}
    for name in images:
        for one in reversed(lineage(images, name)):
            ordered.setdefault(one.name, one)
    return ordered


def _image(name: str, row: dict[str, Any]) -> Image:
    lists = {key: tuple(value) for key, value in row.items() if isinstance(value, list)}
    return Image(name=name, **{**row, **lists})


def lineage(images: dict[str, Image], name: str) -> list[Image]:
    """The image and what it stands on, itself first."""
    chain = [images[name]]
    while chain[-1].base:
        chain.append(images[chain[-1].base])
        if len(chain) > len(images):
            raise ValueError(f"image {name} stands on itself")
    return chain


def digest(images: dict[str, Image], name: str) -> str:
    """Short digest of everything the image is made of, its bases included."""
    image = images[name]
    total = hashlib.sha256()
    for part in (image.name, image.tag, *image.packages, versions.read().release, image.dockerfile):
        total.update(part.encode() + b"\0")
    for path in sorted({image.dockerfile, *filter(None, (image.wheels, image.compile)), *files(image)}):
        full = places.CHECKOUT / path
        total.update(f"{path}\0{full.stat().st_mode & 0o111}\0".encode())
        total.update(hashlib.sha256(full.read_bytes()).digest())
    for program in image.programs:
        total.update(builds.recipe(versions.read().programs[program]).encode())
    if image.base:
        total.update(digest(images, image.base).encode())
    return total.hexdigest()[:16]


def files(image: Image) -> list[str]:
    """Every file of the context, relative to the checkout, without what Python and its tools leave behind."""
    found = []
    for entry in image.context:
        root = places.CHECKOUT / entry
        inside = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
        found += [str(path.relative_to(places.CHECKOUT)) for path in inside if _wanted(path)]
    return found


def _wanted(path: Path) -> bool:
    return not any(part in LEFT_OUT or part.endswith(".egg-info") for part in path.parts)

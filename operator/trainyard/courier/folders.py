"""Local folders of a pod: which files a model consists of, digests of files, and files that appear whole or not.

Called by the verbs `publish`, `data` and `fetch`.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from trainyard.courier.outcome import Unusable
from trainyard.systems.artifacts.addresses import check_key
from trainyard.systems.artifacts.port import ManifestFile

CHUNK = 4 << 20


class Found(NamedTuple):
    """A file to publish: its path relative to the published folder, and where its bytes are."""

    path: str
    source: Path


def regular_files(root: Path, folder: str) -> list[Found]:
    """Return the regular files of `root/folder`, sorted, paths relative to `root`. Raises Unusable otherwise.

    A link to a file inside the folder counts as that file; a link elsewhere, a device or a socket is refused.
    """
    top = root / folder
    if top.is_symlink() or not top.is_dir():
        raise Unusable(f"there is no folder {folder}/ in the output: nothing to publish")
    found = [_checked(root, top, path) for path in _walk(top)]
    if not found:
        raise Unusable(f"the folder {folder}/ of the output holds no file: nothing to publish")
    return sorted(found)


def _walk(top: Path) -> Iterator[Path]:
    def give_up(error: OSError) -> None:
        raise Unusable(f"the output cannot be read: {error.strerror} ({error.filename})")

    for parent, folders, files in os.walk(top, followlinks=False, onerror=give_up):
        for name in folders:
            if (Path(parent) / name).is_symlink():
                raise Unusable(f"{Path(parent, name).relative_to(top.parent)} is a link to a folder; copy it instead")
        yield from (Path(parent) / name for name in files)


def _checked(root: Path, top: Path, path: Path) -> Found:
    relative = path.relative_to(root).as_posix()
    source = Path(os.path.realpath(path))
    if path.is_symlink() and not source.is_relative_to(top.resolve()):
        raise Unusable(f"{relative} is a link out of the model's folder; copy the file instead")
    if not source.exists():
        raise Unusable(f"{relative} is a link to nothing")
    if not stat.S_ISREG(source.lstat().st_mode):
        raise Unusable(f"{relative} is no regular file")
    try:
        check_key(relative)
    except (ValueError, UnicodeError) as error:
        raise Unusable(f"{relative!r} cannot be the name of an object: {error}") from error
    return Found(relative, source)


def digest_of(file: Found) -> ManifestFile:
    """Read a file through and return its size and SHA-256."""
    sha, size = hashlib.sha256(), 0
    with file.source.open("rb") as source:
        while chunk := source.read(CHUNK):
            sha.update(chunk)
            size += len(chunk)
    return ManifestFile(file.path, size, sha.hexdigest())


@contextmanager
def appearing(target: Path) -> Iterator[BinaryIO]:
    """Write a file beside its place and rename it there at the end, so that it is whole or absent."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name[:200]}.part")
    try:
        with beside.open("wb") as file:
            yield file
        beside.rename(target)
    finally:
        beside.unlink(missing_ok=True)


def emptied(folder: Path) -> Path:
    """Return the folder with nothing in it; it may be a mount, so it is not itself replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return folder

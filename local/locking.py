"""Locks between processes, released by the kernel when the holder dies, that say who holds them."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from local import places


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: what they do, as which process, from which checkout, since when (Unix seconds)."""

    doing: str
    pid: int
    checkout: str
    since: float

    def __str__(self) -> str:
        age = max(0, int(time.time() - self.since))
        return f"{self.doing!r} of {self.checkout} (process {self.pid}, {age} s)"


@contextmanager
def exclusive(
    file: Path, doing: str = "a build", on_wait: Callable[[Holder | None], None] | None = None
) -> Iterator[None]:
    """Hold the lock `file` for the block; while another holds it, wait and tell `on_wait` once who it is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as handle:
        if not _taken(handle):
            if on_wait:
                on_wait(holder(file))
            fcntl.flock(handle, fcntl.LOCK_EX)
        _sign(handle, Holder(doing, os.getpid(), str(places.CHECKOUT), time.time()))
        try:
            yield
        finally:
            handle.truncate(0)


def holder(file: Path) -> Holder | None:
    """Who signed the lock last; None while it is free or not yet signed."""
    try:
        return Holder(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _taken(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(handle: IO[str], who: Holder) -> None:
    handle.truncate(0)
    handle.write(json.dumps(asdict(who)))
    handle.flush()

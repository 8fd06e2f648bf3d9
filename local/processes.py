"""Processes by identity: a pid together with its start time, so that a reused pid is never mistaken or killed."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
BOUND = ("setpriv", "--pdeathsig", "KILL", "--")
"""Put before a command, ends it when the thread that started it ends: a killed build leaves no compiler running."""


@dataclass(frozen=True)
class Identity:
    """One process of this boot: `started` is its start time in clock ticks since boot (proc(5), field 22)."""

    pid: int
    started: int


def identify(pid: int) -> Identity | None:
    """Identity of a living process; None where there is none, or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else Identity(pid, int(fields[18]))


def alive(process: Identity) -> bool:
    """Whether this very process still runs."""
    return identify(process.pid) == process


def send(process: Identity, number: signal.Signals) -> None:
    """Signal the process if it is still the same one."""
    if alive(process):
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


def stop(processes: Iterable[Identity], grace: float = 10.0) -> None:
    """Ask them all to end, and kill those that have not after `grace` seconds."""
    chosen = list(processes)
    for process in chosen:
        send(process, signal.SIGTERM)
    if not _gone(chosen, grace):
        for process in chosen:
            send(process, signal.SIGKILL)
        _gone(chosen, grace)


def _gone(processes: list[Identity], within: float) -> bool:
    deadline = time.monotonic() + within
    while any(alive(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def running() -> Iterator[tuple[Identity, list[str]]]:
    """Every living process of the machine with its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (process := identify(int(entry.name))):
            with suppress(OSError):
                yield process, (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]


def die_with_parent() -> None:
    """For a child between fork and exec: let the kernel kill it when the thread that made it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

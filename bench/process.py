"""The real operator as a process that is started, measured and killed. Used by `measuring`."""

import asyncio
import os
import re
from pathlib import Path
from typing import Self

from bench.tools import Command

TICKS = os.sysconf("SC_CLK_TCK")


class OperatorProcess:
    """One operator at a time, started by `command`; `log` has what it says."""

    def __init__(self, command: Command, log: Path) -> None:
        self.command = command
        self._log = log

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start it; it leads once the Lease is free."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command.arguments, env=dict(self.command.environment), stdout=log, stderr=log
            )

    async def kill(self) -> None:
        """End it by SIGKILL, where it still runs."""
        if self.is_running:
            self._process.kill()
        await self._process.wait()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended by itself."""
        return self._process.returncode is None

    def cpu_seconds(self) -> float:
        """Return the processor time that all its threads took so far."""
        return cpu_seconds(Path(f"/proc/{self._process.pid}/stat").read_text(), TICKS)

    def resident_mb(self) -> float:
        """Return its resident memory in MB (10^6 bytes)."""
        return resident_mb(Path(f"/proc/{self._process.pid}/status").read_text())

    def last_words(self) -> str:
        """Return the end of its log."""
        return "\n".join(self._log.read_text().splitlines()[-20:])


def cpu_seconds(stat: str, ticks: int) -> float:
    """Read user and system time from `/proc/<pid>/stat` (proc(5)); the name in it may hold spaces and brackets."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks


def resident_mb(status: str) -> float:
    """Read VmRSS from `/proc/<pid>/status`, in MB. Raises ValueError where there is none."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise ValueError("the process has no memory of its own any more")
    return int(found[1]) * 1024 / 1e6

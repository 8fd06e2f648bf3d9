"""The live display of a start on a terminal (needs rich)."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table


class LiveScreen:
    """Finished parts scroll up; those that run stay at the bottom with their time."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, refresh_per_second=5, transient=True)
        self._begin = time.monotonic()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, line: str) -> None:
        """Print a finished line above the display."""
        colour = {"✓": "green", "✗": "red"}.get(line[:1], "default")
        self._console.print(f"{time.monotonic() - self._begin:6.1f}s {line}", style=colour, markup=False)

    def running(self, parts: dict[str, float]) -> None:
        """Redraw what runs."""
        table = Table.grid(padding=(0, 2))
        for name, seconds in parts.items():
            table.add_row("…", name, f"{seconds:.0f}s")
        self._live.update(table)

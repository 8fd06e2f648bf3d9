"""What the demo shows: parts with their times, lines as they happen, and a live screen where there is a terminal.

Every line also goes to the transcript, without colours.
"""

import io
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text


@dataclass
class Part:
    """One part of the demo; seconds is None while it runs."""

    name: str
    began: float
    seconds: float | None = None
    ok: bool = True


@dataclass
class Board:
    """The one place that writes. `below` gives what the live screen shows under the parts."""

    transcript: Path
    plain: bool = False
    console: Console = field(default_factory=lambda: Console(highlight=False))
    parts: list[Part] = field(default_factory=list)
    below: Callable[[], RenderableType] = Text
    clock: Callable[[], float] = time.monotonic
    _began: float = 0.0

    def __post_init__(self) -> None:
        self._began = self.clock()
        self.transcript.parent.mkdir(parents=True, exist_ok=True)
        self.transcript.write_text("")

    @property
    def live(self) -> bool:
        """Whether there is a live screen."""
        return self.console.is_terminal and not self.plain

    def shown(self) -> AbstractContextManager[object]:
        """Show the live screen while the block runs; nothing where there is no terminal."""
        if not self.live:
            return nullcontext()
        return Live(get_renderable=self._screen, console=self.console, refresh_per_second=2, transient=True)

    def say(self, text: str, style: str = "") -> None:
        """Write a line, with the time since the start."""
        stamp = f"{clock_text(self.clock() - self._began)}  "
        self.console.print(Text.assemble((stamp, "dim"), (text, style)), soft_wrap=True)
        self._write(stamp + text)

    def show(self, text: str) -> None:
        """Write lines as they are: tables, commands, the summary."""
        self.console.print(Text(text), soft_wrap=True)
        self._write(text)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a part of the demo."""
        part = Part(name, self.clock())
        self.parts.append(part)
        self.say(f"── {name}", "bold")
        try:
            yield
        except BaseException:
            part.ok = False
            raise
        finally:
            part.seconds = self.clock() - part.began

    def picture(self, lines: int = 12) -> None:
        """Save what a terminal shows now, the last lines and the live screen, as SVG beside the transcript."""
        console = Console(record=True, width=124, file=io.StringIO(), force_terminal=True, highlight=False)
        for line in self.transcript.read_text().splitlines()[-lines:]:
            console.print(Text(line), no_wrap=True, overflow="ellipsis")
        console.print(self._screen())
        drawn = console.export_svg(title="make demo")
        own_fonts = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # they come from somebody's server
        self.transcript.with_name("screen.svg").write_text(own_fonts)

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return self.clock() - self._began

    def slowest(self, count: int = 3) -> list[Part]:
        """Return the parts that took longest."""
        return sorted((p for p in self.parts if p.seconds is not None), key=lambda p: -(p.seconds or 0))[:count]

    def _write(self, text: str) -> None:
        with self.transcript.open("a") as file:
            file.write(text.rstrip() + "\n")

    def _screen(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for part in self.parts:
            table.add_row(*self._row(part))
        head = Text.assemble(("Trainyard demo  ", "bold"), clock_text(self.elapsed()))
        return Group(Text(), head, table, self.below())

    def _row(self, part: Part) -> tuple[Text, Text, Text]:
        running = part.seconds is None
        mark = ("▶", "cyan") if running else ("✔", "green") if part.ok else ("✘", "red")
        took = self.clock() - part.began if part.seconds is None else part.seconds
        return Text(*mark), Text(part.name, style="bold" if running else ""), Text(clock_text(took), style="dim")


def clock_text(seconds: float) -> str:
    """Write seconds as mm:ss."""
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"

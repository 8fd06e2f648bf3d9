"""Where a command writes: rich on stdout and stderr (it obeys NO_COLOR), or one JSON document."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from trainyard.cli.options import Format

_GOOD, _BAD, _OPEN, _GOING = "green", "red", "yellow", "cyan"
COLOURS = {
    **dict.fromkeys(("True", "Pass", "Succeeded", "Promoted", "FastPromoted", "Accepted"), _GOOD),
    **dict.fromkeys(
        ("Unknown", "Inconclusive", "NoData", "Cancelled", "EngineUnreachable", "RolledBack", "Superseded"), _OPEN),
    **dict.fromkeys(
        ("False", "Fail", "Failed", "Aborted", "TimedOut", "OutOfMemory", "Unschedulable", "ImagePullFailed",
         "DataRejected", "StepFailed", "PublishFailed", "InvalidParameters", "Rejected"), _BAD),
    "Running": _GOING,
}  # fmt: skip
SENTENCES = frozenset(
    {"METRICS", "WHY", "REASON", "MESSAGE", "DESCRIPTION", "VALUE", "WHEN", "DATASETS", "URI", "LIMIT"}
)
GAP = 2  # between columns
PIPE_WIDTH = 1_000  # what reads a pipe breaks lines itself


def stdout() -> Console:
    """Return a console on stdout; made when used, so that tests and pipes get their own."""
    made = Console(highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPE_WIDTH
    return made


def stderr() -> Console:
    """Return a console on stderr."""
    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Write a line for people on stderr; stdout stays clean for programs."""
    stderr().print(Text(text), soft_wrap=True)


def emit_json(value: Any) -> None:
    """Write one JSON document on stdout."""
    print(json.dumps(value, indent=2))


def yaml_text(value: Any) -> str:
    """Return YAML as kubectl writes it; escaped where stdout cannot hold every character."""
    import yaml

    unicode = sys.stdout.encoding.lower().startswith("utf")
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=unicode)).rstrip()


def emit_names(objects: Sequence[Any]) -> None:
    """Write a line kind.group/name for each object, as `kubectl -o name` does."""
    for obj in objects:
        group = obj["apiVersion"].partition("/")[0]
        print(f"{obj['kind'].lower()}.{group}/{obj['metadata']['name']}")


def answer(output: Format, objects: Sequence[Any], render: Callable[[], RenderableType], empty: str) -> None:
    """Write a list as it was asked for; a sentence for people where there is nothing."""
    if output is Format.JSON:
        emit_json(objects)
    elif output is Format.YAML:
        print(yaml_text(objects))
    elif output is Format.NAME:
        emit_names(objects)
    elif objects:
        stdout().print(render())
    else:
        say(empty)


def show(output: Format, obj: Any, render: Callable[[], RenderableType]) -> None:
    """Write one object as it was asked for."""
    if output is Format.JSON:
        emit_json(obj)
    elif output is Format.YAML:
        print(yaml_text(obj))
    elif output is Format.NAME:
        emit_names([obj])
    else:
        stdout().print(render())


def word(text: str) -> Text:
    """Return a word of ours in its colour."""
    return Text(text, style=COLOURS.get(text, ""))


@dataclass(frozen=True)
class Columns:
    """A plain table like kubectl's. Sentences fold; names stay whole, so that they can be copied.

    droppable: columns that go where the terminal is too narrow, the least wanted first.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | Text]]
    droppable: Sequence[str] = ()

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Draw as wide as the terminal is."""
        kept = list(range(len(self.columns)))
        for dropped in self.droppable:
            if self._width(kept) <= options.max_width:
                break
            kept.remove(self.columns.index(dropped))
        yield self._drawn(kept, fits=self._width(kept, narrowest=True) <= options.max_width)

    def _longest(self, column: int) -> int:
        return max((len(text) for text in (self.columns[column], *(row[column] for row in self.rows))), default=0)

    def _width(self, columns: Sequence[int], *, narrowest: bool = False) -> int:
        """Return the width of these columns with nothing folded, or with sentences folded as far as may be."""
        widths = [
            len(self.columns[c]) if narrowest and self.columns[c] in SENTENCES else self._longest(c) for c in columns
        ]
        return sum(widths) + GAP * (len(columns) - 1)

    def _drawn(self, columns: Sequence[int], *, fits: bool) -> Table:
        made = Table(box=None, pad_edge=False, header_style="bold")
        for c in columns:
            name = self.columns[c]
            if name in SENTENCES or not fits:
                made.add_column(name, overflow="fold")
            else:
                made.add_column(name, no_wrap=True, min_width=self._longest(c))
        for row in self.rows:
            made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in (row[c] for c in columns)))
        return made


def table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]], droppable: Sequence[str] = ()) -> Columns:
    """Return a table; see `Columns`."""
    return Columns(columns, rows, droppable)


def facts(pairs: Sequence[tuple[str, str | Text]]) -> Table:
    """Return name and value a line, without those that have none; values fold beside their names."""
    made = Table.grid(padding=(0, GAP, 0, 0))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            made.add_row(name, value if isinstance(value, Text) else Text(value))
    return made

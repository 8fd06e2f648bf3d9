"""Where a command writes: rich on stdout and stderr (it obeys NO_COLOR), or one JSON document."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {"True": "green", "False": "red", "Unknown": "yellow", "Pass": "green", "Fail": "red",
           "Inconclusive": "yellow", "NoData": "yellow", "Succeeded": "green", "Failed": "red",
           "Running": "cyan", "Promoted": "green", "FastPromoted": "green", "Aborted": "red"}  # fmt: skip


def stdout() -> Console:
    """Return a console on stdout; made when used, so that tests and pipes get their own."""
    return Console(highlight=False, soft_wrap=False)


def stderr() -> Console:
    """Return a console on stderr."""
    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Write a line for people on stderr; stdout stays clean for programs."""
    stderr().print(Text(text))


def emit_json(value: Any) -> None:
    """Write one JSON document on stdout."""
    print(json.dumps(value, indent=2))


def word(text: str) -> Text:
    """Return a word of ours in its colour."""
    return Text(text, style=COLOURS.get(text, ""))


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """Return a plain table like kubectl's."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return made

"""Where a command writes: rich on stdout and stderr (it obeys NO_COLOR), or one JSON document."""

import json
import os
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {"True": "green", "False": "red", "Unknown": "yellow", "Pass": "green", "Fail": "red",
           "Inconclusive": "yellow", "NoData": "yellow", "Succeeded": "green", "Failed": "red",
           "Running": "cyan", "Promoted": "green", "FastPromoted": "green", "Aborted": "red"}  # fmt: skip


SENTENCES = frozenset({"METRICS", "WHY", "REASON"})
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
    stderr().print(Text(text))


def emit_json(value: Any) -> None:
    """Write one JSON document on stdout."""
    print(json.dumps(value, indent=2))


def word(text: str) -> Text:
    """Return a word of ours in its colour."""
    return Text(text, style=COLOURS.get(text, ""))


def table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> Table:
    """Return a plain table like kubectl's. Sentences fold; names stay whole, so that they can be copied."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        longest = max((len(row[number]) for row in rows), default=0)
        if column in SENTENCES:
            made.add_column(column, overflow="fold")
        else:
            made.add_column(column, no_wrap=True, min_width=longest)
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return made

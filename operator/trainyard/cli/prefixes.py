"""Which step wrote a line of a log: a name before it, in a colour of its own where colours are wanted."""

import os
import sys

COLOURS = (36, 35, 33, 32, 34, 31)  # ANSI: cyan, magenta, yellow, green, blue, red


class Prefixes:
    """Prefixes of one reading; they are as wide as the longest name so far."""

    def __init__(self, *, coloured: bool | None = None) -> None:
        self._coloured = _wanted() if coloured is None else coloured
        self._steps: list[str] = []

    def of(self, step: str) -> str:
        """Return what stands before a step's line; nothing before lines of no step."""
        if not step:
            return ""
        if step not in self._steps:
            self._steps.append(step)
        text = step.ljust(max(map(len, self._steps)))
        if self._coloured:
            colour = COLOURS[self._steps.index(step) % len(COLOURS)]
            text = f"\x1b[{colour}m{text}\x1b[0m"
        return f"{text} | "


def _wanted() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

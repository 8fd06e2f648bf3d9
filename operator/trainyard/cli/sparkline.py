"""Numbers as a line of small bars, for terminals. Pure."""

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
GAP = " "


def sparkline(values: Sequence[float | None], width: int) -> str:
    """Draw the last values from their lowest to their highest; None and NaN are gaps, equal numbers a low line."""
    shown = [value if value is not None and math.isfinite(value) else None for value in values[-width:]]
    known = [value for value in shown if value is not None]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known)
    return "".join(GAP if value is None else BARS[_level(value - low, span)] for value in shown)


def _level(above: float, span: float) -> int:
    return min(len(BARS) - 1, int(above / span * len(BARS))) if span else 0


def axis(lower: float, upper: float, limit: float, width: int) -> str:
    """Draw an interval against 0 and a limit: `··0━━━━···│··`; what lies left of the bar is within the limit."""
    least, most = min(lower, 0.0, limit), max(upper, 0.0, limit)
    span = (most - least) or 1.0

    def place(value: float) -> int:
        return round((value - least) / span * (width - 1))

    cells = ["·"] * width
    cells[place(0.0)] = "0"
    for cell in range(place(lower), place(upper) + 1):
        cells[cell] = "━"
    cells[place(limit)] = "│"
    return "".join(cells)

"""Aliases that came to a version or left it with this decision: rows, events, and how rows are numbered. Pure.

Status keeps the number of the last row, so a repeated cycle writes the same rows. A status that was lost numbers on
from the time of day: beyond everything that may have been written.
"""

from datetime import datetime

from trainyard.model_version import reasons
from trainyard.model_version.state import Observed, View
from trainyard.reconciling.plan import Note, Record
from trainyard.resources.base import MOST_ROWS

FIRST = 100  # rows of the version and its decision come before


def moved(observed: Observed, view: View) -> tuple[tuple[str, str], ...]:
    """Return (reason, alias) of each alias that came or left."""
    before, now = set(observed.status.holds), set(view.holds)
    lost = [(reasons.ALIAS_LOST, alias) for alias in sorted(before - now)]
    return (*lost, *((reasons.ALIAS_TAKEN, alias) for alias in sorted(now - before)))


def sequence_after(observed: Observed, view: View, at: str) -> int:
    """Return the number of the last row, 0 while there has been none."""
    found = moved(observed, view)
    return min(MOST_ROWS, _last(observed, at) + len(found)) if found else observed.status.sequence


def rows(observed: Observed, view: View, at: str) -> list[Record]:
    """Return a row for each alias that moved."""
    meta, last = observed.meta, _last(observed, at)
    model = observed.spec.model if observed.spec else ""
    return [
        Record(
            meta.uid, last + n, "decision", at, meta.namespace, meta.name,
            {"event": reason, "model": model, "alias": alias, "version": meta.name},
        )
        for n, (reason, alias) in enumerate(moved(observed, view), start=1)
    ]  # fmt: skip


def notes(observed: Observed, view: View, at: str) -> list[Note]:
    """Return an event for each alias that moved."""
    last, told = _last(observed, at), {reasons.ALIAS_TAKEN: "holds", reasons.ALIAS_LOST: "does not hold"}
    return [Note(reason, f"{told[reason]} alias {alias}", f"{last}") for reason, alias in moved(observed, view)]


def _last(observed: Observed, at: str) -> int:
    if observed.status.sequence:
        return observed.status.sequence
    is_lost = observed.status.observed_generation == 0 and observed.meta.generation > 1
    return int(datetime.fromisoformat(at).timestamp()) if is_lost else FIRST

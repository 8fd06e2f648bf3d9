"""Freeze windows: when nothing new begins and no weight rises. Pure: a window follows from words and time alone.

A window begins at a minute of its calendar (`cron`: Debian's words, also at changes of clocks) and lasts so many real
seconds. What goes wrong still goes back: an abort, a retreat from pods that died, a return to stable, a deletion.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache

from trainyard import cron
from trainyard.resources.rollout import Freeze


def holding(windows: Iterable[Freeze], now: datetime) -> str | None:
    """Return the name of the first window that holds now, None where none does. What cannot be read holds nothing."""
    return next((window.name for window in windows if _end(window, now) is not None), None)


def next_change(windows: Iterable[Freeze], now: datetime) -> float | None:
    """Return the seconds until a window begins or ends, None where none ever does."""
    moments = [moment for window in windows if (moment := _end(window, now) or _begin(window, now))]
    return (min(moments) - now).total_seconds() if moments else None


def problem(windows: Iterable[Freeze]) -> str:
    """Return what is wrong with the first window that nobody can follow, "" where there is none."""
    for window in windows:
        try:
            cron.calendar(window.cron, window.time_zone)
        except cron.Unreadable as error:
            return f"freeze window {window.name}: {error}"
    return ""


def _end(window: Freeze, now: datetime) -> datetime | None:
    """Return when the window that holds now ends, None where none holds.

    It is the earliest one that holds: where windows of the same words overlap, the next one is seen at its end.
    """
    lasting = timedelta(seconds=window.duration_seconds)
    begun = _after(window, now - lasting)
    return begun + lasting if begun is not None and begun <= now else None


def _begin(window: Freeze, now: datetime) -> datetime | None:
    return _after(window, now)


def _after(window: Freeze, moment: datetime) -> datetime | None:
    """Return the first slot after a moment; slots are whole minutes, so its minute tells."""
    return _slot_after(window.cron, window.time_zone, moment.replace(second=0, microsecond=0))


@lru_cache(maxsize=4096)  # every visit of every Rollout asks several times a minute, of few windows
def _slot_after(words: str, zone: str, minute: datetime) -> datetime | None:
    try:
        return cron.calendar(words, zone).after(minute)
    except cron.Unreadable:
        return None

"""The command line's clock: ages in tables, and fresh names for what a person asks for."""

import re
from datetime import UTC, datetime, timedelta

_SPAN = re.compile(r"([0-9]+)([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - a person's command happens now; nothing is reconciled here


def parse(stamp: str | None) -> datetime | None:
    """Read an RFC 3339 time; None where there is none, or it is malformed."""
    try:
        return datetime.fromisoformat(stamp) if stamp else None
    except ValueError:
        return None


def stamp(moment: datetime) -> str:
    """Write a time as objects have it: RFC 3339 UTC, in whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_between(start: str | None, end: str | None, present: datetime) -> float | None:
    """Return how long something took, or takes until the present; None where it has not begun."""
    began = parse(start)
    return None if began is None else ((parse(end) or present) - began).total_seconds()


def spoken(seconds: float | None) -> str:
    """Write a duration as kubectl does: 42s, 3m5s, 7h12m, 12d."""
    if seconds is None:
        return ""
    whole = max(0, int(seconds))
    for size, big, small, part in ((86_400, "d", "h", 3_600), (3_600, "h", "m", 60), (60, "m", "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size}{big}" + (f"{rest}{small}" if rest and whole < 10 * size else "")
    return f"{whole}s"


def age(stamp: str | None, present: datetime) -> str:
    """Write how long ago something was."""
    return spoken(seconds_between(stamp, None, present))


def until(stamp: str | None, present: datetime) -> str:
    """Write a coming time and how far it is; "" where there is none."""
    moment = parse(stamp)
    if moment is None:
        return ""
    left = (moment - present).total_seconds()
    return f"{stamp} (in {spoken(left)})" if left > 0 else f"{stamp} (due)"


def since(text: str, present: datetime) -> datetime:
    """Read the start of a span of time: 90m, 36h, 7d, 2w, a date or a time (UTC). Raises ValueError."""
    try:
        if span := _SPAN.fullmatch(text):
            return present - timedelta(seconds=int(span[1]) * _UNITS[span[2]])
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError(f"no calendar has {text}") from error

"""Timestamps of status as text and back. Pure; the time itself always comes as an argument."""

from datetime import UTC, datetime, timedelta

FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def stamp(moment: datetime) -> str:
    """Return RFC 3339 UTC in whole seconds."""
    return moment.astimezone(UTC).strftime(FORMAT)


def stamp_up(moment: datetime) -> str:
    """Return the next whole second: what lies after this stamp also lies after the moment."""
    whole = moment.replace(microsecond=0)
    return stamp(whole if whole == moment else whole + timedelta(seconds=1))


def parse(text: str | None) -> datetime | None:
    """Read RFC 3339; None where there is none or it cannot be read."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def since(text: str | None, now: datetime) -> float:
    """Return the seconds that passed since a stamp; 0 where there is none."""
    moment = parse(text)
    return (now - moment).total_seconds() if moment else 0.0

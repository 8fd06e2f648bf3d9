"""Slots of schedules as text: how they stand in names and in status. Pure."""

from datetime import UTC, datetime


def text(slot: datetime) -> str:
    """Return a slot as it stands in names and status."""
    return slot.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def moment(slot: str | None) -> datetime | None:
    """Read a slot back; None where there is none, or it is no date."""
    try:
        return datetime.strptime(slot or "", "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    except ValueError:
        return None

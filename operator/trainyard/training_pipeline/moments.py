"""Times as objects tell them. Pure."""

from datetime import UTC, datetime


def instant(told: str | None) -> datetime | None:
    """Read an RFC 3339 time, as UTC where it names no zone; None where there is none, or it cannot be read."""
    try:
        found = datetime.fromisoformat(told or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

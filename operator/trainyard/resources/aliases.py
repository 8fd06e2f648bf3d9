"""Which ModelVersion holds an alias: the newest Ready one that lists it. Pure.

Aliases stand on the versions themselves, so an alias has one holder at every moment, and who held it before is not
forgotten: older versions go on listing it. Used by the rooms of ModelVersions and Rollouts, and by the command line.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)  # the age of a version that does not say when it was made


@dataclass(frozen=True)
class Claim:
    """What counts of one version of a model. `holds`: the aliases that its status shows at present."""

    name: str
    created_at: str
    ready: bool
    aliases: frozenset[str] = frozenset()
    holds: frozenset[str] = frozenset()


def age_key(created_at: str, name: str) -> tuple[datetime, str]:
    """Order versions of a model: the newest is the greatest. Times are compared as times, not as they are spelled."""
    try:
        moment = datetime.fromisoformat(created_at.upper())
    except ValueError:
        moment = LONG_AGO
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment, name)


def holder(alias: str, claims: Iterable[Claim]) -> Claim | None:
    """Return the version of a model that holds an alias; None where nobody does."""
    listing = (c for c in claims if c.ready and alias in c.aliases)
    return max(listing, key=lambda c: age_key(c.created_at, c.name), default=None)


def holds(mine: Claim, others: Iterable[Claim]) -> tuple[str, ...]:
    """Return the aliases that a version's status may show: those that it holds and that no other one shows yet.

    Two objects cannot be written at once: the former holder lets go first, so that never two show the same alias.
    """
    living = tuple(others)
    shown = {alias for other in living for alias in other.holds}
    held = (a for a in sorted(mine.aliases) if holder(a, (mine, *living)) == mine)
    return tuple(a for a in held if a in mine.holds or a not in shown)

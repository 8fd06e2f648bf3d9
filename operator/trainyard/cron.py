"""Calendars of cron words: which minutes are theirs. Pure; every moment is aware, slots are in UTC.

Schedules of pipelines and freeze windows of Rollouts follow them; kinds do not know each other, so they stand here.

Words, and what happens when clocks change, are Debian cron's, as cronsim plays it: a fixed time that a day lacks runs
at the next minute that exists, one that comes twice runs once; with a star as minute or hour, every real interval
counts.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

MINUTE = timedelta(minutes=1)
MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
OF_THE_MACHINE = {"localtime", "posixrules"}  # names that mean another zone on each machine
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)  # whether anything matches at all does not depend on where one looks from


class Unreadable(ValueError):
    """Cron words or a time zone that nobody can follow; `str()` is the sentence, without a full stop."""


@dataclass(frozen=True)
class Calendar:
    """Cron words in a time zone. Made by `calendar`, which checks them."""

    words: str
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime | None:
        """Return the first slot after a moment; None where none comes within 50 years."""
        for found in CronSim(self.words, moment.astimezone(self.zone)):
            slot = found.astimezone(UTC)
            if slot > moment:  # in a doubled hour cronsim answers with the first pass, which may be over
                return slot
        return None

    def has(self, slot: datetime) -> bool:
        """Whether that minute is one of the calendar's."""
        return self.after(slot - MINUTE) == slot

    def latest(self, armed: datetime, now: datetime) -> datetime:
        """Return the last slot from `armed` until now; `armed` itself where the words have changed since."""
        if not self.has(armed):
            return armed
        low, high = armed - MINUTE, now.replace(second=0, microsecond=0)  # after(low) has come, after(high) has not
        while high - low > MINUTE:
            middle = low + (high - low) // MINUTE // 2 * MINUTE
            low, high = (middle, high) if self._has_come_after(middle, now) else (low, middle)
        return low + MINUTE

    def _has_come_after(self, moment: datetime, now: datetime) -> bool:
        slot = self.after(moment)
        return slot is not None and slot <= now


@lru_cache(maxsize=4096)
def calendar(cron: str, time_zone: str) -> Calendar:
    """Read cron words and a time zone's name. Raises Unreadable."""
    made = Calendar(MACROS.get(cron, cron), _zone(time_zone))
    if len(made.words.split()) != 5:
        raise Unreadable(f'"{cron}" has not five fields: minute hour day-of-month month day-of-week')
    try:
        first = made.after(_SOME_DAY)
    except CronSimError as error:
        said = str(error).removeprefix("Bad ")
        raise Unreadable(f'"{cron}" has a {said} that cannot be') from error
    if first is None:
        raise Unreadable(f'"{cron}" never comes')
    return made


def _zone(name: str) -> ZoneInfo:
    try:
        if name in OF_THE_MACHINE:
            raise ValueError(name)
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: "Europe" is a folder
        raise Unreadable(f"{name} is not a time zone of the IANA database") from error

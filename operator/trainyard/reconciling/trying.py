"""For how long this process has tried to clean up after deleted objects: what their deadline counts.

The time since the deletion is no measure: the operator may have been away for all of it, or the clock was set. An
object let go without one honest try leaves what nobody will ever take away. Kept by the rooms that clean up, asked
once an object was observed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

# The longest pause between two tries, with some room: the longest backoff, spread (`errors`). What lasts longer is an
# outage, in which nothing was tried.
LONGEST_PAUSE_SECONDS = 400.0
FORGOTTEN_SECONDS = 3600.0  # what nobody has asked about for so long is gone


@dataclass
class Trying:
    """Counts, by uid. After a restart it begins anew. `monotonic` is replaced in tests only."""

    monotonic: Callable[[], float] = time.monotonic
    _known: dict[str, tuple[float, float]] = field(default_factory=dict)  # (seconds, last look), oldest look first

    def seconds(self, uid: str) -> float:
        """Return for how long it has been tried: 0 at the first look. Looks of one visit may be several."""
        now = self.monotonic()
        self._forget(now - FORGOTTEN_SECONDS)
        counted, last = self._known.pop(uid, (0.0, now))
        passed = now - last
        counted += passed if passed <= LONGEST_PAUSE_SECONDS else 0.0
        self._known[uid] = (counted, now)
        return counted

    def _forget(self, before: float) -> None:
        while self._known:
            uid = next(iter(self._known))
            if self._known[uid][1] >= before:
                return
            del self._known[uid]

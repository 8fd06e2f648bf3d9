"""What follows when a cycle ends by an exception: when to come again, and whether to say so aloud. Pure.

Called by `worker`.
"""

from dataclasses import dataclass, replace

from trainyard.systems.cluster.port import (
    AlreadyExists,
    Conflict,
    Fenced,
    Forbidden,
    Invalid,
    NotFound,
    Unavailable,
)


@dataclass(frozen=True)
class Failure:
    """One way to fail: a word for metrics and logs, and the seconds of the first and the longest backoff.

    moved: the world changed under the cycle, which is no error; the next one reads live. ours: a bug of the
    operator, so its traceback belongs into the log. at_least: the seconds that the API server asked to wait.
    """

    word: str
    first_seconds: float
    longest_seconds: float
    moved: bool = False
    ours: bool = False
    at_least: float = 0.0

    def delay(self, times: int, spread: float = 1.0) -> float:
        """Return the seconds to wait after the n-th failure in a row (1, 2, …): doubled each time, and spread."""
        doubled = min(self.longest_seconds, self.first_seconds * 2.0 ** min(times - 1, 30))
        return float(max(self.at_least, doubled * spread))


LONGEST_RETRY_AFTER_SECONDS = 300.0  # whoever asks for more is not believed

CONFLICT = Failure("Conflict", 0.1, 10.0, moved=True)
UNAVAILABLE = Failure("Unavailable", 1.0, 60.0)
REFUSED = Failure("Invalid", 5.0, 300.0)
FORBIDDEN = Failure("Forbidden", 5.0, 300.0)
FENCED = Failure("Fenced", 1.0, 10.0)
UNEXPECTED = Failure("Unexpected", 5.0, 300.0, ours=True)

_BY_TYPE: tuple[tuple[type[Exception], Failure], ...] = (
    (Conflict, CONFLICT),
    (AlreadyExists, CONFLICT),  # a room that did not expect it saw an older world
    (NotFound, CONFLICT),
    (Invalid, REFUSED),
    (Forbidden, FORBIDDEN),
    (Fenced, FENCED),
    (Unavailable, UNAVAILABLE),
)


def classify(error: Exception) -> Failure:
    """Return the failure that an exception of a cycle is."""
    found = next((failure for kind, failure in _BY_TYPE if isinstance(error, kind)), UNEXPECTED)
    if isinstance(error, Unavailable) and error.retry_after:
        return replace(found, at_least=min(error.retry_after, LONGEST_RETRY_AFTER_SECONDS))
    return found

"""From samples and audit lines to figures. Pure. Used by `measuring`."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

READS = frozenset({"get", "list", "watch"})
# What the process does to lead and to log in; it is counted apart from the work on objects.
HOUSEKEEPING = frozenset({"leases", "selfsubjectaccessreviews", "selfsubjectrulesreviews"})


class Request(NamedTuple):
    """One request as the API server audited it. `resource` is "" for requests of no resource (discovery, version)."""

    user: str
    verb: str
    resource: str

    @property
    def is_work(self) -> bool:
        """Whether it is about objects, not about leading."""
        return self.resource not in HOUSEKEEPING

    @property
    def is_event(self) -> bool:
        """Whether it posts a Kubernetes Event."""
        return self.resource == "events" and self.verb not in READS

    @property
    def is_write(self) -> bool:
        """Whether it writes an object; events and the Lease are no objects of the work."""
        return self.verb not in READS and self.resource not in {"", "events"} and self.is_work


def requests(lines: Iterable[str], user: str) -> list[Request]:
    """Return a user's requests from audit lines, each once: a watch when it starts, anything else when it ends."""
    return list(_each(lines, user))


def is_working(lines: Iterable[str], user: str) -> bool:
    """Whether a user asked for anything about objects; reads no further than that."""
    return any(request.is_work for request in _each(lines, user))


def _each(lines: Iterable[str], user: str) -> Iterator[Request]:
    for line in lines:
        if user not in line:
            continue
        entry = json.loads(line)
        stage = "ResponseStarted" if entry["verb"] == "watch" else "ResponseComplete"
        if entry["stage"] == stage and entry["user"]["username"] == user:
            yield Request(user, entry["verb"], entry.get("objectRef", {}).get("resource", ""))


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile: the least sample that `percent` of all do not exceed.

    Raises ValueError without samples, or for a percent outside 0 to 100.
    """
    if not samples or not 0 < percent <= 100:
        raise ValueError(f"no percentile {percent} of {len(samples)} samples")
    return sorted(samples)[math.ceil(percent / 100 * len(samples)) - 1]


def per_minute(count: int, seconds: float) -> float:
    """Return a rate per minute."""
    return 60.0 * count / seconds

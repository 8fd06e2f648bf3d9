"""How many events of one trigger are taken: a bucket of tokens each, counted after the proof. Pure but for the clock.

Only proven callers are counted, so nobody can use up a trigger's share without its secret.
"""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass


@dataclass
class _Bucket:
    tokens: float
    at: float


class Limits:
    """`per_minute` events of each key, that many at once. `clock` is monotonic, in seconds."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._most = float(per_minute)
        self._clock = clock
        self._buckets: dict[Hashable, _Bucket] = {}

    def wait(self, key: Hashable) -> int:
        """Take a token; return 0, or the seconds until there is one."""
        now = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(self._most, now))
        bucket.tokens = min(self._most, bucket.tokens + (now - bucket.at) * self._most / 60)
        bucket.at = now
        if bucket.tokens < 1:
            return math.ceil((1 - bucket.tokens) * 60 / self._most)
        bucket.tokens -= 1
        return 0

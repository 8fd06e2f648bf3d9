"""What was made of other objects, kept while their resourceVersion stays: a visit looks at its neighbours.

Without it a thousand Rollouts on one host name would parse each other a million times. Used by `observe`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from trainyard.systems.cluster.port import Obj

Made = TypeVar("Made")
LIMIT = 10_000  # objects; beyond it the one made longest ago is forgotten, and made again when it is asked for


@dataclass
class Known(Generic[Made]):
    """Results of `make` by uid, at most `limit` of them."""

    make: Callable[[Obj], Made]
    limit: int = LIMIT
    _kept: dict[str, tuple[str, Made]] = field(default_factory=dict)

    def of(self, objects: Iterable[Obj]) -> dict[str, Made]:
        """Return uid -> result for these objects, making only what is new or changed."""
        return {str(obj["metadata"]["uid"]): self._result(obj) for obj in objects}

    def _result(self, obj: Obj) -> Made:
        uid, version = str(obj["metadata"]["uid"]), str(obj["metadata"]["resourceVersion"])
        known = self._kept.get(uid)
        if known and known[0] == version:
            return known[1]
        self._kept.pop(uid, None)
        self._kept[uid] = (version, self.make(obj))
        if len(self._kept) > self.limit:
            del self._kept[next(iter(self._kept))]
        return self._kept[uid][1]

"""What was made of other objects, kept while their resourceVersion stays: a visit looks at every neighbour.

Without it a thousand Rollouts in one namespace would parse each other a million times. Used by `observe`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from trainyard.systems.cluster.port import Obj

Made = TypeVar("Made")


@dataclass
class Known(Generic[Made]):
    """Results of `make` by namespace and uid. It never holds more than the last listing of each namespace."""

    make: Callable[[Obj], Made]
    _kept: dict[str, dict[str, tuple[str, Made]]] = field(default_factory=dict)

    def of(self, namespace: str, objects: Iterable[Obj]) -> dict[str, Made]:
        """Return uid -> result for all of the namespace's objects, making only what is new or changed."""
        before = self._kept.pop(namespace, {})
        now = {str(obj["metadata"]["uid"]): self._result(obj, before) for obj in objects}
        if now:
            self._kept[namespace] = now
        return {uid: made for uid, (_, made) in now.items()}

    def _result(self, obj: Obj, before: dict[str, tuple[str, Made]]) -> tuple[str, Made]:
        meta = obj["metadata"]
        version = str(meta["resourceVersion"])
        known = before.get(str(meta["uid"]))
        return known if known and known[0] == version else (version, self.make(obj))

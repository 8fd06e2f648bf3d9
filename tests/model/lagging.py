"""The played cluster with a reflector's delay: what is not read live may be older than what there is.

What the operator wrote itself it also sees, as the core waits for it after each write; what others wrote comes late.
"""

from collections.abc import Mapping

from tests.fakes.cluster import FakeCluster, Write
from trainyard.systems.cluster.port import Kind, Obj, Ref
from trainyard.systems.cluster.store import says


class Lagging(FakeCluster):
    """A FakeCluster whose kinds can be held back, each by itself."""

    def hold(self, kind: Kind) -> None:
        """From now on readers of the store see a kind as it is at this moment."""
        self._held()[kind] = {self._ref(kind, obj): obj for obj in self.all(kind)}

    def catch_up(self) -> None:
        """Let every store see what there is."""
        self._held().clear()

    def seen(self, write: Write) -> None:
        """Note a write of the operator's own: a hook of `on_write`."""
        held = self._held().get(write.ref.kind)
        found = self.look(write.ref)
        if held is not None and found is not None:
            held[write.ref] = found
        elif held is not None:
            held.pop(write.ref, None)

    async def get(self, ref: Ref, *, live: bool = False) -> Obj | None:
        """See the port."""
        now = await super().get(ref, live=live)
        held = self._held().get(ref.kind)
        return now if live or held is None else held.get(ref)

    async def list(
        self,
        kind: Kind,
        namespace: str,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        *,
        live: bool = False,
    ) -> tuple[Obj, ...]:
        """See the port."""
        now = await super().list(kind, namespace, labels, fields, live=live)
        held = self._held().get(kind)
        if live or held is None:
            return now
        mine = (obj for ref, obj in held.items() if namespace in ("", ref.namespace))
        return tuple(obj for obj in mine if says(obj, labels or {}, fields or {}))

    def _held(self) -> dict[Kind, dict[Ref, Obj]]:
        found: dict[Kind, dict[Ref, Obj]] = self.__dict__.setdefault("_held_kinds", {})
        return found

    @staticmethod
    def _ref(kind: Kind, obj: Obj) -> Ref:
        return Ref(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])

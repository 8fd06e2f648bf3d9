"""What the core asks of a kind: three verbs, wired in `handlers`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar, runtime_checkable

from trainyard.reconciling.plan import Action, Plan
from trainyard.systems.cluster.port import Kind

Observed = TypeVar("Observed")
Systems = TypeVar("Systems", contravariant=True)  # noqa: PLC0105 - the bundle is called Systems everywhere


class Room(Protocol[Observed, Systems]):
    """One kind's observe, decide and act."""

    kind: Kind

    async def observe(self, obj: Mapping[str, Any], systems: Systems) -> Observed:
        """Read what a decision about this object needs. Reads only; absence and failure become values."""
        ...

    def decide(self, observed: Observed, now: datetime) -> Plan:
        """Decide what to do. Pure and total: it raises for no object and no observation."""
        ...

    async def act(self, action: Action, obj: Mapping[str, Any], systems: Systems) -> Mapping[str, Any]:
        """Carry out one action of this kind (the cycle itself does those of `reconciling.plan`).

        Returns the newest known state of the object itself (unchanged if the action wrote something else), so
        that later writes of the cycle carry its resourceVersion.
        """
        ...


@runtime_checkable
class Remembers(Protocol):
    """A room that knows more of an object than its last status says: numbers are not written at each visit."""

    def newest(self, obj: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the object with what this process remembers of it in its status; for metrics, not to decide by."""
        ...

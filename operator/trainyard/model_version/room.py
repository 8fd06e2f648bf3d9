"""The ModelVersion's three verbs, as the core asks for them. Wired in `handlers`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trainyard.model_version.decide import decide
from trainyard.model_version.observe import observe
from trainyard.model_version.state import Observed
from trainyard.reconciling.plan import Action, Plan
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import MODEL_VERSION


class ModelVersionRoom:
    """Is this model what it says, and is it good enough."""

    kind = MODEL_VERSION

    async def observe(self, obj: Mapping[str, Any], systems: Systems) -> Observed:
        """See `observe`."""
        return await observe(obj, systems)

    def decide(self, observed: Observed, now: datetime) -> Plan:
        """See `decide`."""
        return decide(observed, now)

    async def act(
        self,
        action: Action,
        obj: Mapping[str, Any],  # noqa: ARG002 - the Room's signature
        systems: Systems,  # noqa: ARG002 - the Room's signature
    ) -> Mapping[str, Any]:
        """Refuse: a ModelVersion owns nothing, and the cycle itself writes its status and finalizer."""
        raise TypeError(f"a ModelVersion has no action of its own: {action!r}")

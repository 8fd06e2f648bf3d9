"""The TrainingRun's three verbs, as the core wants them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trainyard.reconciling.plan import Action, Plan
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import TRAINING_RUN
from trainyard.training_run.act import act
from trainyard.training_run.decide import decide
from trainyard.training_run.observe import observe
from trainyard.training_run.state import Observed


class TrainingRunRoom:
    """One run on an engine, from intent to outcome."""

    kind = TRAINING_RUN

    async def observe(self, obj: Mapping[str, Any], systems: Systems) -> Observed:
        """See the protocol."""
        return await observe(obj, systems)

    def decide(self, observed: Observed, now: datetime) -> Plan:
        """See the protocol."""
        return decide(observed, now)

    async def act(self, action: Action, obj: Mapping[str, Any], systems: Systems) -> Mapping[str, Any]:
        """See the protocol."""
        return await act(action, obj, systems)

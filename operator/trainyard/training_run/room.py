"""The TrainingRun's three verbs, as the core wants them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from trainyard.reconciling.plan import Action, Plan
from trainyard.reconciling.trying import Trying
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import TRAINING_RUN
from trainyard.training_run.act import act
from trainyard.training_run.decide import decide
from trainyard.training_run.ending import is_deleting
from trainyard.training_run.observe import observe
from trainyard.training_run.state import Observed


class TrainingRunRoom:
    """One run on an engine, from intent to outcome. `monotonic` is replaced in tests only."""

    kind = TRAINING_RUN

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._trying = Trying(monotonic)

    async def observe(self, obj: Mapping[str, Any], systems: Systems) -> Observed:
        """See the protocol."""
        seen = await observe(obj, systems)
        return replace(seen, tried=self._trying.seconds(seen.meta.uid)) if is_deleting(seen) else seen

    def decide(self, observed: Observed, now: datetime) -> Plan:
        """See the protocol."""
        return decide(observed, now)

    async def act(self, action: Action, obj: Mapping[str, Any], systems: Systems) -> Mapping[str, Any]:
        """See the protocol."""
        return await act(action, obj, systems)

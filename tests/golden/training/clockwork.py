"""A world of calendar days: only pipelines are visited, at the times they ask for; runs end when the story says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.golden.training.world import NAMESPACE, Killed, World
from trainyard import naming
from trainyard.reconciling.cycle import Cycle
from trainyard.resources.training_run import TrainingRun
from trainyard.systems.cluster.port import TRAINING_PIPELINE, TRAINING_RUN, ClusterError, Ref
from trainyard.training_pipeline import pruning

REGULAR_SECONDS = 600.0
RARELY_SECONDS = 6 * 3600.0  # for stories of days
PIPELINE = Ref(TRAINING_PIPELINE, NAMESPACE, "churn")


def day(text: str) -> datetime:
    """Read "2026-10-25 00:30", in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def nightly(cron: str = "0 2 * * *", **fields: Any) -> dict[str, Any]:
    """Return a schedule."""
    return {"name": "nightly", "cron": cron, **fields}


def by(*schedules: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    """Return the spec of a pipeline with schedules and no other trigger."""
    return {"triggers": {"schedules": list(schedules)}, **spec}


@dataclass
class Clockwork(World):
    """Runs end at once, unless they are told to stay busy. regular: seconds until a visit that nobody asked for."""

    busy: bool = False
    regular: float = REGULAR_SECONDS

    async def until(self, moment: datetime) -> None:
        """Let the operator work until then: it comes when it asked to, after changes, and regularly."""
        while True:
            before = self.cluster._version
            wait = await self._visit()
            if not self.busy:
                self.end_runs()
            if self.cluster._version != before:
                wait = 1.0
            if self.now >= moment:
                return
            self.now = min(self.now + timedelta(seconds=wait), moment)

    async def down_until(self, moment: datetime) -> None:
        """Let time pass without the operator, and start it."""
        self.now = moment
        self.say("the operator is back")
        await self.until(moment + timedelta(seconds=5))

    def end_runs(self) -> None:
        """Every run that is active succeeds now."""
        for obj in self.cluster.all(TRAINING_RUN):
            if not pruning.has_ended(TrainingRun.model_validate(obj)):
                told = {"type": "Succeeded", "status": "True", "reason": "Succeeded"}
                self.cluster.edit(_ref(obj), {"status": {"conditions": [told]}}, status=True)

    def edit(self, **spec: Any) -> None:
        """Change the pipeline's spec."""
        self.cluster.edit(PIPELINE, {"spec": spec})

    def by_event(self, number: int, **trigger: Any) -> Ref:
        """Create what the receiver creates for an event."""
        key = naming.event_key("/storage/", f"e{number}")
        why = {"type": "Event", "name": "new-data", "eventSource": "/storage/", "eventId": f"e{number}", **trigger}
        return self.run(naming.run_name("churn", "Event", "new-data", key), trigger=why)

    def slots(self) -> list[str]:
        """Return the slots that runs were ever created for, in order."""
        made = (w.body for w in self.cluster.writes if w.verb == "create" and w.ref.kind == TRAINING_RUN)
        return [f"{b['spec']['trigger'].get('name')} {b['spec']['trigger'].get('slot')}" for b in made]

    def status(self) -> dict[str, Any]:
        """Return the pipeline's status."""
        return dict(self.look(PIPELINE).get("status") or {})

    async def _visit(self) -> float:
        cycle = Cycle(self._rooms[TRAINING_PIPELINE], self.systems, self.cluster, self._record)
        try:
            outcome = await cycle.run(PIPELINE, self.now)
        except (ClusterError, Killed) as error:
            self.lines.append(f"{self._clock()}   cycle ends: {error or 'killed'}")
            return 1.0
        return min(outcome.revisit_after or self.regular, self.regular)

    def _clock(self) -> str:
        return self.now.strftime("%m-%d %H:%M:%S")


def _ref(obj: Mapping[str, Any]) -> Ref:
    return Ref(TRAINING_RUN, obj["metadata"]["namespace"], obj["metadata"]["name"])

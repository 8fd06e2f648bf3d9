"""What one trigger wants in one cycle, and what it looks at. Pure.

Each trigger answers for itself, by a tuple of rules in which the first answer wins; `decide` puts the answers together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from trainyard.reconciling.plan import Action, Note
from trainyard.resources.foreign import part
from trainyard.resources.training_pipeline import TrainingPipeline
from trainyard.resources.training_run import TrainingRun
from trainyard.resources.triggers import EventTriggerStatus, ScheduleStatus
from trainyard.training_pipeline import pruning
from trainyard.training_pipeline.moments import instant
from trainyard.training_pipeline.state import CancelRun, CreateRun, Observed

AGAIN_SECONDS = 15.0  # somebody else has to do something, and its event may be missed


@dataclass(frozen=True)
class Situation:
    """What a trigger looks at. started: a trigger before it starts a run in this very cycle."""

    seen: Observed
    pipeline: TrainingPipeline
    now: datetime
    started: bool = False


@dataclass(frozen=True)
class Turn:
    """What one trigger wants.

    reason, message: what it says about the pipeline. actions, notes, revisit_after: as in a plan. digest, schedule,
    event: its watermark afterwards, each for its kind of trigger. rule: the name of the rule that answered.
    """

    reason: str
    message: str = ""
    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()
    revisit_after: float | None = None
    digest: str | None = None
    schedule: ScheduleStatus | None = None
    event: EventTriggerStatus | None = None
    rule: str = ""

    @property
    def starts(self) -> bool:
        """Whether it creates a run."""
        return any(isinstance(action, CreateRun) for action in self.actions)


Case = TypeVar("Case")


def first(rules: Sequence[Callable[[Case], Turn | None]], case: Case) -> Turn:
    """Return the first rule's answer; the last rule always has one."""
    answers = ((rule.__name__, rule(case)) for rule in rules)
    return next(replace(turn, rule=name) for name, turn in answers if turn is not None)


def active(sit: Situation) -> tuple[TrainingRun, ...]:
    """Return the pipeline's runs that have not ended."""
    return tuple(r for r in sit.seen.runs if not pruning.has_ended(r))


def is_forbidden(sit: Situation) -> bool:
    """Whether concurrency Forbid lets no run start now."""
    return sit.pipeline.spec.concurrency == "Forbid" and (sit.started or bool(active(sit)))


def replaced(sit: Situation, since: datetime | None = None) -> tuple[TrainingRun, ...]:
    """Return the active runs that concurrency Replace gives up: those from before `since`, all where it is None.

    Two runs that become due in the same minute do not replace each other.
    """
    if sit.pipeline.spec.concurrency != "Replace":
        return ()
    return tuple(r for r in active(sit) if since is None or born(r) < since)


def cancelling(runs: Sequence[TrainingRun]) -> tuple[CancelRun, ...]:
    """Return the cancellation of those that nobody has cancelled yet."""
    return tuple(CancelRun(r.metadata.name) for r in runs if not r.spec.cancel)


def born(run: TrainingRun) -> datetime:
    """Return when the run was created."""
    return instant(run.metadata.creation_timestamp) or datetime.min.replace(tzinfo=UTC)


def is_same_run(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a run that bears the name of the wanted one was made for the same trigger key."""
    spec, trigger = part(found, "spec"), part(found, "spec", "trigger")
    asked = wanted["spec"]
    keys = all(trigger.get(key) == value for key, value in asked["trigger"].items())
    return keys and spec.get("pipeline") == asked["pipeline"]

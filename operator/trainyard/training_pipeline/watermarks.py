"""Which runs and which entries of status keep a trigger from starting the same thing twice. Pure.

The newest run of each trigger carries its watermark where status gets lost. Events have no order to compare by: their
keys are kept, the newest 500 of a trigger; what is older than the keys that went is refused by its time.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from trainyard import naming
from trainyard.resources.training_pipeline import TrainingPipelineStatus, Triggers
from trainyard.resources.training_run import TrainingRun
from trainyard.resources.triggers import EventTriggerStatus
from trainyard.training_pipeline import pruning
from trainyard.training_pipeline.moments import instant

KEYS = 500
HALF = KEYS // 2


def newest_of_schedule(runs: Iterable[TrainingRun], name: str) -> TrainingRun | None:
    """Return the run of a schedule's last slot."""
    mine = (r for r in runs if r.spec.trigger.type == "Schedule" and r.spec.trigger.name == name)
    return max(mine, key=lambda r: r.spec.trigger.slot or "", default=None)


def of_event(runs: Iterable[TrainingRun], name: str) -> list[TrainingRun]:
    """Return an event trigger's runs, the newest last."""
    mine = (r for r in runs if r.spec.trigger.type == "Event" and r.spec.trigger.name == name)
    return sorted(mine, key=pruning.age)


def key(run: TrainingRun) -> str:
    """Return what status keeps of a run's event."""
    trigger = run.spec.trigger
    return naming.event_hash(trigger.event_source or "", trigger.event_id or "")


def kept(
    runs: Sequence[TrainingRun], triggers: Triggers, before: TrainingPipelineStatus, digest: str | None
) -> set[str]:
    """Return the names of runs that no history limit removes: `digest` is the watermark of changes."""
    marks = {r.metadata.name for r in runs if digest and r.spec.trigger.inputs_digest == digest}
    newest = [newest_of_schedule(runs, s.name) for s in triggers.schedules]
    marks |= {r.metadata.name for r in newest if r is not None}
    for trigger in triggers.events:
        mine = of_event(runs, trigger.name)
        marks |= {r.metadata.name for r in mine[-1:]}
        marks |= {r.metadata.name for r in unknown(mine, entry_of(before, trigger.name))}
    return marks


def entry_of(before: TrainingPipelineStatus, name: str) -> EventTriggerStatus:
    """Return an event trigger's entry in status; an empty one where there is none."""
    return next((e for e in before.events if e.name == name), EventTriggerStatus(name=name))


def unknown(runs: Iterable[TrainingRun], entry: EventTriggerStatus) -> list[TrainingRun]:
    """Return the runs without which a redelivery of their event would be taken for new."""
    known, horizon = frozenset(entry.handled), instant(entry.horizon)
    return [r for r in runs if key(r) not in known and (horizon is None or _time(r) >= horizon)]


def handled(runs: Sequence[TrainingRun], name: str, before: TrainingPipelineStatus) -> EventTriggerStatus:
    """Return an event trigger's entry with the events of all runs that are there.

    A trigger that has runs and no entry has lost it, and with it the keys of runs that went: then what is older than
    the newest of them is refused.
    """
    entry, mine = entry_of(before, name), of_event(runs, name)
    if mine and entry not in before.events:
        keys = tuple(key(r) for r in mine)[-KEYS:]
        return EventTriggerStatus(name=name, handled=keys, horizon=_after(mine))
    new = tuple(key(r) for r in unknown(mine, entry))
    return _shortened(entry.model_copy(update={"handled": (*entry.handled, *new)}), mine)


def _shortened(entry: EventTriggerStatus, mine: Sequence[TrainingRun]) -> EventTriggerStatus:
    """Forget the older half of the keys once there are too many.

    How new those can be was noted when the newer half began, so the horizon trails by half a list at least, and an
    event that was long under way is not refused.
    """
    while len(entry.handled) > KEYS:
        rest = entry.handled[HALF:]
        entry = entry.model_copy(
            update={"handled": rest, "horizon": entry.next_horizon or _after(mine), "next_horizon": _after(mine)}
        )
    if len(entry.handled) >= HALF and entry.next_horizon is None and mine:
        return entry.model_copy(update={"next_horizon": _after(mine)})
    return entry


def _after(runs: Sequence[TrainingRun]) -> str:
    """Return the first whole second after all of their events."""
    last = max(_time(r) for r in runs)
    return (last.replace(microsecond=0) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(run: TrainingRun) -> datetime:
    """Return when the event happened, as it says, or came, whichever is later."""
    told = (instant(run.spec.trigger.event_time), instant(run.metadata.creation_timestamp))
    return max((t.astimezone(UTC) for t in told if t is not None), default=datetime.min.replace(tzinfo=UTC))

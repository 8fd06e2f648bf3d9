"""Events stay done: keys, horizon, and which runs no history limit removes."""

from datetime import timedelta
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.training.world import NOW
from trainyard import naming
from trainyard.resources.training_pipeline import TrainingPipelineStatus, Triggers
from trainyard.resources.training_run import TrainingRun
from trainyard.resources.triggers import EventTriggerStatus
from trainyard.training_pipeline import watermarks
from trainyard.training_pipeline.moments import instant
from trainyard.training_pipeline.watermarks import KEYS, handled, kept, unknown

TRIGGERS = Triggers.model_validate(
    {
        "schedules": [{"name": "nightly", "cron": "0 2 * * *"}],
        "events": [{"name": "new-data", "auth": {"kubernetes": {}}}],
    }
)


@cache
def event(number: int, **trigger: Any) -> TrainingRun:
    """The run of the n-th event, created n minutes after NOW."""
    why = {"type": "Event", "name": "new-data", "eventSource": "/s", "eventId": f"e{number}", **trigger}
    born = (NOW + timedelta(minutes=number)).isoformat()
    meta = {"name": f"run-{number:05d}", "creationTimestamp": born}
    return TrainingRun.model_validate({"metadata": meta, "spec": {"pipeline": "churn", "trigger": why}})


def key(number: int) -> str:
    return naming.hash10(naming.event_key("/s", f"e{number}"))


def status(entry: EventTriggerStatus | None = None) -> TrainingPipelineStatus:
    return TrainingPipelineStatus(observed_generation=1, events=(entry,) if entry else ())


def fresh() -> TrainingPipelineStatus:
    """The status of a pipeline whose trigger has been seen and has no event yet."""
    return status(EventTriggerStatus(name="new-data"))


def test_the_first_events() -> None:
    entry = handled([event(2), event(1)], "new-data", fresh())
    assert entry == EventTriggerStatus(name="new-data", handled=(key(1), key(2)))
    assert handled([event(2), event(1)], "new-data", status(entry)) == entry, "the same again changes nothing"
    assert handled([], "new-data", status(entry)) == entry, "and neither does pruning"
    assert handled([event(3)], "other", fresh()) == EventTriggerStatus(name="other")


def test_a_lost_entry_refuses_what_is_older_than_the_newest_run() -> None:
    entry = handled([event(1), event(2, eventTime="2026-11-24T09:00:00.5+01:00")], "new-data", status())
    assert entry.handled == (key(1), key(2))
    assert entry.horizon == "2026-11-24T08:00:01Z", "the first second after it, wherever its clock stands"


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=5, max_size=25))
def test_whatever_was_forgotten_is_refused_by_its_time(bursts: list[int]) -> None:
    """Runs come in bursts, and of each burst all but the last twenty runs are pruned."""
    before, number, alive = fresh(), 0, list[TrainingRun]()
    for burst in bursts:
        alive = [*alive[-20:], *(event(number + n) for n in range(burst))]
        number += burst
        before = status(handled(alive, "new-data", before))
        assert handled(alive, "new-data", before) == before.events[0], "it comes to rest at once"
    (entry,) = before.events
    assert len(entry.handled) <= KEYS
    new = unknown((event(n) for n in range(number + 1)), entry)
    assert new == [event(number)], "no redelivery is taken for new, and the next event is"
    if number > KEYS:
        horizon = instant(entry.horizon)
        assert horizon is not None
        late = horizon - NOW <= timedelta(minutes=number - KEYS // 2 + 90)
        assert late, "an event that was long under way is not refused"
    else:
        assert entry.horizon is None


def test_a_run_whose_time_cannot_be_read_is_old() -> None:
    odd = TrainingRun.model_validate(
        {"metadata": {"name": "odd"}, "spec": {"pipeline": "churn", "trigger": event(1).spec.trigger}}
    )
    assert unknown([odd], EventTriggerStatus(name="new-data", horizon="2026-01-01T00:00:00Z")) == []


def test_runs_that_carry_a_watermark_stay() -> None:
    entry = EventTriggerStatus(name="new-data", handled=(key(1), key(2)))
    runs = [event(1), event(2), event(3), event(4), slot("a", "01"), slot("b", "02"), slot("c", "03", "gone")]
    assert kept(runs, TRIGGERS, status(entry), None) == {"run-00003", "run-00004", "b"}
    done = EventTriggerStatus(name="new-data", handled=tuple(key(n) for n in range(5)))
    assert kept(runs, TRIGGERS, status(done), None) == {"run-00004", "b"}
    assert kept(runs, Triggers(), status(), None) == set()
    change = TrainingRun.model_validate(
        {
            "metadata": {"name": "changed"},
            "spec": {"pipeline": "churn", "trigger": {"type": "Change", "inputsDigest": f"sha256:{'0' * 64}"}},
        }
    )
    assert kept([change], Triggers(), status(), f"sha256:{'0' * 64}") == {"changed"}
    assert kept([change], Triggers(), status(), f"sha256:{'1' * 64}") == set()


def slot(name: str, hour: str, schedule: str = "nightly") -> TrainingRun:
    why = {"type": "Schedule", "name": schedule, "slot": f"2026-11-24T{hour}:00Z"}
    return TrainingRun.model_validate({"metadata": {"name": name}, "spec": {"pipeline": "churn", "trigger": why}})


def test_the_newest_of_a_schedule() -> None:
    runs = [slot("b", "02"), slot("c", "03", "other"), slot("a", "01")]
    newest = watermarks.newest_of_schedule(runs, "nightly")
    assert newest is not None
    assert newest.metadata.name == "b"
    assert watermarks.newest_of_schedule([], "nightly") is None

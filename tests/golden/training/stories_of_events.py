"""What events leave behind, and what they replace. Scenario 42; told by `test_schedules`."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from tests.golden.training.clockwork import PIPELINE, Clockwork, day

Story = Callable[[Clockwork], Awaitable[None]]

EVENTS = {"events": [{"name": "new-data", "auth": {"kubernetes": {}}}]}


async def events_are_noted_before_their_runs_go(w: Clockwork) -> None:
    w.now = day("2026-11-24 06:00")
    w.say("limits 1 and 1; five events")
    w.pipeline(triggers=EVENTS, history={"succeeded": 1, "failed": 1})
    await w.until(day("2026-11-24 06:01"))
    for number in range(5):
        w.by_event(number)
        w.now += timedelta(seconds=1)
    w.end_runs()
    await w.until(day("2026-11-24 06:10"))
    w.say("the status is lost, with the keys of what went: what is older than the last event will be refused")
    w.cluster.edit(PIPELINE, {"status": None}, status=True)
    await w.until(day("2026-11-24 06:20"))


async def events_replace_what_is_older(w: Clockwork) -> None:
    w.now, w.busy = day("2026-11-24 06:00"), True
    w.say("with Replace: a run by hand, then two events")
    w.pipeline(triggers=EVENTS, concurrency="Replace")
    w.run("by-hand")
    await w.until(day("2026-11-24 06:01"))
    for number in range(2):
        w.by_event(number)
        await w.until(w.now + timedelta(minutes=1))
    w.say("a run by hand stands beside a newer one")
    w.run("later")
    await w.until(day("2026-11-24 06:10"))


STORIES: tuple[Story, ...] = (events_are_noted_before_their_runs_go, events_replace_what_is_older)

"""Scenarios 57 and 58: every write of a whole Rollout is broken once, in each way that servers and networks know.

One process carries all of them beside a Rollout that nothing is done to. Broken is the first try of each write; the
next one passes, whether the first had been done or not.
"""

import asyncio
from collections import Counter

import pytest

from tests.rig.faults.breaking import answer, answer_after, cut_before, delay, lose_reply
from tests.rig.faults.judging import Told, assert_sound, belongs, play
from tests.rig.faults.proxy import Asked, Fault, Matches
from tests.rig.faults.stage import Stage
from tests.rig.faults.stories import aborted, promoted

pytestmark = [pytest.mark.rig, pytest.mark.timeout(900)]

EVERY: dict[str, Fault] = {
    "cut-before": cut_before,
    "reply-lost": lose_reply,
    "before-500": answer(500),
    "after-500": answer_after(500),
    "no-503": answer(503),
    "no-409": answer(409),
    "late": delay(0.2),
}


def first_tries(name: str, kinds: tuple[str, ...] = ()) -> Matches:
    """The first, third, … try of each write for this Rollout: what is tried again passes."""
    tries: Counter[tuple[str, str]] = Counter()

    def matches(asked: Asked) -> bool:
        if not asked.number or not belongs(asked, name) or asked.kind == "events":
            return False
        if kinds and f"{asked.kind}/{asked.subresource}".rstrip("/") not in kinds:
            return False
        tries[(asked.method, asked.path)] += 1
        return tries[(asked.method, asked.path)] % 2 == 1

    return matches


async def test_every_write_is_broken_once(stage: Stage) -> None:
    whole = await play(stage, promoted, "whole")
    rules = {name: stage.proxy.on(first_tries(name), fault, times=None) for name, fault in EVERY.items()}
    async with asyncio.TaskGroup() as group:
        broken = {name: group.create_task(play(stage, promoted, name)) for name in EVERY}
        beside = group.create_task(play(stage, promoted, "beside"))
    for name, task in broken.items():
        told: Told = task.result()
        assert rules[name].used >= 10, name
        assert (told.path, told.outcome) == (whole.path, whole.outcome), f"{name}: {stage.told()}"
        assert told.repeated <= whole.repeated, f"{name}: {told.writes.most_common(3)}"
    assert (beside.result().path, beside.result().outcome) == (whole.path, whole.outcome)
    assert_sound([stage])


def repeated(told: Told, name: str) -> int:
    """How many writes said what an earlier one had said. That the route is forbidden is told each time, in status."""
    beside = "/status " if name == "route-403" else None
    return sum(times - 1 for said, times in told.writes.items() if beside is None or beside not in said)


async def test_what_the_server_refuses_is_tried_again_without_a_restart(stage: Stage) -> None:
    """422 on status, 409 on the route, 403 and 429 on whatever comes: an abort gets through all of them."""
    whole = await play(stage, aborted, "whole")
    faults = {
        "status-422": (answer(422), ("rollouts/status",)),
        "route-409": (answer(409), ("httproutes",)),
        "route-403": (answer(403), ("httproutes",)),
        "busy": (answer(429, **{"Retry-After": "2"}), ("rollouts/status", "httproutes")),
    }
    for name, (fault, kinds) in faults.items():
        stage.proxy.on(first_tries(name, kinds), fault, times=None)
    async with asyncio.TaskGroup() as group:
        broken = {name: group.create_task(play(stage, aborted, name)) for name in faults}
    for name, task in broken.items():
        assert (task.result().path, task.result().outcome) == (whole.path, whole.outcome), f"{name}: {stage.told()}"
        assert repeated(task.result(), name) <= whole.repeated, name
    assert_sound([stage])

"""One query for all: how often Prometheus is asked, and that nobody sees more than the own part."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from trainyard.rollout import sharing as room
from trainyard.rollout.queries import Form
from trainyard.rollout.sharing import Sharing
from trainyard.rollout.sources import Subject
from trainyard.systems.prometheus.port import Answer, RangeAnswer, Sample

AT = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
ERRORS = Form("ModelServer", "ErrorRate", 20)
SLOW = Form("ModelServer", "LatencyP95", 20)


class Counting:
    """Answers every revision of every subject that it knows, and counts the queries."""

    def __init__(self, subjects: Sequence[Subject], failing: str = "nothing") -> None:
        self.subjects = subjects
        self.failing = failing
        self.asked: list[tuple[str, datetime | None]] = []
        self.at_once = 0

    async def query(self, expression: str, at: datetime | None = None) -> Answer:
        self.asked.append((expression, at))
        await asyncio.sleep(0)
        if self.failing in expression:
            return Answer(failure="away", warnings=("w",))
        samples = (
            Sample({"namespace": s.namespace, "rollout": s.rollout, "revision": r}, AT.timestamp(), float(n))
            for n, s in enumerate(self.subjects)
            for r in s.revisions
            if s.rollout in expression
        )
        return Answer(samples=tuple(samples), warnings=("partial",))

    async def query_range(self, expression: str, start: datetime, end: datetime, step_seconds: int) -> RangeAnswer:
        raise AssertionError("no range is asked here")


def subject(number: int, namespace: str = "team") -> Subject:
    return Subject(namespace, f"rollout-{number:04}", (f"{2 * number:010x}", f"{2 * number + 1:010x}"))


async def test_a_thousand_rollouts_make_two_queries_an_interval_and_form() -> None:
    many = [subject(n, f"team-{n % 7}") for n in range(1000)]
    prometheus, sharing = Counting(many), Sharing()
    for s in many:
        sharing.expect(ERRORS, s, AT)
    for interval in range(3):
        at = AT + timedelta(seconds=30 * interval)
        for batch in range(0, 1000, 10):  # ten workers
            asked = many[batch : batch + 10]
            told = await asyncio.gather(*(sharing.ask(prometheus, ERRORS, s, at) for s in asked))
            for n, (s, answer) in enumerate(zip(asked, told, strict=True)):
                assert answer.samples is not None
                assert [x.labels for x in answer.samples] == [{"revision": r} for r in s.revisions]
                assert {x.value for x in answer.samples} == {float(batch + n)}
                assert answer.warnings == ("partial",)
        assert len(prometheus.asked) == 2 * (interval + 1)
    assert max(len(text) for text, _ in prometheus.asked) < 1 << 17


async def test_newcomers_are_asked_for_at_once_and_with_the_rest_from_then_on() -> None:
    old, new = subject(1), subject(2)
    prometheus, sharing = Counting([old, new]), Sharing()
    await sharing.ask(prometheus, ERRORS, old, AT)
    assert (await sharing.ask(prometheus, ERRORS, new, AT)).samples
    assert len(prometheus.asked) == 2
    await sharing.ask(prometheus, ERRORS, old, AT + timedelta(seconds=30))
    assert (await sharing.ask(prometheus, ERRORS, new, AT + timedelta(seconds=30))).samples
    assert len(prometheus.asked) == 3


async def test_who_is_silent_is_no_longer_asked_for() -> None:
    here, gone = subject(1), subject(2)
    prometheus, sharing = Counting([here, gone]), Sharing()
    sharing.expect(ERRORS, gone, AT)
    for interval in range(6):
        await sharing.ask(prometheus, ERRORS, here, AT + timedelta(seconds=30 * interval))
    named = [gone.rollout in text for text, _ in prometheus.asked]
    assert named == [True] * room.REMEMBERED + [False] * 3


async def test_a_failing_form_disturbs_no_other() -> None:
    one = subject(1)
    prometheus, sharing = Counting([one], failing="histogram_quantile"), Sharing()
    failed, fine = await asyncio.gather(
        sharing.ask(prometheus, SLOW, one, AT), sharing.ask(prometheus, ERRORS, one, AT)
    )
    assert failed == Answer(failure="away", warnings=("w",))
    assert fine.samples


async def test_a_caller_that_is_cancelled_takes_nobodys_answer_along() -> None:
    one, two = subject(1), subject(2)
    prometheus, sharing = Counting([one, two]), Sharing()
    first = asyncio.create_task(sharing.ask(prometheus, ERRORS, one, AT))
    second = asyncio.create_task(sharing.ask(prometheus, ERRORS, two, AT))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second).samples
    assert len(prometheus.asked) == 1


async def test_what_the_same_moment_brings_joins_up_to_the_most() -> None:
    many = [subject(n) for n in range(room.MOST_SUBJECTS + 1)]
    prometheus, sharing = Counting(many), Sharing()
    told = await asyncio.gather(*(sharing.ask(prometheus, ERRORS, s, AT) for s in many))
    assert all(len(answer.samples or ()) == 2 for answer in told)
    assert len(prometheus.asked) == 2


async def test_forms_that_nobody_asks_are_forgotten() -> None:
    one = subject(1)
    prometheus, sharing = Counting([one]), Sharing()
    await sharing.ask(prometheus, SLOW, one, AT)
    await sharing.ask(prometheus, ERRORS, one, AT + room.FORGOTTEN + timedelta(seconds=1))
    assert set(sharing._groups) == {ERRORS}


async def test_a_namesake_in_another_namespace_sees_nothing_of_it() -> None:
    mine, theirs = subject(1, "mine"), subject(1, "theirs")
    prometheus, sharing = Counting([mine]), Sharing()
    told = await asyncio.gather(*(sharing.ask(prometheus, ERRORS, s, AT) for s in (mine, theirs)))
    assert told[0].samples
    assert told[1].samples == ()

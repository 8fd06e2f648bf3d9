"""One query for all Rollouts that ask the same: same form, same instant. Used by `asking`.

The first who asks at an instant asks for everybody who is known to want this form; the others find their part in
the answer. So a thousand Rollouts on one metric make two queries an interval, however many visits run at once, and
nobody waits for anybody. Parts are cut by what the series themselves say of namespace, Rollout and revision.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from trainyard.rollout.queries import Form, Key
from trainyard.rollout.sources import Subject
from trainyard.systems.prometheus.port import Answer, Prometheus, Sample

Told = TypeVar("Told")
MOST_SUBJECTS = 500  # of one query: two revisions each, so that the answer stays far below the client's limit of 1 MiB
REMEMBERED = 3  # so many instants of a form a Rollout may be silent before it is no longer asked for
KEPT = 2  # instants of a form whose answers are kept
FORGOTTEN = timedelta(hours=1)  # a form that nobody asks


@dataclass
class Batch(Generic[Told]):
    """One query: for whom, and its answer to come. It takes more subjects until it is sent."""

    subjects: set[Subject]
    sent: bool = False

    def send(self, ask: Callable[[Sequence[Subject]], Coroutine[Any, Any, Told]]) -> None:
        """Ask, in a moment."""
        self.task = asyncio.create_task(self._send(ask))

    async def _send(self, ask: Callable[[Sequence[Subject]], Coroutine[Any, Any, Told]]) -> Told:
        await asyncio.sleep(0)  # whoever runs at this moment may join
        self.sent = True
        return await ask(sorted(self.subjects, key=lambda s: (s.namespace, s.rollout, s.revisions)))

    async def told(self) -> Told:
        """Return the answer. Shielded: others who wait for it outlive a caller that is cancelled."""
        return await asyncio.shield(self.task)


def joined(
    batches: list[Batch[Told]],
    subject: Subject,
    others: Iterable[Subject],
    most: int,
    ask: Callable[[Sequence[Subject]], Coroutine[Any, Any, Told]],
) -> Batch[Told]:
    """Return the batch that asks for a subject: one that does, one that is not sent yet, else a new one.

    A new one asks for the others as well, as far as no batch does yet and there is room.
    """
    for batch in batches:
        if subject in batch.subjects or (not batch.sent and len(batch.subjects) < most):
            batch.subjects.add(subject)
            return batch
    there = {s for batch in batches for s in batch.subjects} | {subject}
    made: Batch[Told] = Batch({subject, *[s for s in others if s not in there][: most - 1]})
    made.send(ask)
    batches.append(made)
    return made


@dataclass(frozen=True)
class _Told:
    """An answer, and its samples by what they name."""

    answer: Answer
    found: Mapping[Key, tuple[Sample, ...]]


@dataclass
class _Group:
    """What is known of one form: who wants it and since which instant not, and the answers of the last instants."""

    touched: datetime
    turn: int = 0
    wanted: dict[Subject, int] = field(default_factory=dict)
    rounds: dict[datetime, list[Batch[_Told]]] = field(default_factory=dict)

    def round(self, at: datetime) -> list[Batch[_Told]]:
        """Return the queries of an instant; a new one lets the oldest go, and whoever has long been silent."""
        if at not in self.rounds:
            self.turn += 1
            self.rounds = dict([*self.rounds.items()][1 - KEPT :]) | {at: []}
            self.wanted = {s: turn for s, turn in self.wanted.items() if turn >= self.turn - REMEMBERED}
        return self.rounds[at]


class Sharing:
    """Who asks what, for as long as the process lives; losing it costs some queries."""

    def __init__(self) -> None:
        """Know nobody yet."""
        self._groups: dict[Form, _Group] = {}

    def expect(self, form: Form, subject: Subject, at: datetime) -> None:
        """Note that a Rollout will ask for this at that instant: the next query of the form asks for it as well."""
        group = self._groups.setdefault(form, _Group(at))
        group.touched = max(group.touched, at)
        group.wanted[subject] = group.turn

    async def ask(self, prometheus: Prometheus, form: Form, subject: Subject, at: datetime) -> Answer:
        """Return the subject's part of the answer; its samples have the revision as their only label. Never raises."""

        async def ask(subjects: Sequence[Subject]) -> _Told:
            answer = await prometheus.query(form.text(subjects), at)
            return _Told(answer, form.indexed(answer))

        self.expect(form, subject, at)
        self._forget(at)
        group = self._groups[form]
        told = await joined(group.round(at), subject, group.wanted, MOST_SUBJECTS, ask).told()
        if told.answer.samples is None:
            return told.answer
        return Answer(samples=form.part(told.found, subject), warnings=told.answer.warnings)

    def _forget(self, at: datetime) -> None:
        for form in [f for f, group in self._groups.items() if group.touched < at - FORGOTTEN]:
            del self._groups[form]

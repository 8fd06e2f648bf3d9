"""From a due key to a visit: the right cycle, what its failure means, and when the key may come again.

One object's failure is its own: it is logged once, counted, and backs off alone. Called by the queue, wired in
`running`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trainyard.reconciling.cycle import Cycle, Outcome
from trainyard.reconciling.errors import Failure, classify
from trainyard.reconciling.queue import Verdict
from trainyard.reconciling.tracking import Visit, Written, visiting
from trainyard.systems.cluster.port import Fenced, Kind, Ref

log = logging.getLogger(__name__)

SEEN_SECONDS = 5.0  # how long the stores are waited for after a write or a live read, before the next visit reads live
CYCLE_SECONDS = 300.0  # no client waits longer than its own timeouts; this ends a cycle that hangs all the same

# Objects and the resourceVersions at which they are known, "" where they are gone.
Known = Sequence[tuple[Ref, str]]
# Whether the stores know as much within so many seconds.
Seen = Callable[[Known, float], Awaitable[bool]]


@dataclass(frozen=True)
class Report:
    """What a visit was, for metrics, but for its events. failure is "" where it ended well."""

    key: Ref
    seconds: float
    failure: str
    writes: tuple[Written, ...]
    outcome: Outcome


@dataclass
class _Trouble:
    """How often in a row a key failed, and the last thing logged about it."""

    times: int = 0
    told: str = ""


@dataclass
class Worker:
    """Visits keys.

    visit_seconds: the regular visit's interval; jitter draws a factor around 1 for it. posted: is told the events.
    """

    cycles: Mapping[Kind, Cycle[Any]]
    now: Callable[[], datetime]
    seen: Seen
    visit_seconds: float
    jitter: Callable[[], float]
    report: Callable[[Report], None]
    posted: Callable[[Sequence[Written]], None]
    clock: Callable[[], float] = time.monotonic
    _troubles: dict[Ref, _Trouble] = field(default_factory=dict)
    _live: set[Ref] = field(default_factory=set)

    async def visit(self, key: Ref) -> Verdict:
        """Run the key's cycle. Never raises."""
        visit = Visit(live=key in self._live)
        self._live.discard(key)
        started = self.clock()
        outcome, failure = await self._run(key, visit)
        writes = tuple(visit.writes)
        word = failure.word if failure else ""
        self.report(Report(key, self.clock() - started, word, writes, outcome))
        after = self._after(key, outcome, failure)
        told = known(visit)
        return Verdict(after, (lambda: self._settle(key, told, outcome)) if told or outcome.tell else None)

    async def _run(self, key: Ref, visit: Visit) -> tuple[Outcome, Failure | None]:
        try:
            with visiting(visit):
                async with asyncio.timeout(CYCLE_SECONDS):
                    outcome = await self.cycles[key.kind].carry_out(key, self.now())
        except Exception as error:  # noqa: BLE001 - one object's failure, whatever it is, must not hurt another
            failure = classify(error)
            self._tell(key, failure, error)
            return Outcome(), failure
        self._troubles.pop(key, None)
        return outcome, None

    def _tell(self, key: Ref, failure: Failure, error: Exception) -> None:
        """Log a failure where it is another than the last one of this object."""
        trouble = self._troubles.setdefault(key, _Trouble())
        trouble.times += 1
        text = f"{failure.word}: {error!r}"
        if text == trouble.told:
            return
        trouble.told = text
        level = logging.DEBUG if failure.moved else logging.ERROR if failure.ours else logging.WARNING
        where = f"{key.kind.kind} {key.namespace}/{key.name}"
        log.log(level, "%s: %s", where, text, exc_info=error if failure.ours else None)

    def _after(self, key: Ref, outcome: Outcome, failure: Failure | None) -> float | None:
        if failure:
            # A write may have happened without an answer, or the store is behind: look at the truth next time.
            self._live.add(key)
            return failure.delay(self._troubles[key].times, self.jitter())
        if outcome.gone:
            return None
        regular = self.visit_seconds * self.jitter()
        return regular if outcome.revisit_after is None else min(outcome.revisit_after, regular)

    async def _settle(self, key: Ref, known: Known, outcome: Outcome) -> None:
        """Post the events, and wait meanwhile until the stores know what this visit knew. Never raises."""
        both = (self.seen(known, SEEN_SECONDS), self._tell_people(key, outcome))
        seen, told = await asyncio.gather(*both, return_exceptions=True)
        for error in (seen, told):
            if isinstance(error, Exception):
                log.error(
                    "after a visit of %s %s/%s: %r", key.kind.kind, key.namespace, key.name, error, exc_info=error
                )
        if seen is not True:
            self._live.add(key)

    async def _tell_people(self, key: Ref, outcome: Outcome) -> None:
        if outcome.tell is None:
            return
        with visiting(Visit()) as telling:
            try:
                await outcome.tell()
            except Fenced as error:
                log.warning("events of %s were not posted: %s", key.name, error)
        self.posted(telling.writes)


def known(visit: Visit) -> Known:
    """Return what the stores have to know before they are read again: the writes, and what was read live."""
    return tuple((visit.read | {write.ref: write.resource_version for write in visit.writes}).items())

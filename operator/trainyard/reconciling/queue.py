"""The keyed queue: one visit per object at a time, however often and whenever it is woken.

`Schedule` is the pure part: which key is due when. `Queue` runs it on asyncio with a bounded number of visits.
A visit that waits for a slow outside system soon gives up its place: an engine that hangs must not keep an abort of
traffic waiting. Times are seconds on the monotonic clock. Filled by `handlers`, worked by `worker`.
"""

import asyncio
import heapq
import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

AGAIN_SECONDS = 5.0  # after a visit that raised, which none should

Key = TypeVar("Key", bound=Hashable)

SLOW_SECONDS = 2.0  # a visit that takes longer goes on without a place
VISITS_PER_PLACE = 20  # so many visits may be under way for each place, those without one among them


@dataclass(frozen=True)
class Verdict:
    """What a visit asks for: `after` seconds until the next (None: forget the key until it is woken).

    settle: awaited before the key may be visited again, outside the bound on visits.
    """

    after: float | None
    settle: Callable[[], Awaitable[None]] | None = None


@dataclass
class _Entry:
    due: float | None = None
    running: bool = False


@dataclass
class Schedule(Generic[Key]):
    """When each key is due. A key that is woken while it runs becomes due as soon as it is done."""

    _entries: dict[Key, _Entry] = field(default_factory=dict)
    _heap: list[tuple[float, int, Key]] = field(default_factory=list)
    _count: int = 0

    def wake(self, key: Key, at: float) -> None:
        """Make the key due at this time, or leave it due earlier."""
        entry = self._entries.setdefault(key, _Entry())
        if entry.due is not None and entry.due <= at:
            return
        entry.due = at
        if not entry.running:
            self._push(key, at)

    def take(self, now: float) -> Key | None:
        """Return a due key that does not run, longest due first, and mark it as running."""
        if not self._heap or self.next_due() is None or self._heap[0][0] > now:
            return None
        key = heapq.heappop(self._heap)[2]
        self._entries[key].running = True
        self._entries[key].due = None
        return key

    def done(self, key: Key, due: float | None) -> None:
        """End a key's visit; it is due again at that time or when it was woken meanwhile, else forgotten."""
        entry = self._entries[key]
        entry.running = False
        times = [t for t in (due, entry.due) if t is not None]
        if times:
            entry.due = min(times)
            self._push(key, entry.due)
        else:
            del self._entries[key]

    def next_due(self) -> float | None:
        """Return when the next waiting key is due."""
        while self._heap and self._is_stale(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def waiting(self, now: float) -> int:
        """Return how many keys are due and do not run: the depth of the queue."""
        return sum(1 for e in self._entries.values() if not e.running and e.due is not None and e.due <= now)

    def __len__(self) -> int:
        """Return how many keys are known."""
        return len(self._entries)

    def _push(self, key: Key, due: float) -> None:
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, key))

    def _is_stale(self, due: float, _: int, key: Key) -> bool:
        """Whether a heap item was overtaken by an earlier wake-up, a visit or the key's end."""
        entry = self._entries.get(key)
        return entry is None or entry.running or entry.due != due


class Queue(Generic[Key]):
    """Visits due keys: at most `limit` that began less than `slow` seconds ago, and VISITS_PER_PLACE times as many
    in all. A visit or a settling that raises all the same is told to the log.
    """

    def __init__(
        self,
        visit: Callable[[Key], Awaitable[Verdict]],
        limit: int,
        clock: Callable[[], float] = time.monotonic,
        slow: float = SLOW_SECONDS,
    ) -> None:
        self.schedule: Schedule[Key] = Schedule()
        self._visit = visit
        self._limit = limit
        self._clock = clock
        self._slow = slow
        self._placed: set[Key] = set()  # those that hold a place
        self._visited: set[Key] = set()  # those, and the slow ones
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self, key: Key, after: float = 0.0) -> None:
        """Visit the key in `after` seconds at the latest."""
        self.schedule.wake(key, self._clock() + after)
        self._changed.set()

    def depth(self) -> int:
        """Return how many keys are due and wait for a free place; a slow visit without one waits for nothing here."""
        return self.schedule.waiting(self._clock())

    async def run(self) -> None:
        """Work until cancelled. Running visits are left to `drain`."""
        while True:
            self._changed.clear()
            self._start_due()
            await self._until_changed_or_due()

    async def drain(self, seconds: float) -> bool:
        """Wait for the running visits; cancel those that take longer. True if none had to be."""
        if not self._tasks:
            return True
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return not late

    def _start_due(self) -> None:
        while self._has_place():
            key = self.schedule.take(self._clock())
            if key is None:
                return
            self._placed.add(key)
            self._visited.add(key)
            task = asyncio.create_task(self._work(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _has_place(self) -> bool:
        return len(self._placed) < self._limit and len(self._visited) < VISITS_PER_PLACE * self._limit

    def _give_place(self, key: Key) -> None:
        self._placed.discard(key)
        self._changed.set()

    async def _until_changed_or_due(self) -> None:
        due = self.schedule.next_due() if self._has_place() else None
        wait = None if due is None else max(0.0, due - self._clock())
        try:
            async with asyncio.timeout(wait):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _work(self, key: Key) -> None:
        after: float | None = AGAIN_SECONDS
        try:
            after = await self._visit_and_settle(key)
        except Exception:  # one key's mistake, whatever it is, must not end the others' queue
            log.exception("the visit of %s did not end as it should", key)
        finally:  # whatever happened: a key that counts as running is never visited again
            self.schedule.done(key, None if after is None else self._clock() + after)
            self._changed.set()

    async def _visit_and_settle(self, key: Key) -> float | None:
        """Return after how many seconds the next visit is due; None where the key may be forgotten."""
        slow = asyncio.get_running_loop().call_later(self._slow, self._give_place, key)
        try:
            verdict = await self._visit(key)
        finally:
            slow.cancel()
            self._visited.discard(key)
            self._give_place(key)
        if verdict.settle:
            await verdict.settle()
        return verdict.after

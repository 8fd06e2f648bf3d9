"""The benchmark itself: what is done in which order, and what of it is measured. Used by `__main__`."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import figures, objects
from bench.apiserver import audit_lines
from bench.figures import Request
from bench.process import LEASE_NAME, USER, OperatorProcess
from bench.progress import Progress
from bench.store import Loopback
from bench.world import World
from local.rig import ApiServerRig

PATIENCE_SECONDS = 60.0
PATIENCE_PER_ROLLOUT_SECONDS = 0.3
QUIET_SECONDS = 2.0  # before something is measured for all
CALM_SECONDS = 0.5  # around one step: longer than any visit takes
FLYING_SECONDS = 15.0  # three measurements of each canary
FIRST, SECOND = objects.LADDER


class BenchFailed(RuntimeError):
    """Something did not come about in time, or the operator ended; `str()` says what."""


@dataclass(frozen=True)
class Plan:
    """How much is measured. changes: single changes of a spec, one after the other. steps: as many steps alone."""

    rollouts: int
    changes: int
    steps: int
    idle_seconds: float


@dataclass(frozen=True)
class Stretch:
    """Some time, what the operator asked the API server and Prometheus in it, and the processor time it took."""

    seconds: float
    cpu_seconds: float
    requests: list[Request]
    queries: int


@dataclass(frozen=True)
class Results:
    """What was measured, times in seconds. steps: the requests of each.

    recovery: from the kill to the last weight; led_again: from the kill until another process leads.
    """

    idle: Stretch
    single: list[float]
    steps: list[list[Request]]
    burst: float
    flying: Stretch
    rss_mb: float
    recovery: float
    led_again: float


class Bench:
    """One run over one API server and one operator."""

    def __init__(
        self,
        plan: Plan,
        rig: ApiServerRig,
        world: World,
        loopback: Loopback,
        operator: OperatorProcess,
        progress: Progress,
    ) -> None:
        self._plan, self._rig, self._world, self._operator = plan, rig, world, operator
        self._loopback = loopback
        self._progress = progress
        self._names = objects.names(plan.rollouts)
        self._patience = PATIENCE_SECONDS + PATIENCE_PER_ROLLOUT_SECONDS * plan.rollouts

    async def run(self) -> Results:
        """Measure everything. Raises BenchFailed."""
        await self._serve_first()
        idle = await self._rest()
        single = await self._single_changes()
        steps = await self._steps()
        burst = await self._burst()
        flying = await self._fly()
        rss_mb = self._operator.resident_mb()
        recovery, led_again = await self._recover()
        return Results(idle, single, steps, burst, flying, rss_mb, recovery, led_again)

    # ---- the parts ----

    async def _serve_first(self) -> None:
        """Make the versions, then the Rollouts; wait until the first version of each serves."""
        self._progress.part(f"{self._plan.rollouts} Rollouts with two versions each, until the first ones serve")
        versions = [(name, number) for name in self._names for number in (1, 2)]
        await _together(self._world.make(objects.model_version(*version)) for version in versions)
        await self._all(self._judged(objects.version_name(*version)) for version in versions)
        await _together(self._world.make(objects.rollout(name)) for name in self._names)
        await self._all(self._resting(name, 1) for name in self._names)

    async def _rest(self) -> Stretch:
        """Watch the operator while nothing happens."""
        await self._quiet(QUIET_SECONDS)
        self._progress.part(f"idle for {self._plan.idle_seconds:.0f} s")
        return await self._watched(self._plan.idle_seconds)

    async def _single_changes(self) -> list[float]:
        """Change one Rollout at a time; go back to the first version before the next change."""
        self._progress.part(f"{self._plan.changes} single changes, one after the other")
        took = []
        for name in itertools.islice(itertools.cycle(self._names), self._plan.changes):
            first_weight = self._weighing(name, FIRST)
            began = time.monotonic()
            await self._world.pin(name, 2)
            (moment,) = await self._all([first_weight])
            took.append(moment - began)
            await self._all([self._settled(name, FIRST)])
            await self._back(name)
        return took

    async def _steps(self) -> list[list[Request]]:
        """Move one canary at a time a step on, which changes nothing but its weight; all others rest."""
        self._progress.part(f"{self._plan.steps} steps from {FIRST} % to {SECOND} %, one after the other")
        found = []
        for name in self._names[: self._plan.steps]:
            await self._world.pin(name, 2)
            await self._all([self._settled(name, FIRST)])
            await self._quiet(CALM_SECONDS)
            mark = self._mark()
            await self._world.promote(name, "alone")
            await self._all([self._settled(name, SECOND)])
            await self._quiet(CALM_SECONDS)
            found.append([r for r in self._requests(mark) if r.is_work])
            await self._back(name)
        return found

    async def _back(self, name: str) -> None:
        await self._world.pin(name, 1)
        await self._all([self._resting(name, 1)])

    async def _burst(self) -> float:
        """Change all at once."""
        await self._quiet(QUIET_SECONDS)
        self._progress.part(f"all {self._plan.rollouts} changed at once")
        first_weights = [self._weighing(name, FIRST) for name in self._names]
        began = time.monotonic()
        await _together(self._world.pin(name, 2) for name in self._names)
        last = max(await self._all(first_weights))
        await self._all(self._settled(name, FIRST) for name in self._names)
        return last - began

    async def _fly(self) -> Stretch:
        """Watch the operator while it measures every canary in its rhythm."""
        self._progress.part(f"{self._plan.rollouts} canaries in flight, measured for {FLYING_SECONDS:.0f} s")
        return await self._watched(FLYING_SECONDS)

    async def _recover(self) -> tuple[float, float]:
        """Kill the operator with all canaries in flight, ask for the next step of each, and start it again."""
        self._progress.part(f"SIGKILL with {self._plan.rollouts} canaries in flight, each with a step to take")
        world, before = self._world, self._world.leader()
        moved = [self._weighing(name, SECOND) for name in self._names]
        led = world.when(LEASE_NAME, lambda: world.leader() not in {"", before})
        killed = time.monotonic()
        await self._operator.kill()
        await self._operator.start()
        await _together(world.promote(name, "after-the-kill") for name in self._names)
        (leading,) = await self._all([led])
        last = max(await self._all(moved))
        return last - killed, leading - killed

    # ---- looking ----

    async def _watched(self, seconds: float) -> Stretch:
        """Return what the operator does meanwhile."""
        mark, queries, cpu = self._mark(), self._loopback.queries, self._operator.cpu_seconds()
        began = time.monotonic()
        await asyncio.sleep(seconds)
        took, cpu_took = time.monotonic() - began, self._operator.cpu_seconds() - cpu
        return Stretch(took, cpu_took, self._requests(mark), self._loopback.queries - queries)

    def _mark(self) -> int:
        """Return a place in the audit log, to read from later."""
        return self._rig.audit_log.stat().st_size

    def _requests(self, mark: int) -> list[Request]:
        """Return the operator's requests since a mark."""
        return figures.requests(audit_lines(self._rig, mark), USER)

    # ---- waiting ----

    def _judged(self, version: str) -> "asyncio.Future[float]":
        return self._world.when(version, lambda: self._world.is_ready(version))

    def _weighing(self, name: str, weight: int) -> "asyncio.Future[float]":
        return self._world.when(name, lambda: self._world.weighs(name, weight))

    def _settled(self, name: str, weight: int) -> "asyncio.Future[float]":
        return self._world.when(name, lambda: self._world.is_settled(name, weight))

    def _resting(self, name: str, number: int) -> "asyncio.Future[float]":
        return self._world.when(name, lambda: self._world.rests(name, number))

    async def _all(self, moments: "Iterable[asyncio.Future[float]]") -> list[float]:
        """Return the moments once all have come. Raises BenchFailed."""
        futures = list(moments)
        try:
            async with asyncio.timeout(self._patience):
                return [await future for future in futures]
        except TimeoutError:
            missing = sum(not future.done() for future in futures)
            raise BenchFailed(self._told(f"{missing} of {len(futures)} not within {self._patience:.0f} s")) from None

    async def _quiet(self, seconds: float) -> None:
        """Return once the operator has asked nothing about objects for so long. Raises BenchFailed."""
        deadline = time.monotonic() + self._patience
        while True:
            mark = self._mark()
            await asyncio.sleep(seconds)
            if not any(r.is_work for r in self._requests(mark)):
                return
            if time.monotonic() > deadline:
                raise BenchFailed(self._told(f"it is not at rest after {self._patience:.0f} s"))

    def _told(self, problem: str) -> str:
        state = "runs" if self._operator.is_running else "has ended"
        return (
            f"{self._progress.running}: {problem}. The operator {state}; its log ends:\n{self._operator.last_words()}"
        )


async def _together(calls: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*calls)


@asynccontextmanager
async def opened(plan: Plan, rig: ApiServerRig, progress: Progress) -> AsyncIterator[Bench]:
    """Start the world, the scripted servers and the operator; all of them end with the block."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(World(rig.kubeconfig))
        loopback = await stack.enter_async_context(Loopback(world.share))
        log = Path(rig.folder) / "operator.log"
        operator = await stack.enter_async_context(OperatorProcess(rig, loopback.url, log))
        yield Bench(plan, rig, world, loopback, operator, progress)

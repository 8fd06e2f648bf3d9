"""The benchmark itself: what is done in which order, and what of it is measured. Used by `__main__`."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench import figures, objects
from bench.apiserver import audit_lines
from bench.figures import Request
from bench.objects import NAMESPACE
from bench.process import OperatorProcess
from bench.progress import Progress
from bench.store import Loopback
from bench.tools import Edit, Tool
from bench.world import World
from local.rig import ApiServerRig
from trainyard.systems.cluster.port import Ref

PATIENCE_SECONDS = 90.0
PATIENCE_PER_ROLLOUT_SECONDS = 0.6
QUIET_SECONDS = 2.0  # before something is measured for all
CALM_SECONDS = 0.4  # around one change: longer than any visit takes
FIRST, SECOND = objects.LADDER
LEFT_LYING_SECONDS = 10.0  # without any request, while something is still to be done


class BenchFailed(RuntimeError):
    """Something did not come about in time, or the operator ended; `str()` says what."""


@dataclass(frozen=True)
class Plan:
    """How much is measured. changes: single changes of a spec, one after the other. steps: as many steps alone.

    flying_seconds: how long it is watched with all canaries in flight.
    """

    rollouts: int
    changes: int
    steps: int
    idle_seconds: float
    flying_seconds: float = 20.0


@dataclass(frozen=True)
class Stretch:
    """Some time, what the operator asked the API server and Prometheus in it, and the processor time it took."""

    seconds: float
    cpu_seconds: float
    requests: list[Request]
    queries: int


@dataclass(frozen=True)
class Results:
    """What was measured, times in seconds. steps: the requests of each. burst_requests: until all had settled.

    recovery: from the kill to the last weight; led_again: from the kill until another process leads. touched: how
    often a Rollout was left lying and had to be touched.
    """

    idle: Stretch
    single: list[float]
    steps: list[list[Request]]
    burst: float
    burst_stretch: Stretch
    flying: Stretch
    rss_mb: float
    recovery: float
    led_again: float
    touched: int


class Awaited(NamedTuple):
    """Something about a Rollout, or the Lease, that is to come."""

    about: str
    moment: asyncio.Future[float]


class Bench:
    """One run of one tool over one API server."""

    def __init__(
        self,
        plan: Plan,
        tool: Tool,
        rig: ApiServerRig,
        world: World,
        loopback: Loopback,
        operator: OperatorProcess,
        progress: Progress,
    ) -> None:
        self._plan, self._tool, self._rig, self._world, self._operator = plan, tool, rig, world, operator
        self._loopback = loopback
        self._progress = progress
        self._names = objects.names(plan.rollouts)
        self._touched = 0
        self._patience = PATIENCE_SECONDS + PATIENCE_PER_ROLLOUT_SECONDS * plan.rollouts

    async def run(self) -> Results:
        """Measure everything. Raises BenchFailed."""
        await self._serve_first()
        await self._as_measured()
        idle = await self._rest()
        single = await self._single_changes()
        steps = await self._steps()
        burst, burst_stretch = await self._burst()
        flying = await self._fly()
        rss_mb = self._operator.resident_mb()
        recovery, led_again = await self._recover()
        return Results(idle, single, steps, burst, burst_stretch, flying, rss_mb, recovery, led_again, self._touched)

    # ---- the parts ----

    async def _serve_first(self) -> None:
        """Make what comes first, then the Rollouts; wait until the first version of each serves."""
        tool, world = self._tool, self._world
        self._progress.part(f"{self._plan.rollouts} Rollouts, until the first version of each serves")
        await world.make(tool.ahead(self._names, self._loopback.url))
        await self._all(self._prepared(name) for name in self._names)
        await world.make(tool.rollouts(self._names))
        await self._all(self._resting(name, 1) for name in self._names)

    async def _as_measured(self) -> None:
        """Start the operator anew as it is to be measured, where it was started otherwise; wait until it leads."""
        if self._tool.setup(self._rig, self._loopback.url) is None:
            return
        self._progress.part("a new start, as it is to be measured")
        await self._quiet(QUIET_SECONDS)
        led = self._led_by_another()
        await self._operator.kill()
        self._operator.command = self._tool.command(self._rig, self._loopback.url)
        await self._operator.start()
        await self._all([led])

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
            await self._quiet(CALM_SECONDS)
            first_weight = self._weighing(name, FIRST)
            began = time.monotonic()
            await self._world.edit([self._tool.pin(name, 2)])
            (moment,) = await self._all([first_weight])
            took.append(moment - began)
            await self._all([self._settled(name, FIRST)])
            await self._quiet(CALM_SECONDS)
            await self._back(name)
        return took

    async def _steps(self) -> list[list[Request]]:
        """Move one canary at a time a step on, which changes nothing but its weight; all others rest."""
        self._progress.part(f"{self._plan.steps} steps from {FIRST} % to {SECOND} %, one after the other")
        found = []
        for name in self._names[-self._plan.steps :]:
            await self._world.edit([self._tool.pin(name, 2)])
            await self._all([self._settled(name, FIRST)])
            await self._quiet(CALM_SECONDS)
            mark = self._mark()
            await self._world.edit([self._tool.promote(name, "alone")])
            await self._all([self._settled(name, SECOND)])
            await self._quiet(CALM_SECONDS)
            found.append([r for r in self._requests(mark) if r.is_work])
            await self._back(name)
        return found

    async def _back(self, name: str) -> None:
        await self._world.edit([self._tool.pin(name, 1)])
        await self._all([self._resting(name, 1)])

    async def _burst(self) -> tuple[float, Stretch]:
        """Change all at once. Return the time until the last has weight, and the whole of it until all have settled."""
        await self._quiet(QUIET_SECONDS)
        self._progress.part(f"all {self._plan.rollouts} changed at once")
        first_weights = [self._weighing(name, FIRST) for name in self._names]
        watch = self._watching()
        began = time.monotonic()
        await self._world.edit(self._tool.pin(name, 2) for name in self._names)
        last = max(await self._all(first_weights))
        await self._all(self._settled(name, FIRST) for name in self._names)
        return last - began, watch()

    async def _fly(self) -> Stretch:
        """Watch the operator while it measures every canary in its rhythm."""
        seconds = self._plan.flying_seconds
        self._progress.part(f"{self._plan.rollouts} canaries in flight, watched for {seconds:.0f} s")
        return await self._watched(seconds)

    async def _recover(self) -> tuple[float, float]:
        """Kill the operator with all canaries in flight, ask for the next step of each, and start it again."""
        self._progress.part(f"SIGKILL with {self._plan.rollouts} canaries in flight, each with a step to take")
        moved = [self._weighing(name, SECOND) for name in self._names]
        led = self._led_by_another()
        killed = time.monotonic()
        await self._operator.kill()
        await self._operator.start()
        await self._world.edit(self._tool.promote(name, "after-the-kill") for name in self._names)
        (leading,) = await self._all([led])
        last = max(await self._all(moved))
        return last - killed, leading - killed

    # ---- looking ----

    async def _watched(self, seconds: float) -> Stretch:
        """Return what the operator does meanwhile."""
        watch = self._watching()
        await asyncio.sleep(seconds)
        return watch()

    def _watching(self) -> Callable[[], Stretch]:
        """Begin to watch; what is returned tells what the operator did until it is called."""
        mark, queries, cpu, began = self._mark(), self._loopback.queries, self._cpu_seconds(), time.monotonic()

        def until_now() -> Stretch:
            took, cpu_took = time.monotonic() - began, self._cpu_seconds() - cpu
            return Stretch(took, cpu_took, self._requests(mark), self._loopback.queries - queries)

        return until_now

    def _cpu_seconds(self) -> float:
        return self._operator.cpu_seconds()

    def _mark(self) -> int:
        """Return a place in the audit log, to read from later."""
        return self._rig.audit_log.stat().st_size

    def _requests(self, mark: int) -> list[Request]:
        """Return the operator's requests since a mark."""
        return figures.requests(audit_lines(self._rig, mark), self._tool.user)

    def _is_working(self, mark: int) -> bool:
        return figures.is_working(audit_lines(self._rig, mark), self._tool.user)

    # ---- waiting ----

    def _prepared(self, name: str) -> Awaited:
        return self._when(name, lambda: self._tool.is_prepared(self._world, name))

    def _weighing(self, name: str, weight: int) -> Awaited:
        return self._when(name, lambda: self._tool.weight(self._world, name) == weight)

    def _settled(self, name: str, weight: int) -> Awaited:
        return self._when(name, lambda: self._tool.is_settled(self._world, name, weight))

    def _resting(self, name: str, number: int) -> Awaited:
        return self._when(name, lambda: self._tool.rests(self._world, name, number))

    def _led_by_another(self) -> Awaited:
        before = self._world.leader()
        return self._when(self._tool.lease, lambda: self._world.leader() not in {"", before})

    def _when(self, about: str, holds: Callable[[], bool]) -> Awaited:
        return Awaited(about, self._world.when(about, holds))

    async def _all(self, awaited: Iterable[Awaited]) -> list[float]:
        """Return the moments once all have come; Rollouts that are left lying are touched. Raises BenchFailed."""
        missing = all_of_them = list(awaited)
        deadline, mark = time.monotonic() + self._patience, self._mark()
        while True:
            await asyncio.wait([one.moment for one in missing], timeout=LEFT_LYING_SECONDS)
            missing = [one for one in missing if not one.moment.done()]
            if not missing:
                return [one.moment.result() for one in all_of_them]
            if time.monotonic() > deadline or not self._operator.is_running:
                names = ", ".join(one.about for one in missing[:3])
                raise BenchFailed(self._told(f"{len(missing)} not within {self._patience:.0f} s: {names}"))
            if not self._is_working(mark):
                await self._touch([one.about for one in missing if one.about != self._tool.lease])
            mark = self._mark()

    async def _touch(self, names: Sequence[str]) -> None:
        """Edit the Rollouts among these that are there, without changing anything: a lost one is looked at again."""
        self._touched += len(names)
        mark = {"metadata": {"annotations": {"bench/touched": str(self._touched)}}}
        edits = [Edit(Ref(self._tool.rollout, objects.NAMESPACE, name), mark) for name in names]
        await self._world.edit(edit for edit in edits if self._world.get(edit.ref.kind, edit.ref.name))

    async def _quiet(self, seconds: float) -> None:
        """Return once the operator has asked nothing about objects for so long. Raises BenchFailed."""
        deadline = time.monotonic() + self._patience
        while True:
            mark = self._mark()
            await asyncio.sleep(seconds)
            if not self._is_working(mark):
                return
            if time.monotonic() > deadline:
                raise BenchFailed(self._told(f"it is not at rest after {self._patience:.0f} s"))

    def _told(self, problem: str) -> str:
        state = "runs" if self._operator.is_running else "has ended"
        return (
            f"{self._progress.running}: {problem}. The operator {state}; its log ends:\n{self._operator.last_words()}"
        )


@asynccontextmanager
async def opened(plan: Plan, tool: Tool, rig: ApiServerRig, progress: Progress) -> AsyncIterator[Bench]:
    """Start the world, the scripted servers and the operator; all of them end with the block."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(World(rig.kubeconfig, tool))
        loopback = await stack.enter_async_context(
            Loopback(NAMESPACE, lambda name, of: tool.share(world, name, of), lambda name: tool.revisions(world, name))
        )
        log = Path(rig.folder) / "operator.log"
        command = tool.setup(rig, loopback.url) or tool.command(rig, loopback.url)
        operator = await stack.enter_async_context(OperatorProcess(command, log))
        yield Bench(plan, tool, rig, world, loopback, operator, progress)

"""One Rollout against a world that does anything at any time, as a state machine for hypothesis.

Safety is checked at every write by `tests.golden.rollout.world`: weights sum to 100, none is above what status
allows, and none goes to a revision without ready pods. Liveness is checked at the end: once the world is well again,
the Rollout comes to rest with all traffic on one ready revision, and writes nothing more; or somebody deletes it as it
stands, and it goes as its policy says.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.golden.rollout.manifests import NAMESPACE, rollout, version
from tests.golden.rollout.stories_of_strategies import on_gpus
from tests.golden.rollout.world import KEY, ROUTE, World
from tests.model.lagging import Lagging
from tests.model.specs import BRANCHES, COMPARED, LADDERS, MEASURED, STRATEGIES
from trainyard.systems.cluster import port
from trainyard.systems.cluster.port import Conflict, Ref, Unavailable
from trainyard.systems.prometheus.port import Answer

Result = TypeVar("Result")
# What follows an event: nothing, the operator's visit, a turn of everybody, or some time in which all go on.
Then = Literal["", "visit", "turn", "time"]
THEN = ("visit", "turn", "visit", "time", "")
HELD = (port.MODEL_VERSION, port.DEPLOYMENT, port.HTTP_ROUTE, port.SERVICE, port.CONTROLLER_REVISION, port.POD)
TROUBLE = (Answer(failure="Prometheus timed out"), Answer(samples=()), Answer(unusable="string"), float("nan"), 0.5)
COMING_TO_REST_SECONDS = 3600.0
LONGEST = 40  # times an hour until everything must have come to rest


def event(**arguments: Any) -> Callable[[Callable[..., None]], Any]:
    """Make a rule of something that happens, and of who moves after it."""

    def made(happens: Callable[..., None]) -> Any:
        def both(self: "Anything", then: Then, **chosen: Any) -> None:
            happens(self, **chosen)
            self.go_on(then)

        both.__name__ = happens.__name__
        made_rule: Any = rule(then=st.sampled_from(THEN), **arguments)
        return made_rule(both)

    return made


class LaggingWorld(World):
    """The golden stories' world, its stores behind."""

    cluster: Lagging

    def make_cluster(self) -> Lagging:
        """Return the cluster it plays."""
        made = Lagging(now=lambda: self.now)
        made.on_write(made.seen)
        return made


class Anything(RuleBasedStateMachine):
    """Rules are what can happen; hypothesis chooses which, and how often."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world = LaggingWorld()
        self.versions = 0
        self.actions = 0
        self.set_back = 0.0
        self.says: Answer | float = 0.0
        self.orphan = self.leaves = False

    # ---- how it begins ----

    @initialize(
        strategy=st.sampled_from(STRATEGIES),
        measured=st.booleans(),
        following=st.sampled_from(({"latest": {}}, {"latest": {"whileProgressing": "Supersede"}})),
        replicas=st.integers(1, 4),
        window=st.sampled_from((0, 2)),
        orphan=st.booleans(),
        second=st.booleans(),
        leaves=st.booleans(),
    )
    def begin(
        self,
        strategy: dict[str, Any],
        measured: bool,
        following: dict[str, Any],
        replicas: int,
        window: int,
        orphan: bool,
        second: bool,
        leaves: bool,
    ) -> None:
        """Make a Rollout with a first version."""
        self.orphan, self.leaves = orphan, leaves
        self.world.measure(lambda name, at: 0.0)
        self.world.prometheus.on("code=~", self._errors)
        needed = measured or strategy == {"canary": {"steps": LADDERS[3]}}  # its analysis step wants metrics
        compared = COMPARED if "experiment" in strategy else MEASURED if needed else {}
        self.world.add(
            rollout(
                version=following,
                strategy=strategy,
                analysis=compared,
                target=on_gpus(replicas, count=1),
                rollbackWindow=window,
                deletionPolicy="Orphan" if orphan else "Delete",
            )
        )
        self._add_version()
        if second:
            self._settle(60.0)
            self._add_version()
            self.go_on("visit")

    def _errors(self, expression: str, at: datetime) -> Answer | float:
        says = self.says
        if isinstance(says, Answer):
            return says
        return self.world.series(at, lambda name, share: says if share else 0.0)

    def _add_version(self) -> None:
        self.versions += 1
        self.world.add(version(f"v{self.versions}", self.versions))

    def go_on(self, then: Then) -> None:
        """Let the operator visit, everybody have a turn, or time pass."""
        if then == "time":
            self._settle(15.0)
            self._is_served()
        elif then:
            self._visit()
        if then == "turn":
            self.world._deployments()
            self.world._gateway()
            self._visit()

    # ---- the operator ----

    @rule(times=st.integers(1, 4))
    def visit(self, times: int) -> None:
        """It comes, perhaps more often than asked for."""
        for _ in range(times):
            self._visit()

    @event(after=st.integers(1, 4))
    def die(self, after: int) -> None:
        """It is killed right after a write, and another one starts."""
        self.world.killed = False
        self.world.kill_after = self.world.own_writes + after
        self._visit()
        self.world.kill_after = None

    @event(
        verb=st.sampled_from(("apply", "status", "patch", "delete", "list", "get")),
        kind=st.sampled_from((port.ROLLOUT, port.HTTP_ROUTE, port.DEPLOYMENT, port.SERVICE)),
        done=st.booleans(),
    )
    def api_server_fails(self, verb: Any, kind: port.Kind, done: bool) -> None:
        """A request fails, or only its answer is lost."""
        self.world.cluster.fail(verb, kind, Unavailable("the API server is away"), done=done)
        self._visit()

    def _visit(self) -> None:
        with suppress(Unavailable, Conflict):  # the core comes again
            self._run(self.world.visit())

    def _is_served(self) -> None:
        """Nobody is sent to a canary without pods while stable has some."""
        w = self.world
        stable, canary = (
            w.version_of((w.status().get(role) or {}).get("revision", "")) for role in ("stable", "canary")
        )
        if stable and canary and w.available(stable) and not w.available(canary):
            assert w.shares().get(canary, 0) == 0, "\n".join(w.lines[-20:])

    # ---- time ----

    @event(seconds=st.sampled_from((1.0, 7.0, 31.0, 200.0)))
    def wait(self, seconds: float) -> None:
        """Time passes without anybody moving."""
        self.world.pass_time(seconds)

    @rule(seconds=st.sampled_from((10.0, 60.0)))
    def live_on(self, seconds: float) -> None:
        """Time passes, and everybody does what they do."""
        self._settle(seconds)
        self._is_served()

    @event(jump=st.sampled_from((-3600.0, -30.0, 30.0, 3600.0)))
    def clock_jumps(self, jump: float) -> None:
        """The wall clock is set, nothing else happens."""
        self.world.pass_time(0.5, clock=jump)
        self.set_back += max(0.0, -jump)

    @event(kind=st.sampled_from(HELD))
    def store_lags(self, kind: port.Kind) -> None:
        """A watch is silent: what others do to this kind is seen later."""
        self.world.cluster.hold(kind)

    @event()
    def stores_catch_up(self) -> None:
        """All watches are fine again."""
        self.world.cluster.catch_up()

    # ---- everybody else ----

    @event()
    def deployments_move(self) -> None:
        """The Deployment controller does its part."""
        self.world._deployments()

    @event()
    def gateway_speaks(self) -> None:
        """The Gateway does its part."""
        self.world._gateway()

    @event(number=st.integers(1, 6))
    def pods_break(self, number: int) -> None:
        """A version's pods are not ready any more."""
        self.world.broken.add(f"v{number}")
        self.world._deployments()

    @event()
    def all_pods_break(self) -> None:
        """A node is lost: nothing is ready."""
        self.world.broken |= {f"v{number}" for number in range(1, 7)}
        self.world._deployments()

    @event()
    def pods_heal(self) -> None:
        """All pods are ready again."""
        self.world.broken.clear()

    @event(answer=st.sampled_from(("True", "False")), there=st.booleans())
    def gateway_changes(self, answer: str, there: bool) -> None:
        """The Gateway takes routes or does not, or says nothing."""
        self.world.answer, self.world.gateway = answer, there

    @event(says=st.sampled_from((*TROUBLE, 0.0, 0.0, 0.0)))
    def numbers_change(self, says: Answer | float) -> None:
        """Prometheus tells something else."""
        self.says = says

    # ---- people ----

    @precondition(lambda self: self.versions < 6)
    @event()
    def new_version(self) -> None:
        """A model was trained."""
        self._add_version()

    @event(number=st.integers(1, 6), ready=st.booleans())
    def version_changes(self, number: int, ready: bool) -> None:
        """A version is taken back, or approved late."""
        if number <= self.versions:
            self.world.set_ready(f"v{number}", ready)

    @event(strategy=st.sampled_from(STRATEGIES))
    def edit_strategy(self, strategy: dict[str, Any]) -> None:
        """Somebody edits the steps, or the whole strategy."""
        compared = COMPARED if "experiment" in strategy else MEASURED
        self.world.edit(strategy={**dict.fromkeys(BRANCHES), **strategy}, analysis=compared)

    @event(replicas=st.integers(1, 4))
    def edit_replicas(self, replicas: int) -> None:
        """Somebody, or an autoscaler, asks for another size."""
        self.world.edit(target={"kubernetes": {"serving": {"replicas": replicas}}})

    @event(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        """Somebody holds everything, or lets it go."""
        self.world.edit(paused=paused)

    @event(kind=st.sampled_from(("Promote", "PromoteFull", "Abort", "Retry")))
    def act(self, kind: str) -> None:
        """Somebody asks for something."""
        self._act(kind)

    def _act(self, kind: str) -> None:
        self.actions += 1
        self.world.act(kind, str(self.actions))

    @event(weight=st.integers(0, 100))
    def route_edited(self, weight: int) -> None:
        """Somebody moves the weight by hand."""
        route = self.world.cluster.look(ROUTE)
        if route is None:
            return
        rules = route["spec"]["rules"]
        backends = rules[-1]["backendRefs"]
        if len(backends) == 2:
            backends[0]["weight"], backends[1]["weight"] = 100 - weight, weight
            self.world.cluster.edit(ROUTE, {"spec": {"rules": rules}})
            self.world.weights.append(self.world.shares())

    @event(kind=st.sampled_from((port.HTTP_ROUTE, port.DEPLOYMENT, port.SERVICE)))
    def object_deleted(self, kind: port.Kind) -> None:
        """Somebody deletes one of its objects."""
        found = self.world.cluster.all(kind)
        if found:
            self.world.cluster.remove(Ref(kind, NAMESPACE, found[0]["metadata"]["name"]))
        if found and kind == port.HTTP_ROUTE:  # it comes back leading to stable, ready or not: there is nothing else
            before = dict.fromkeys(self.world.weights[-1] if self.world.weights else (), 0)
            self.world.weights.append({**before, self.world.stable(): 100})

    @event()
    def status_lost(self) -> None:
        """A backup tool drops the status."""
        self.world.lose_status()

    # ---- how it ends ----

    def teardown(self) -> None:
        """Let the world be well again: everything must come to rest."""
        try:
            if self.world.cluster.look(KEY) is None:
                return
            if self.leaves:
                self._goes()
            else:
                self._comes_to_rest()
        finally:
            self.loop.close()

    def _goes(self) -> None:
        w = self.world
        w.cluster.remove(KEY)
        for _ in range(3):
            self._visit()
        self._heal()
        self._settle(self.set_back + COMING_TO_REST_SECONDS)
        told = "\n".join(w.lines[-40:])
        assert w.cluster.look(KEY) is None, told
        kinds = (port.HTTP_ROUTE, port.DEPLOYMENT, port.SERVICE, port.CONTROLLER_REVISION)
        left = [obj["metadata"]["name"] for kind in kinds for obj in w.cluster.all(kind)]
        if not self.orphan:
            assert not left, f"{left}\n{told}"
        elif w.cluster.look(ROUTE) is not None:
            serving = [name for name, share in w.shares().items() if share]
            assert len(serving) == 1, told
            assert w.available(serving[0]) > 0, told

    def _heal(self) -> None:
        """Let everything be well again."""
        w = self.world
        w.broken.clear()
        w.cluster.catch_up()
        w.cluster._faults.clear()
        w.gateway, w.answer, self.says = True, "True", 0.0
        for number in range(1, self.versions + 1):
            w.set_ready(f"v{number}", True)

    def _comes_to_rest(self) -> None:
        w = self.world
        self._heal()
        w.edit(paused=False)
        self._settle(self.set_back)  # stamps of before the clock was set back lie so far ahead
        for _ in range(LONGEST):
            self._settle(COMING_TO_REST_SECONDS)
            if not w.status().get("canary"):
                break
            self._act("PromoteFull")  # a pause without an end waits for a person
        self._is_at_rest()

    def _is_at_rest(self) -> None:
        w = self.world
        told = "\n".join(w.lines[-40:])
        status = w.status()
        assert not status.get("canary"), f"{status.get('waitingFor')}\n{told}"
        stable = w.version_of(status["stable"]["revision"])
        assert {name: share for name, share in w.shares().items() if share} == {stable: 100}, told
        assert w.available(stable) > 0, told
        assert w.condition("Stalled")["status"] == "False", told
        before = len([write for write in w.cluster.writes if write.changed])
        self._settle(COMING_TO_REST_SECONDS)
        assert len([write for write in w.cluster.writes if write.changed]) == before, "\n".join(w.lines[-20:])

    def _settle(self, seconds: float) -> None:
        self.world.cluster.catch_up()  # time passes for watches too
        with suppress(Unavailable):  # the core comes again
            self._run(self.world.settle(seconds))

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(coroutine)

"""One Rollout, its operator and everybody else, over fakes: tells what happened as text, and checks every write.

The Deployment controller, the Gateway and Prometheus are played here; a seed shuffles who comes when, and adds
visits that nobody needed. `kill_after` ends the operator's process right after that write and starts another.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.cluster import FakeCluster, Write
from tests.fakes.metadata import FakeMetadata
from tests.fakes.prometheus import ScriptedPrometheus, by_revision
from tests.golden.rollout import safety, telling
from tests.golden.rollout.manifests import CONFIG, NAME, NAMESPACE, PARENTS, condition
from trainyard import naming
from trainyard.reconciling.cycle import Cycle, Outcome
from trainyard.reconciling.plan import Record
from trainyard.reconciling.tracking import TrackedCluster, Visit, visiting
from trainyard.rollout.room import RolloutRoom
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster import port
from trainyard.systems.cluster.port import Conflict, Forbidden, Invalid, Obj, Ref
from trainyard.systems.prometheus.port import Answer

START = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)
KEY = Ref(port.ROLLOUT, NAMESPACE, NAME)
ROUTE = Ref(port.HTTP_ROUTE, NAMESPACE, NAME)
PRESENT = re.compile(r"^sum by \([a-z, ]+\) \(rate\(")  # requests a second: who is there
REFUSED_AGAIN_SECONDS = 10.0  # the worker's backoff


class Killed(BaseException):
    """The operator's process ended right after a write."""


@dataclass
class World:
    """Everything around one Rollout. `broken`: versions whose pods never become ready; `room`: of which only
    so many do. `gateway`: whether it says anything about the route, and `answer` what."""

    seed: int | None = None
    kill_after: int | None = None
    lines: list[str] = field(default_factory=list)
    weights: list[dict[str, int]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    room: dict[str, int] = field(default_factory=dict)
    gateway: bool = True
    answer: str = "True"
    now: datetime = START
    monotonic: float = 1000.0
    due: float | None = 0.0
    own_writes: int = 0
    killed: bool = False

    def __post_init__(self) -> None:
        self.cluster = self.make_cluster()
        self.prometheus = ScriptedPrometheus(now=lambda: self.now)
        self.database = FakeMetadata()
        self.random = random.Random(self.seed)
        self.tracked = TrackedCluster(self.cluster)
        self.systems = Systems(self.tracked, {}, FakeArtifacts(), self.prometheus, self.database, CONFIG)
        self.cluster.on_write(self._wrote)
        self.start()

    def make_cluster(self) -> FakeCluster:
        """Return the cluster it plays."""
        return FakeCluster(now=lambda: self.now)

    def start(self) -> None:
        """Start the operator's process: it remembers nothing."""
        room = RolloutRoom(lambda: self.monotonic)
        self.cycle: Cycle[Systems] = Cycle(room, self.systems, self.tracked, self._record)
        self.failed = False

    async def _record(self, rows: Sequence[Record]) -> bool:
        await self.database.record(rows)
        return True

    # ---- the user ----

    def say(self, text: str) -> None:
        """Write a line about what somebody does."""
        self.lines.append(f"{self._clock()} ---- {text}")

    def add(self, obj: Mapping[str, Any]) -> None:
        """Create an object as a user, or as another room."""
        status = obj.get("status")
        self.cluster.seed({k: v for k, v in obj.items() if k != "status"}, status=status)

    def edit(self, **spec: Any) -> None:
        """Merge-patch the Rollout's spec."""
        self.cluster.edit(KEY, {"spec": spec})

    def act(self, kind: str, id: str = "1", **more: Any) -> None:
        """Ask for something, as the command line does."""
        self.edit(action={"kind": kind, "id": id, "by": "ada", **more})

    def set_pod(self, name: str, status: Mapping[str, Any]) -> None:
        """Give a version a pod in this state, as a kubelet would tell."""
        revision = next(r for r, n in self.names.items() if n == name)
        labels = {**naming.MANAGED_BY, naming.LABEL_ROLLOUT: NAME, naming.LABEL_REVISION: revision}
        meta = {"name": f"pod-{name}", "namespace": NAMESPACE, "labels": labels}
        self.cluster.seed({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {}}, status=status)

    def set_ready(self, name: str, ready: bool) -> None:
        """Change whether a version is ready."""
        ref = Ref(port.MODEL_VERSION, NAMESPACE, name)
        self.cluster.edit(ref, {"status": {"conditions": [condition("Ready", ready)]}}, status=True)

    def lose_status(self) -> None:
        """Take the status away, as a backup tool does."""
        self.cluster.edit(KEY, {"status": None}, status=True)

    # ---- time ----

    async def settle(self, seconds: float = 0.0) -> None:
        """Let time pass in the operator's own rhythm, until everybody has said what there is to say."""
        end = self.now + timedelta(seconds=seconds)
        await self._quiet()
        while self.now < end:
            due = min(self.due if self.due is not None else 600.0, (end - self.now).total_seconds())
            self.pass_time(max(due, 0.001))
            await self._quiet()

    def pass_time(self, seconds: float, clock: float | None = None) -> None:
        """Let time pass without anybody moving; `clock`: what the wall clock says of it."""
        self.monotonic += seconds
        self.now += timedelta(seconds=seconds if clock is None else clock)

    async def _quiet(self) -> None:
        for _ in range(200):
            if not await self.round():
                return
        raise AssertionError("it never goes quiet:\n" + "\n".join(self.lines[-20:]))

    async def round(self) -> bool:
        """Let everybody act once; True if anybody did."""
        return any([await self._turn(who) for who in self._order()])

    def _order(self) -> list[str]:
        order = ["operator", "deployments", "gateway"]
        if self.seed is not None:
            order += self.random.choices(order, k=self.random.randrange(3))
            self.random.shuffle(order)
        return order

    async def _turn(self, who: str) -> bool:
        if who == "operator":
            return await self.visit()
        return self._deployments() if who == "deployments" else self._gateway()

    async def visit(self) -> bool:
        """Let the operator visit once; True if there is more for it to do."""
        before = len([w for w in self.cluster.writes if w.changed])
        try:
            outcome = await self._visited()
            self.due = None if outcome.gone else outcome.revisit_after
        except Conflict:
            return True
        except (Invalid, Forbidden):
            self.due = REFUSED_AGAIN_SECONDS
        except Killed:
            self.start()
            return True
        wrote = len([w for w in self.cluster.writes if w.changed]) != before
        again = self.due is not None and self.due < 0.01
        return wrote or again

    async def _visited(self) -> Outcome:
        """Run the cycle as the worker does: what moves traffic is decided on live reads, and all after a failure."""
        with visiting(Visit(live=self.failed)):
            self.failed = True
            outcome = await self.cycle.run(KEY, self.now)
            self.failed = False
        return outcome

    def _deployments(self) -> bool:
        """The Deployment controller and its kubelet, at once."""
        moved = False
        for obj in self.cluster.all(port.DEPLOYMENT):
            wanted = self._deployment_status(obj)
            if obj.get("status") != wanted:
                self.cluster.edit(_ref(port.DEPLOYMENT, obj), {"status": None}, status=True)
                self.cluster.edit(_ref(port.DEPLOYMENT, obj), {"status": wanted}, status=True)
                moved = True
        return moved

    def _deployment_status(self, obj: Obj) -> dict[str, Any]:
        name = obj["metadata"]["labels"][naming.LABEL_VERSION]
        replicas = obj["spec"]["replicas"]
        ready = 0 if name in self.broken else min(replicas, self.room.get(name, replicas))
        status = {
            "observedGeneration": obj["metadata"]["generation"],
            "replicas": replicas,
            "updatedReplicas": replicas,
        }
        return status | ({"availableReplicas": ready} if ready else {})

    def _gateway(self) -> bool:
        route = self.cluster.look(ROUTE)
        if route is None or not self.gateway:
            return False
        generation = route["metadata"]["generation"]
        conditions = [
            {"type": kind, "status": self.answer, "observedGeneration": generation}
            for kind in ("Accepted", "ResolvedRefs")
        ]
        status = {"parents": [{"parentRef": PARENTS[0], "conditions": conditions}]}
        if route.get("status") == status:
            return False
        self.cluster.edit(ROUTE, {"status": status}, status=True)
        return True

    # ---- what is checked and told at every write ----

    def _wrote(self, write: Write) -> None:
        if write.changed:
            if write.ref.kind == port.CONTROLLER_REVISION and write.verb == "apply":
                self._name(write.body)
            self._tell(write)
            if write.ref.kind == port.HTTP_ROUTE and write.verb == "apply":
                self._routed()
            if write.ref.kind != port.EVENT:
                self.own_writes += 1
                if self.kill_after == self.own_writes and not self.killed:
                    self.killed = True
                    raise Killed

    def _routed(self) -> None:
        safety.check_route(self)
        if self.shares() != (self.weights[-1] if self.weights else {}):
            self.weights.append(self.shares())

    def shares(self) -> dict[str, int]:
        """Version -> weight as the route has it now."""
        route = self.cluster.look(ROUTE)
        backends = route["spec"]["rules"][-1]["backendRefs"] if route else []
        return {self.version_of(b["name"].rpartition("-")[2]): b["weight"] for b in backends}

    def offer(self, *features: str) -> None:
        """Let the Gateway's class list these features."""
        gateway, listed = Ref(port.GATEWAY, "infra", "gateway"), Ref(port.GATEWAY_CLASS, "", "shop")
        for ref, spec in ((gateway, {"gatewayClassName": "shop"}), (listed, {"controllerName": "shop/gateways"})):
            if self.cluster.look(ref) is None:
                meta = {"name": ref.name, "namespace": ref.namespace}
                self.add({"apiVersion": ref.kind.api_version, "kind": ref.kind.kind, "metadata": meta, "spec": spec})
        self.cluster.edit(listed, {"status": {"supportedFeatures": [{"name": f} for f in features]}}, status=True)

    @property
    def route_ref(self) -> Ref:
        """Where the route is."""
        return ROUTE

    def route(self) -> Obj:
        """The route as it is now."""
        return self.cluster.look(ROUTE) or {}

    def version_of(self, revision: str) -> str:
        """The version's name, with a mark for each earlier revision of the same version."""
        return self.names.get(revision, revision)

    def _name(self, stored: Obj) -> None:
        revision, name = stored["metadata"]["labels"][naming.LABEL_REVISION], stored["data"]["version"]
        earlier = [r for r, n in self.names.items() if n.rstrip("'") == name]
        self.names.setdefault(revision, name + "'" * len(earlier))

    def kept(self) -> set[str]:
        """The versions whose revision has been written; somebody may have deleted it since."""
        return set(self.names.values())

    def available(self, name: str) -> int:
        """How many pods of a version are ready."""
        for obj in self.cluster.all(port.DEPLOYMENT):
            if self.version_of(obj["metadata"]["labels"][naming.LABEL_REVISION]) == name:
                return int(obj.get("status", {}).get("availableReplicas", 0))
        return 0

    def _tell(self, write: Write) -> None:
        told = telling.line(self, write)
        if told:
            self.lines.append(f"{self._clock()} {told}")

    def _clock(self) -> str:
        return f"{(self.now - START).total_seconds():>6.0f}"

    def plain(self, text: str) -> str:
        """Replace revision hashes by versions: a hash is no behaviour."""
        for revision, name in self.names.items():
            text = text.replace(revision, name)
        return text

    # ---- the end ----

    def finale(self) -> str:
        """What is left: conditions, history, rows."""
        return telling.finale(self, self.cluster.look(KEY))

    def outcome(self) -> list[str]:
        """How revisions ended, oldest first."""
        obj = self.cluster.look(KEY) or {}
        return [f"{e['version']} {e['outcome']}" for e in reversed(obj.get("status", {}).get("history", ()))]

    def status(self) -> dict[str, Any]:
        """The Rollout's status."""
        return dict((self.cluster.look(KEY) or {}).get("status", {}))

    def condition(self, kind: str) -> dict[str, Any]:
        """One condition of the Rollout."""
        return next(c for c in self.status()["conditions"] if c["type"] == kind)

    # ---- Prometheus ----

    def measure(
        self, errors: Callable[[str, datetime], float] | float, requests: float = 500.0, stable_errors: float = 0.0
    ) -> None:
        """Let the canary answer with this share of errors, and traffic follow the weights."""

        def answer(expression: str, at: datetime) -> Answer:
            return self.series(
                at, lambda name, share: stable_errors if name == self.stable() else _of(errors, name, at)
            )

        def counted(expression: str, at: datetime) -> Answer:
            return self.series(at, lambda name, share: requests * share / max(1, self.status().get("weight", 0)))

        self.prometheus.on(PRESENT, lambda _, at: self.series(at, lambda _, share: requests * share / 100))
        self.prometheus.on("code=~", answer)
        self.prometheus.on("increase(", counted)

    def stable(self) -> str:
        """The stable version's name."""
        return str((self.status().get("stable") or {}).get("version"))

    def series(self, at: datetime, value: Callable[[str, int], float], **more: str) -> Answer:
        """One series per version that the route names, its value from its name and its weight."""
        route = self.cluster.look(ROUTE)
        backends = route["spec"]["rules"][-1]["backendRefs"] if route else []
        weights = {b["name"].rpartition("-")[2]: b["weight"] for b in backends}
        values = {revision: value(self.version_of(revision), weight) for revision, weight in weights.items()}
        return by_revision(at, NAMESPACE, NAME, values, **more)


def _of(errors: Callable[[str, datetime], float] | float, name: str, at: datetime) -> float:
    return errors(name, at) if callable(errors) else errors


def _ref(kind: port.Kind, obj: Obj) -> Ref:
    return Ref(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])

"""A namespace in which pipelines and runs live against fakes, told as text: what was done, decided, written, and why.

Used by the golden histories and by the tests that kill the operator after each write.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.cluster import FakeCluster, Write
from tests.fakes.engine import FakeEngine
from tests.fakes.kubelet import ROWS, Kubelet
from tests.fakes.metadata import FakeMetadata
from trainyard import naming
from trainyard.reconciling.cycle import Cycle
from trainyard.reconciling.plan import Plan, Record
from trainyard.reconciling.room import Room
from trainyard.resources.training_pipeline import TrainingPipeline
from trainyard.systems.bundle import Config, Systems
from trainyard.systems.cluster.port import EVENT, JOB, TRAINING_PIPELINE, TRAINING_RUN, ClusterError, Kind, Ref
from trainyard.systems.engine.job import JobEngine
from trainyard.systems.metadata.port import MetadataUnavailable
from trainyard.training_pipeline import children
from trainyard.training_pipeline import decide as pipeline_decide
from trainyard.training_pipeline.room import TrainingPipelineRoom
from trainyard.training_pipeline.turn import Situation
from trainyard.training_run import decide as run_decide
from trainyard.training_run.room import TrainingRunRoom

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
NAMESPACE = "team"
STEP_SECONDS = 5
SPEC: dict[str, Any] = {
    "model": "churn",
    "engine": {"job": {"template": {"image": "localhost/trainer:1", "args": ["--fast"]}}},
    "parameters": [{"name": "epochs", "type": "Integer", "default": 3}],
    "data": {"datasets": [{"name": "train", "uri": "s3://data/churn/"}]},
    "triggers": {"onChange": True},
    "evaluation": {"metrics": [{"name": "auc", "min": "0.80"}]},
}
BY_HAND: dict[str, Any] = {"triggers": {"onChange": False}}
OBJECTS = {"s3://data/churn/rows.csv": ROWS, "s3://data/churn2/rows.csv": b"3,4\n"}


class Killed(Exception):
    """SIGKILL, as far as a test in one process can play it: nothing after this write happens.

    Rooms keep nothing between cycles, so the next visit is what a new process does.
    """


@dataclass
class World:
    """Fakes, the two rooms, and a clock. Everything that is done or written becomes a line."""

    now: datetime = NOW
    lines: list[str] = field(default_factory=list)
    kill_at: int | None = None
    clock_ahead: float = 0.0  # seconds of `now` that never passed
    fault: type[Exception] = Killed
    _told: dict[Ref, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(now=lambda: self.now)
        self.cluster.on_write(self._on_write)
        self.artifacts = FakeArtifacts(dict(OBJECTS))
        self.metadata = FakeMetadata()
        self.kubelet = Kubelet(self.cluster, self.artifacts, lambda: self.now)
        config = Config("localhost/operator:1", {}, "models", "http://minio:9000", data_locations=("s3://data/",))
        engines = {"job": JobEngine(self.cluster, self.artifacts, config)}
        absent = cast("Any", None)
        self.systems = Systems(self.cluster, engines, self.artifacts, absent, self.metadata, config)
        self.start()

    def start(self) -> None:
        """Start the operator's process: it remembers nothing."""
        self._rooms: dict[Kind, Room[Any, Systems]] = {
            TRAINING_PIPELINE: _Telling(TrainingPipelineRoom(), self._why),
            TRAINING_RUN: _Telling(TrainingRunRoom(lambda: self.now.timestamp() - self.clock_ahead), self._why),
        }

    # ---- what people do ----

    def say(self, text: str) -> None:
        """Note what somebody else does."""
        self.lines.append(f"{self._clock()} * {text}")

    def pipeline(self, name: str = "churn", **changes: Any) -> Ref:
        """Create a pipeline."""
        return self._seed("TrainingPipeline", TRAINING_PIPELINE, name, {**SPEC, **changes})

    def run(self, name: str, **spec: Any) -> Ref:
        """Create a one-off run."""
        return self._seed("TrainingRun", TRAINING_RUN, name, {"pipeline": "churn", **spec})

    async def one_off(self, parameters: dict[str, Any] | None = None, **changes: Any) -> None:
        """Create a pipeline that nothing starts but people, and a run by hand, and let them settle."""
        self.say("a run by hand")
        self.pipeline(**{**BY_HAND, **changes})
        self.run("once", parameters=parameters or {})
        await self.settle()

    def look(self, ref: Ref) -> dict[str, Any]:
        """Return an object."""
        found = self.cluster.look(ref)
        assert found is not None, f"{ref.name} does not exist"
        return dict(found)

    def only_run(self) -> Ref:
        """Return the one run there is."""
        (found,) = self.cluster.all(TRAINING_RUN)
        return Ref(TRAINING_RUN, NAMESPACE, found["metadata"]["name"])

    def use_engine(self, engine: FakeEngine) -> None:
        """Put another engine in the Job engine's place."""
        self.systems = replace(self.systems, engines={"job": engine})

    def name_of_due_run(self) -> str:
        """Return the name of the run by change that the pipeline would create."""
        (found,) = self.cluster.all(TRAINING_PIPELINE)
        return children.run_name(TrainingPipeline.model_validate(found))

    def restore(self, *kinds: Kind) -> None:
        """Take all objects away and put those of some kinds back as a backup tool does: new uids, no status."""
        kept = [obj for kind in kinds for obj in self.cluster.all(kind)]
        self.cluster._objects.clear()
        for obj in kept:
            meta = {k: v for k, v in obj["metadata"].items() if k not in ("uid", "resourceVersion", "ownerReferences")}
            self.cluster.seed({k: v for k, v in obj.items() if k != "status"} | {"metadata": meta})

    # ---- time ----

    async def visit(self, key: Ref, after: int = STEP_SECONDS) -> None:
        """Let time pass and visit one object; a failed cycle is told and comes again."""
        self.now += timedelta(seconds=after)
        cycle = Cycle(self._rooms[key.kind], self.systems, self.cluster, self._record)
        try:
            outcome = await cycle.run(key, self.now)
        except (ClusterError, Killed) as error:
            self.lines.append(f"{self._clock()}   cycle ends: {error or 'killed'}")
            return
        if outcome.gone:
            self.lines.append(f"{self._clock()} {key.kind.kind} {key.name} is gone")

    async def settle(self, limit: int = 40) -> None:
        """Visit everything and let the kubelet work until nothing changes any more."""
        for _ in range(limit):
            before = self.cluster._version
            for key in self.keys():
                await self.visit(key)
            self.kubelet.tick()
            if self.cluster._version == before:
                return
        raise AssertionError("it does not go quiet:\n" + "\n".join(self.lines[-30:]))

    async def settle_until_waiting(self, rounds: int = 4) -> None:
        """Visit everything a few rounds, though it may not come to rest."""
        for _ in range(rounds):
            for key in self.keys():
                await self.visit(key)
            self.kubelet.tick()

    async def stays_quiet(self) -> None:
        """Assert that an hour of visits writes nothing: no condition flaps, nothing waits for a visit."""
        before, lines = len(self.cluster.writes), len(self.lines)
        for key in self.keys():
            for _ in range(6):
                await self.visit(key, 1)
        assert len(self.cluster.writes) == before, "\n".join(self.lines[lines:])

    def keys(self) -> list[Ref]:
        """Return the addresses of all pipelines and runs."""
        kinds = (TRAINING_PIPELINE, TRAINING_RUN)
        return [Ref(k, o["metadata"]["namespace"], o["metadata"]["name"]) for k in kinds for o in self.cluster.all(k)]

    def set_clock(self, seconds: float) -> None:
        """Set the clock forward; nothing passes."""
        self.now += timedelta(seconds=seconds)
        self.clock_ahead += seconds

    # ---- the text ----

    def text(self) -> str:
        """Return the history; identities are shortened, digests cut."""
        return "\n".join(self.lines) + "\n"

    def _seed(self, kind: str, plural: Kind, name: str, spec: Mapping[str, Any]) -> Ref:
        meta = {"name": name, "namespace": NAMESPACE}
        self.cluster.seed({"apiVersion": naming.API_VERSION, "kind": kind, "metadata": meta, "spec": spec})
        return Ref(plural, NAMESPACE, name)

    async def _record(self, rows: Sequence[Record]) -> bool:
        try:
            await self.metadata.record(rows)
        except MetadataUnavailable:
            return False
        for row in rows:
            told = row.data.get("reason") or row.data.get("event") or row.data.get("digest", "")
            self.lines.append(f"{self._clock()}   row {row.sequence} {row.type} {str(told)[:20]}")
        return True

    def _why(self, kind: str, name: str, rule: str, plan: Plan) -> None:
        if plan.actions or plan.notes:
            self.lines.append(f"{self._clock()} {kind} {name}: {rule}")

    def _on_write(self, write: Write) -> None:
        if write.changed:
            before = self._told.setdefault(write.ref, {})
            for subject, line in told(write):
                if write.verb != "status" or before.get(subject) != line:
                    self.lines.append(f"{self._clock()}   {line}")
                before[subject] = line
        if self.kill_at is not None and len(self.cluster.writes) == self.kill_at:
            raise self.fault

    def _clock(self) -> str:
        seconds = int((self.now - NOW).total_seconds())
        return f"{seconds // 60:02d}:{seconds % 60:02d}"


@dataclass
class _Telling:
    """A room that tells which rule answered."""

    room: Any
    tell: Callable[[str, str, str, Plan], None]

    def __post_init__(self) -> None:
        self.kind: Kind = self.room.kind

    async def observe(self, obj: Mapping[str, Any], systems: Systems) -> Any:
        return await self.room.observe(obj, systems)

    def decide(self, observed: Any, now: datetime) -> Plan:
        plan: Plan = self.room.decide(observed, now)
        self.tell(self.kind.kind, observed.meta.name, rule_of(self.kind, observed, now), plan)
        return plan

    async def act(self, action: Any, obj: Mapping[str, Any], systems: Systems) -> Any:
        return await self.room.act(action, obj, systems)


def rule_of(kind: Kind, observed: Any, now: datetime) -> str:
    """Return the name of the rule that answers."""
    if kind == TRAINING_RUN:
        return next(r.__name__ for r in run_decide.RULES if r(observed, now) is not None)
    if observed.pipeline is None or observed.meta.deletion_timestamp is not None:
        return "before the rules"
    sit = Situation(observed, observed.pipeline, now)
    gates = [gate.__name__ for gate in pipeline_decide.GATES if gate(sit) is not None]
    turns = pipeline_decide.turns(sit)
    spoke = [turn.rule for turn in turns if turn.actions or turn.notes] or [turns[0].rule]
    return ", ".join(gates[:1] or spoke)


def told(write: Write) -> list[tuple[str, str]]:
    """Return a write as lines, each with what it is about."""
    where = f"{write.ref.kind.kind} {write.ref.name}"
    if write.ref.kind == EVENT:
        return [("event", f"event {write.body['reason']}: {write.body['message']}")]
    if write.verb == "status":
        return [(subject, f"status {where}: {line}") for subject, line in _status(write.body["status"])]
    if write.verb == "patch":
        return [("patch", f"patch {where}: {_patch(write.body)}")]
    return [(write.verb, f"{write.verb} {where}")]


def _patch(body: Mapping[str, Any]) -> str:
    meta = body.get("metadata", {})
    told = [f"finalizers {meta['finalizers']}"] if "finalizers" in meta else []
    told += [f"{key.split('/')[1]} {_cut(value)}" for key, value in sorted(meta.get("annotations", {}).items())]
    told += [f"{key} {value}" for key, value in sorted(body.get("spec", {}).items())]
    return ", ".join(told)


def _cut(value: str | None) -> str:
    if value is None:
        return "-"
    if value.startswith("["):
        return " ".join(f"{row['name']}@{row['digest'][7:13]}" for row in json.loads(value))
    return str(json.loads(value)["reason"]) if value.startswith("{") else value[:8]


def _status(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    conditions = [c for c in status.get("conditions") or () if c["type"] not in ("Reconciling", "Stalled")]
    lines = [(c["type"], f"{c['type']}={c['status']} {c['reason']} {c['message']}".rstrip()) for c in conditions]
    lines += [(f"schedule {s['name']}", f"schedule {_schedule(s)}") for s in status.get("schedules") or ()]
    lines += [(f"events {e['name']}", f"events {_events(e)}") for e in status.get("events") or ()]
    lines += [(f"step {s['name']}", f"step {_step(s)}") for s in status.get("steps") or ()]
    lines += [(f"data {d['name']}", f"dataset {d['name']} {d['digest'][7:13]}") for d in status.get("datasets") or ()]
    names = ("activeRuns", "modelVersion", "revision", "completionTime")
    return lines + [(name, f"{name} {status[name] or '-'}") for name in names if name in status]


def _schedule(stand: Mapping[str, Any]) -> str:
    return f"{stand['name']} last {stand.get('lastSlot', '-')} next {stand.get('next', '-')}"


def _events(stand: Mapping[str, Any]) -> str:
    horizon = f" horizon {stand['horizon']}" if "horizon" in stand else ""
    return f"{stand['name']} handled {len(stand.get('handled', ()))}{horizon}"


def _step(step: Mapping[str, Any]) -> str:
    code = f" exit {step['exitCode']}" if "exitCode" in step else ""
    return f"{step['name']} {step['state']} {step.get('reason', '')}".rstrip() + code


def jobs(world: World) -> list[str]:
    """Return the names of all Jobs that there ever were, in order."""
    return [w.ref.name for w in world.cluster.writes if w.verb == "create" and w.ref.kind == JOB]


def end_state(world: World) -> dict[str, Any]:
    """Return what is left in the end, without what a crash may shift: times, versions, the fake's running uids."""
    found = [world.look(ref) for ref in world.cluster._objects if ref.kind != EVENT]
    state = json.dumps({f"{o['kind']}/{o['metadata']['name']}": _essence(o) for o in found}, sort_keys=True)
    for obj in found:
        engine_id = obj["metadata"].get("annotations", {}).get(naming.ANNOTATION_ENGINE_ID)
        state = state.replace(engine_id, f"id of {obj['metadata']['name']}") if engine_id else state
    return dict(json.loads(state))


def _essence(obj: Mapping[str, Any]) -> dict[str, Any]:
    status, meta = obj.get("status", {}), obj["metadata"]
    outcome = json.loads(meta.get("annotations", {}).get(naming.ANNOTATION_OUTCOME, "{}"))
    spec = {k: v for k, v in obj.get("spec", {}).items() if k != "createdAt"}
    return {
        "spec": spec,
        "conditions": sorted((c["type"], c["status"], c.get("reason")) for c in status.get("conditions", ())),
        "steps": [(s["name"], s["state"], s.get("reason")) for s in status.get("steps", ())],
        "outcome": (outcome.get("reason"), outcome.get("modelVersion")),
        "told": {
            k: status.get(k)
            for k in (
                "revision",
                "modelVersion",
                "outputs",
                "lastInputsDigest",
                "activeRuns",
                "schedules",
                "events",
                "datasets",
            )
        },
        "finalizers": meta.get("finalizers"),
        "engine": meta.get("annotations", {}).get(naming.ANNOTATION_ENGINE_ID),
    }

"""Run a Rollout's policy against the past: the operator's own `decide` judges what Prometheus recorded then.

Nothing is judged here. Time goes from one visit to the next as the plans ask for it. What was never there is played
(`world`): pods are ready and routes accepted at once. Traffic then followed the weights of then, so its share is not
compared with the weights of now. Called by `trainyard rollout replay`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from pydantic import ValidationError

from trainyard import naming
from trainyard.reconciling.plan import Plan
from trainyard.replay.past import CannotReplay, NothingAnswered, Past, Policy, Renamed, Revision
from trainyard.replay.story import Event, Story
from trainyard.replay.world import World
from trainyard.resources.base import first_wrong
from trainyard.resources.conditions import find
from trainyard.resources.rollout import Rollout
from trainyard.rollout import asking, progress, revisions
from trainyard.rollout.asking import Shared
from trainyard.rollout.blocks import Block
from trainyard.rollout.decide import decide
from trainyard.rollout.state import Candidate, Measurement
from trainyard.rollout.times import stamp
from trainyard.systems.bundle import Config, Systems
from trainyard.systems.prometheus.port import Prometheus, Sample

MOST_VISITS = 200  # of one moment; more is a fault, not a rollout
MOST_MEASUREMENTS = 20_000  # of a range: some minutes of a person's time
AS_GOOD_AS_NONE = 0.01  # percent: what the canary had then is so little of all requests where the weight is 0
PATIENCE = 50  # queries that fail before any was answered
SERVER = "replayed"


async def replay(policy: Policy, past: Past, prometheus: Prometheus) -> Story:
    """Return what would have been decided. Raises CannotReplay where the operator would not accept the policy.

    Raises NothingAnswered where Prometheus answers not one query.
    """
    if past.start >= past.end:
        raise CannotReplay(f"there is no time between {stamp(past.start)} and {stamp(past.end)}")
    running = _Replay(policy, past, prometheus)
    running.refuse_long()
    await running.serve_stable()
    await running.try_canary()
    return running.story


class _Replay:
    """One replay under way."""

    def __init__(self, policy: Policy, past: Past, prometheus: Prometheus) -> None:
        self.policy = policy
        self.past = past
        self.now = past.start
        self.story = Story(past.start)
        self.prometheus = Renamed(prometheus, {})
        config = Config(
            courier_image=SERVER,
            server_images={"TensorFlow": SERVER},
            bucket=SERVER,
            store_endpoint="",
            scrape_interval_seconds=policy.scrape_interval_seconds,
            custom_queries=True,
        )
        self.world = World(_object(policy, past), config)
        self.shared = Shared()
        self.told: set[tuple[str, str, str]] = set()
        self.promoted = 0

    def refuse_long(self) -> None:
        """Refuse a range that would take hours without a word."""
        interval = _read(self.world.obj).spec.analysis.interval_seconds
        count = int((self.past.end - self.past.start).total_seconds() / interval)
        if count > MOST_MEASUREMENTS:
            most = f"at most are {MOST_MEASUREMENTS}: shorten it, or measure less often (--step-seconds)"
            raise CannotReplay(f"a measurement every {interval} s makes {count}, {most}")

    async def serve_stable(self) -> None:
        """Bring stable to where it was: all traffic, before anything is tried."""
        self._want(self.past.stable, freeze=[])
        await self._visit()
        if not self.world.status.get("stable"):
            raise CannotReplay(self._refusal() or "stable does not come to serve in the replay")
        self.story.events.clear()

    async def try_canary(self) -> None:
        """Let the canary climb until it ends, or the range does."""
        self._want(self.past.canary, freeze=self.policy.spec.get("freeze", []))
        while self.now <= self.past.end:
            plan = await self._visit()
            self._refuse_silence(PATIENCE)
            if self._has_ended():
                break
            if not self._promote_at_pause():
                self._pass_time(plan)
        self._refuse_silence(1)

    def _refuse_silence(self, patience: int) -> None:
        """Do not call it undecided where nobody was there to ask."""
        if not self.prometheus.answered and self.prometheus.failures >= patience:
            raise NothingAnswered(self.prometheus.failure)

    def _want(self, revision: Revision, **spec: Any) -> None:
        """Ask for a revision, which is the only version that there is."""
        digest = naming.digest([revision.revision, revision.version])
        found = Candidate(revision.version, "s3://replayed/", digest, None, stamp(self.past.start), ready=True)
        self.world.versions = (found,)
        self.world.edit(version={"name": revision.version}, **spec)
        named = revisions.revision_of(found, _kubernetes(_read(self.world.obj)).serving)
        self.prometheus.names[named.revision] = revision.revision

    async def _visit(self) -> Plan:
        """Visit until nothing changes at this moment."""
        for _ in range(MOST_VISITS):
            plan, changed = await self._once()
            if not changed and (plan.revisit_after is None or plan.revisit_after >= 0.01):
                return plan
        raise CannotReplay(f"it does not come to rest at {stamp(self.now)}; this is a fault of the operator")

    async def _once(self) -> tuple[Plan, bool]:
        rollout, before = _read(self.world.obj), self.world.status
        measurement = await self._measure(rollout)
        plan = decide(self.world.observed(rollout, measurement=measurement), self.now)
        changed = self.world.carry_out(plan)
        self._tell(plan, before, measurement)
        return plan, changed

    async def _measure(self, rollout: Rollout) -> Measurement | None:
        systems = cast("Systems", SimpleNamespace(prometheus=self.prometheus, config=self.world.config))  # all it asks
        w = self.world
        found = await asking.measure(rollout, systems, w.route, w.progress, w.clock, self.shared)
        return _as_declared(_in_proportion(found, rollout), rollout) if found else None

    def _pass_time(self, plan: Plan) -> None:
        seconds = self.past.end.timestamp() - self.now.timestamp() + 1.0
        if plan.revisit_after is not None:
            seconds = max(0.05, plan.revisit_after)
        self.now += timedelta(seconds=seconds)
        self.world.clock += seconds

    def _promote_at_pause(self) -> bool:
        """Be the person that a pause waits for, where that is asked for: one who promotes once all metrics passed.

        At a preview's weight 0 nothing is measured while it waits.
        """
        rollout = _read(self.world.obj)
        moving = find(rollout.status.conditions, "Reconciling")
        passing = self.world.progress is not None and self.world.progress.passing
        ready = passing or not progress.is_measured(rollout, rollout.status)
        waits = self.policy.pass_pauses and moving is not None and moving.reason == "WaitsForPromotion"
        if waits and ready:
            self.promoted += 1
            self.world.edit(action={"kind": "Promote", "id": str(self.promoted), "by": "replay"})
        return waits and ready

    def _has_ended(self) -> bool:
        """Close the story once the canary has an outcome."""
        newest = next(iter(self.world.status.get("history", ())), None)
        if self.world.status.get("canary") or newest is None or newest["version"] != self.past.canary.version:
            return False
        if len(self.world.status["history"]) < 2:  # the other one is stable's own
            return False
        self.story.outcome, self.story.message = newest["outcome"], self.prometheus.recorded(newest["message"])
        self.story.ended = self.now
        return True

    def _refusal(self) -> str:
        """Return why the operator would not accept the policy, "" where it does."""
        accepted = find(_read(self.world.obj).status.conditions, "Accepted")
        is_refused = accepted is not None and accepted.status == "False"
        return f"{accepted.reason}: {accepted.message}" if accepted and is_refused else ""

    def _tell(self, plan: Plan, before: Mapping[str, Any], measurement: Measurement | None) -> None:
        status = self.world.status
        if measurement:
            metrics = [m.to_wire() for m in self.world.progress.metrics] if self.world.progress else []
            self._add("Measured", "; ".join(f"{m['name']} {m['verdict']}" for m in metrics), before, metrics)
        for note in plan.notes:
            key = (note.reason, note.message, note.transition)
            if key not in self.told:
                self.told.add(key)
                self._add(note.reason, note.message, status)
        if status.get("canary") and status.get("step") != before.get("step"):
            self._add("Step", _step(status), status)
        waits = _waits(status)
        if waits != _waits(before):
            self._forget_momentary()
            if waits:
                self._add("Waits", waits, status)

    def _forget_momentary(self) -> None:
        """Take away what was waited for at this very moment only: in the replay pods and routes take no time."""
        events = self.story.events
        events[:] = [e for e in events if not (e.kind == "Waits" and e.at == self.now)]

    def _add(self, kind: str, text: str, status: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]] = ()) -> None:
        at = (status.get("step"), int(status.get("weight") or 0))
        self.story.events.append(Event(self.now, kind, self.prometheus.recorded(text), *at, metrics))


def _object(policy: Policy, past: Past) -> dict[str, Any]:
    """Return the Rollout as it would stand in the cluster: as the policy says, for a person is not there to act."""
    meta = {
        "name": past.rollout, "namespace": past.namespace, "uid": "replay", "generation": 1, "resourceVersion": "1",
        "creationTimestamp": stamp(past.start), "finalizers": [naming.FINALIZER],
    }  # fmt: skip
    spec = {k: v for k, v in policy.spec.items() if k not in ("action", "paused", "rollbackWindow")}
    return {"apiVersion": naming.API_VERSION, "kind": "Rollout", "metadata": meta, "spec": spec}


def _read(obj: Mapping[str, Any]) -> Rollout:
    try:
        return Rollout.model_validate({**obj, "status": obj.get("status") or {}})
    except ValidationError as error:
        raise CannotReplay(first_wrong(error)) from error


def _kubernetes(rollout: Rollout) -> Any:
    target = rollout.spec.target.kubernetes
    if target is None:
        raise CannotReplay("only target.kubernetes is replayed")
    return target


def _in_proportion(measurement: Measurement, rollout: Rollout) -> Measurement:
    """Return a measurement in which stable got the share that the replay's weight leaves to it.

    Also where stable was gone by then. The canary's own count stays: `minRequests` is about that.
    """
    samples, status = measurement.requests.samples, rollout.status
    if samples is None or status.stable is None or status.canary is None:
        return measurement
    stable = status.stable.revision
    ours = sum(s.value for s in samples if s.labels.get("revision") == status.canary.revision)
    theirs = ours * (100 - status.weight) / (status.weight or AS_GOOD_AS_NONE)
    others = [sample for sample in samples if sample.labels.get("revision") != stable]
    scaled = (*others, Sample({"revision": stable}, measurement.at.timestamp(), theirs))
    return replace(measurement, requests=replace(measurement.requests, samples=scaled))


def _as_declared(measurement: Measurement, rollout: Rollout) -> Measurement:
    """Return a measurement in which an experiment's arms have the share that the policy declares.

    The arm with too many requests is thinned out, so nothing is judged by more of them than there were.
    """
    experiment = rollout.spec.strategy.experiment
    decides = measurement.blocks.get(experiment.decide_on) if experiment else None
    if experiment is None or decides is None:
        return measurement
    ours, theirs = (sum(block.total for block in arm) for arm in (decides.canary, decides.stable))
    if not ours or not theirs:
        return measurement
    wanted = experiment.share / (100 - experiment.share)
    canary = _thinned(decides.canary, min(1.0, wanted * theirs / ours))
    stable = _thinned(decides.stable, min(1.0, ours / theirs / wanted))
    blocks = {**measurement.blocks, experiment.decide_on: replace(decides, canary=canary, stable=stable)}
    return replace(measurement, blocks=blocks)


def _thinned(arm: Sequence[Block], by: float) -> tuple[Block, ...]:
    return tuple(Block(block.end, block.part * by, block.total * by) for block in arm)


def _step(status: Mapping[str, Any]) -> str:
    steps, number = status.get("ladder", ()), int(status.get("step") or 0)
    return f"{number + 1} of {len(steps)}: {steps[number]}" if number < len(steps) else "all steps are done"


def _waits(status: Mapping[str, Any]) -> str:
    """Return what it waits for, without numbers that change by themselves."""
    conditions = status.get("conditions", ())
    moving = next((c for c in conditions if c["type"] == "Reconciling" and c["status"] == "True"), None)
    return str(moving["message"]) if moving else ""


__all__ = ["CannotReplay", "NothingAnswered", "Past", "Policy", "Revision", "replay"]

"""What the golden histories do not reach: objects of any shape, clocks, odd refusals, and calls that go wrong."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.engine import FakeEngine
from tests.golden.training.world import NAMESPACE, NOW, SPEC, World
from trainyard import naming
from trainyard.reconciling.plan import Action, Plan, WriteStatus
from trainyard.resources.pipeline_revision import PipelineState, state_of
from trainyard.resources.training_pipeline import Parameter, TrainingPipelineSpec
from trainyard.resources.training_run import TrainingRunSpec, TrainingRunStatus
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    MODEL_VERSION,
    SECRET,
    TRAINING_RUN,
    Conflict,
    Forbidden,
    Ref,
    Unavailable,
)
from trainyard.systems.engine.port import Announce, EngineError, EngineState, Outputs, Phase, Step, unannounced
from trainyard.training_run import deadlines, ending, lineage, outcome, parameters, reasons, request, sources
from trainyard.training_run.act import act
from trainyard.training_run.decide import decide
from trainyard.training_run.observe import observe, read
from trainyard.training_run.sources import Source
from trainyard.training_run.state import CreateVersion, Observed, StartEngine, StopEngine

STATE = PipelineState.model_validate(state_of(TrainingPipelineSpec.model_validate(SPEC)))
RUN = Ref(TRAINING_RUN, NAMESPACE, "once")


def obj(*, status: Any = None, annotations: Any = None, spec: Any = None, **metadata: Any) -> dict[str, Any]:
    meta = {"name": "once", "namespace": NAMESPACE, "uid": "u1", "generation": 1, "annotations": annotations or {}}
    return {"metadata": {**meta, **metadata}, "spec": spec or {"pipeline": "churn"}, "status": status or {}}


def started(engine: EngineState | None, **changes: Any) -> Observed:
    """Return a run that was started under its own identity."""
    identity = naming.engine_id("u1", 1)
    body = obj(
        annotations={naming.ANNOTATION_ENGINE_ID: identity},
        finalizers=[naming.FINALIZER],
        status={"steps": [{"name": "train", "state": "Pending"}]},
    )
    seen = read(body)
    assert seen.run is not None
    whole = request.whole(seen.run, STATE, "models")
    source = Source("churn-1", STATE)
    return replace(seen, engine=engine, kind="job", request=whole, source=source, **changes)


def summary(plan: Plan) -> tuple[str, str]:
    assert plan.status is not None
    told = next(c for c in plan.status["conditions"] if c["type"] == "Succeeded")
    return told["status"], told["reason"]


# ---- totality ----

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ENGINES = st.none() | st.builds(
    EngineState,
    st.sampled_from(Phase),
    st.sampled_from(["", "Unschedulable", "ImagePullFailed", "Stopping", "OutOfMemory", "Queued"]),
    st.text(max_size=20),
    st.lists(
        st.builds(
            Step, st.sampled_from(["data", "train"]), st.sampled_from([p for p in Phase if p is not Phase.ABSENT])
        ),
        max_size=2,
    ).map(tuple),
    due=st.booleans(),
    waiting_since=st.sampled_from([None, "2026-11-24T06:00:00Z", "yesterday"]),
)


@settings(max_examples=300, deadline=None)
@given(
    spec=st.fixed_dictionaries({}, optional={"pipeline": st.just("churn"), "cancel": JSON, "parameters": JSON}),
    status=st.dictionaries(st.sampled_from(["conditions", "steps", "attempt", "revision"]), JSON, max_size=4),
    outcome_text=st.none() | JSON.map(json.dumps) | st.text(max_size=8),
    engine=ENGINES,
    deleting=st.booleans(),
    identified=st.booleans(),
)
def test_decide_has_an_answer_for_everything(
    spec: Any, status: Any, outcome_text: Any, engine: Any, deleting: bool, identified: bool
) -> None:
    annotations = {naming.ANNOTATION_OUTCOME: outcome_text} if outcome_text is not None else {}
    annotations |= {naming.ANNOTATION_ENGINE_ID: "x"} if identified else {}
    meta: dict[str, Any] = {"finalizers": [naming.FINALIZER]}
    meta |= {"deletionTimestamp": "2026-11-24T05:00:00Z"} if deleting else {}
    body = {**obj(annotations=annotations, **meta), "spec": spec, "status": status}
    seen = replace(read(body), engine=engine, kind="job")
    plan = decide(seen, NOW)
    assert not any(isinstance(a, StartEngine) for a in plan.actions) or outcome_text is None


# ---- outcome ----


@pytest.mark.parametrize("text", ["", "{", "[]", '{"reason": 1}', "null"])
def test_an_outcome_that_cannot_be_read_still_ends_the_run(text: str) -> None:
    seen = read(obj(annotations={naming.ANNOTATION_OUTCOME: text}, creationTimestamp="2026-11-24T05:00:00Z"))
    plan = decide(seen, NOW)
    assert summary(plan) == ("False", "StepFailed")
    assert plan.status is not None
    assert plan.status["completionTime"] == "2026-11-24T05:00:00Z"


def test_an_outcome_reads_as_it_was_written() -> None:
    written = outcome.Outcome(reason="Succeeded", at="2026-11-24T06:00:00Z", model_version="once")
    annotations = dict(outcome.write(written).annotations)
    assert outcome.read(read(obj(annotations=annotations)).meta) == written


# ---- parameters ----

DECLARED = tuple(
    Parameter.model_validate(p)
    for p in (
        {"name": "epochs", "type": "Integer"},
        {"name": "rate", "type": "Double", "default": 0.5},
        {"name": "off", "type": "Boolean", "default": False},
    )
)


def test_parameters_are_completed_with_defaults() -> None:
    assert parameters.problem(DECLARED, {"epochs": 3}) == ""
    assert parameters.complete(DECLARED, {"epochs": 3}) == {"epochs": 3, "rate": 0.5, "off": False}


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ({}, "epochs has no default and no value"),
        ({"epochs": None}, "epochs is null, not an Integer"),
        ({"epochs": True}, "epochs is a Boolean, not an Integer"),
        ({"epochs": 1.5}, "epochs is a Double, not an Integer"),
        ({"epochs": 1, "rate": True}, "rate is a Boolean, not a Double"),
        ({"epochs": 1, "off": 0}, "off is an Integer, not a Boolean"),
    ],
)
def test_wrong_parameters(given_: Any, sentence: str) -> None:
    assert parameters.problem(DECLARED, given_) == f"Parameters: {sentence}."


# ---- the revision ----


def pipeline(generation: int = 1, **status: Any) -> dict[str, Any]:
    return {"metadata": {"generation": generation}, "status": status}


def conditions(status: str) -> list[dict[str, str]]:
    return [{"type": "Accepted", "status": status}]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, reasons.PIPELINE_NOT_FOUND),
        (pipeline(), reasons.PIPELINE_NOT_SEEN),
        (pipeline(2, observedGeneration=1, conditions=conditions("True"), revision="r"), reasons.PIPELINE_NOT_SEEN),
        (pipeline(1, observedGeneration=1, conditions=conditions("False")), reasons.PIPELINE_NOT_ACCEPTED),
        (pipeline(1, observedGeneration=1, conditions=conditions("True")), reasons.PIPELINE_NOT_SEEN),
        (pipeline(1, observedGeneration=1, conditions=conditions("True"), revision="r"), ""),
    ],
)
def test_the_present_revision(found: Any, reason: str) -> None:
    named = sources.revision_name(TrainingRunSpec(pipeline="churn"), TrainingRunStatus(), found)
    assert (named.reason, named.revision) == (reason, None if reason else "r")


def test_a_revision_that_was_asked_for_or_resolved_stays() -> None:
    asked = TrainingRunSpec(pipeline="churn", revision="churn-a")
    assert sources.revision_name(asked, TrainingRunStatus(revision="churn-b"), None).revision == "churn-a"
    resolved = TrainingRunStatus(revision="churn-b")
    assert sources.revision_name(TrainingRunSpec(pipeline="churn"), resolved, None).revision == "churn-b"


def test_a_revision_is_read_only_where_it_is_what_its_name_says() -> None:
    assert sources.read("churn", "churn-x", None).reason == reasons.REVISION_NOT_FOUND
    assert sources.read("churn", "churn-x", {"data": {"model": "m"}}).reason == reasons.REVISION_UNREADABLE
    odd = {"model": "m", "engine": {"airflow": {}}}
    told = sources.read("churn", naming.pipeline_revision("churn", odd), {"data": odd})
    assert (told.reason, told.state) == (reasons.REVISION_UNREADABLE, None)
    state = state_of(TrainingPipelineSpec.model_validate(SPEC))
    assert sources.read("churn", naming.pipeline_revision("churn", state), {"data": state}).state == STATE


# ---- clocks ----


def test_seconds_since() -> None:
    assert deadlines.since("2026-11-24T05:59:00Z", NOW) == 60
    assert deadlines.since("2026-11-24T05:59:00", NOW) == 60
    assert deadlines.since("yesterday", NOW) == 0
    assert deadlines.since(None, NOW) == 0


def test_no_clock_ticks_without_an_engine_or_a_revision() -> None:
    running = EngineState(Phase.RUNNING, steps=(Step("train", Phase.RUNNING, start_time="2026-11-24T05:00:00Z"),))
    assert deadlines.running_left(started(None), NOW) is None
    assert deadlines.running_left(replace(started(running), source=Source()), NOW) is None
    assert deadlines.running_left(started(running), NOW) == 86_400 - 3600


def test_the_next_look_is_when_a_clock_runs_out() -> None:
    running = EngineState(Phase.RUNNING, steps=(Step("train", Phase.RUNNING, start_time="2026-11-24T06:00:00Z"),))
    assert decide(started(running), NOW).revisit_after == 86_400
    assert decide(started(running), NOW + timedelta(seconds=86_399)).revisit_after == 1
    waiting = EngineState(Phase.PENDING, waiting_since="2026-11-24T06:00:00Z")
    assert decide(started(waiting), NOW).revisit_after == 10


# ---- rules that a history hardly meets ----


def test_an_engine_that_this_operator_lacks() -> None:
    seen = read(obj())
    assert seen.run is not None
    fresh = replace(seen, source=Source("churn-1", STATE), kind="vertexAI", available=False)
    assert summary(decide(fresh, NOW)) == ("Unknown", reasons.NOT_ACCEPTED)
    gone = replace(started(None), available=False)
    plan = decide(gone, NOW)
    assert summary(plan) == ("Unknown", reasons.ENGINE_UNREACHABLE)
    assert plan.actions == ()


def test_a_published_model_without_its_revision_has_no_gate() -> None:
    seen = replace(started(EngineState(Phase.SUCCEEDED)), source=Source("churn-1", reason="RevisionNotFound"))
    world_outputs = Outputs("s3://m/n/c/o/1/", "sha256:" + "0" * 64, "Custom", 1)
    assert summary(decide(replace(seen, outputs=world_outputs), NOW)) == ("False", reasons.PUBLISH_FAILED)


def test_pending_without_any_reason_ends_as_a_failed_step() -> None:
    waiting = EngineState(Phase.PENDING, waiting_since="2026-11-24T05:00:00Z", steps=(Step("train", Phase.PENDING),))
    plan = decide(started(waiting), NOW)
    kept = next(a for a in plan.actions if hasattr(a, "annotations"))
    told = json.loads(kept.annotations[naming.ANNOTATION_OUTCOME])
    assert (told["reason"], told["message"]) == ("StepFailed", "It could not begin: no reason is known")


def test_a_run_that_ended_as_it_was_cancelled_has_ended_as_it_did() -> None:
    seen = started(EngineState(Phase.FAILED, "StepFailed", "boom", (Step("train", Phase.FAILED, "StepFailed"),)))
    assert seen.run is not None
    asked = seen.run.model_copy(update={"spec": seen.run.spec.model_copy(update={"cancel": True})})
    assert summary(decide(replace(seen, run=asked), NOW)) == ("False", "StepFailed")


def test_an_ended_run_under_deletion_still_stops_what_runs() -> None:
    ended = {"conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}]}
    body = obj(
        status=ended,
        annotations={naming.ANNOTATION_ENGINE_ID: "x"},
        finalizers=[naming.FINALIZER],
        deletionTimestamp="2026-11-24T05:59:00Z",
    )
    seen = replace(read(body), engine=EngineState(Phase.RUNNING), kind="job", request=started(None).request)
    assert isinstance(decide(seen, NOW).actions[0], StopEngine)


def test_rows_hold_a_deletion_for_a_day() -> None:
    ended = {
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}],
        "unrecorded": [{"uid": "u1"}],
    }
    body = obj(status=ended, finalizers=[naming.FINALIZER], deletionTimestamp="2026-11-24T05:59:00Z")
    assert decide(read(body), NOW) == Plan()
    assert decide(read(body), NOW + timedelta(days=1)) == ending.release(read(body))


def test_skip_cleanup_with_nothing_to_clean() -> None:
    body = obj(
        annotations={naming.ANNOTATION_SKIP_CLEANUP: "true"},
        finalizers=["other/one", naming.FINALIZER],
        deletionTimestamp="2026-11-24T05:59:00Z",
    )
    plan = decide(read(body), NOW)
    assert plan.notes == ()
    assert plan.actions == ending.release(read(body)).actions


def test_the_intent_is_not_written_twice() -> None:
    seen = read(
        obj(finalizers=[naming.FINALIZER], annotations={naming.ANNOTATION_ENGINE_ID: naming.engine_id("u1", 1)})
    )
    assert seen.run is not None
    whole = request.whole(seen.run, STATE, "models")
    absent = EngineState(Phase.ABSENT)
    seen = replace(seen, engine=absent, kind="job", request=whole, source=Source("churn-1", STATE))
    first = decide(seen, NOW)
    assert [type(a) for a in first.actions] == [WriteStatus, StartEngine]
    again = replace(seen, before=TrainingRunStatus.model_validate(first.status))
    assert [type(a) for a in decide(again, NOW + timedelta(minutes=5)).actions] == [StartEngine]


def test_every_reason_with_a_sentence_is_told_where_nothing_better_is_known() -> None:
    assert reasons.sentence(reasons.TIMED_OUT) == reasons.SENTENCES[reasons.TIMED_OUT]
    assert reasons.sentence(reasons.TIMED_OUT, "mine") == "mine"


# ---- observe ----


async def test_a_run_that_has_ended_costs_no_read() -> None:
    world = World()
    ended = {"conditions": [{"type": "Succeeded", "status": "False", "reason": "StepFailed"}]}
    await observe(obj(status=ended), world.systems)
    assert world.cluster.reads == 0


async def test_a_status_that_cannot_be_read_counts_as_lost() -> None:
    assert read(obj(status={"attempt": "many"})).before == TrainingRunStatus()


async def test_a_secret_that_may_not_be_read_is_not_usable() -> None:
    world = World()
    env = [{"name": "KEY", "secretKeyRef": {"name": "key", "key": "token"}}]
    world.pipeline(engine={"job": {"template": {"image": "x", "env": env}}}, triggers={})
    run = world.run("once")
    world.cluster.fail("get", SECRET, Forbidden("no"), times=100)
    await world.settle()
    assert [c["reason"] for c in world.look(run)["status"]["conditions"] if c["type"] == "Accepted"] == [
        "SecretNotUsable"
    ]


async def test_without_its_revision_a_run_is_still_found_and_cancelled() -> None:
    world = World()
    engine = FakeEngine()
    world.use_engine(engine)
    world.pipeline(triggers={})
    run = world.run("once")
    await world.settle()
    for revision in world.cluster.all(CONTROLLER_REVISION):
        world.cluster.remove(Ref(CONTROLLER_REVISION, NAMESPACE, revision["metadata"]["name"]))
    world.cluster.edit(run, {"spec": {"cancel": True}})
    await world.visit(run)
    await world.visit(run)
    assert engine.states == {}
    seen = await observe(world.look(run), world.systems)
    assert [c.reason for c in seen.before.conditions if c.type == "Succeeded"] == ["Cancelled"]


async def test_an_engine_that_the_operator_lost_is_not_asked() -> None:
    world = World()
    world.systems = replace(world.systems, engines={})
    body = obj(annotations={naming.ANNOTATION_ENGINE_ID: "x"})
    seen = await observe(body, world.systems)
    assert (seen.engine, seen.available) == (None, False)


# ---- act ----


class Refusing(FakeEngine):
    """An engine that starts and stops nothing."""

    async def start(self, request: Any, announce: Announce = unannounced) -> None:
        raise EngineError("quota")

    async def cancel(self, request: Any) -> bool:
        raise EngineError("no")


async def test_a_refusal_is_told_once() -> None:
    world = World()
    world.use_engine(Refusing())
    ref = world.run("once")
    told = [{"type": "Succeeded", "status": "Unknown", "reason": "Starting", "message": ""}]
    world.cluster.edit(ref, {"status": {"conditions": told}}, status=True)
    whole = started(None).request
    assert whole is not None
    for _ in range(2):
        with pytest.raises(Unavailable, match="quota"):
            await act(StartEngine("job", whole), world.look(ref), world.systems)
    assert len(world.cluster.writes) == 1
    assert world.look(ref)["status"]["conditions"][0]["reason"] == reasons.ENGINE_UNREACHABLE
    bare = {"metadata": world.look(ref)["metadata"]}
    with pytest.raises(Unavailable):
        await act(StartEngine("job", whole), bare, world.systems)
    assert len(world.cluster.writes) == 1, "there is no condition to say it in"
    with pytest.raises(Unavailable):
        await act(StopEngine("job", whole), world.look(ref), world.systems)


async def test_a_version_that_appeared_meanwhile() -> None:
    world = World()
    artifact = {"uri": "s3://models/team/churn/once/1/", "digest": "sha256:" + "0" * 64}
    mine = {
        "apiVersion": naming.API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": "once", "namespace": NAMESPACE},
        "spec": {"artifact": artifact, "source": {"run": "once"}},
    }
    body = obj()
    for _ in range(2):
        assert await act(CreateVersion(mine), body, world.systems) == body
    world.cluster.edit(Ref(MODEL_VERSION, NAMESPACE, "once"), {"spec": {"source": {"run": "other"}}})
    with pytest.raises(Conflict):
        await act(CreateVersion(mine), body, world.systems)


async def test_an_action_of_another_kind_is_a_bug() -> None:
    with pytest.raises(TypeError):
        await act(Action(), obj(), World().systems)


# ---- lineage ----


@pytest.mark.parametrize(
    ("stamp", "wide"),
    [
        ("2026-11-24T06:00:00Z", "2026-11-24T06:00:00.000000Z"),
        ("2026-11-24T06:00:00.5Z", "2026-11-24T06:00:00.500000Z"),
    ],
)
def test_created_at_comes_from_the_publisher_and_is_the_same_every_time(stamp: str, wide: str) -> None:
    run = read(obj()).run
    assert run is not None
    outputs = Outputs("s3://m/n/c/o/1/", "sha256:" + "0" * 64, "Custom", 1, completed_at=stamp)
    versions = [lineage.version_of(run, STATE, outputs) for _ in range(2)]
    assert versions[0] == versions[1]
    assert versions[0]["spec"]["createdAt"] == wide
    assert versions[0]["spec"]["evaluation"] == {"metrics": [{"name": "auc", "min": "0.80"}], "noRules": "Reject"}


def test_an_unreadable_run_has_rows_too() -> None:
    seen = Observed(read(obj()).meta, TrainingRunStatus(), problem="odd")
    ended = outcome.Outcome(reason="Cancelled", at=datetime(2026, 1, 1, tzinfo=UTC).isoformat())
    (row,) = lineage.finished(seen, ended)
    assert (row.sequence, row.data["reason"]) == (2, "Cancelled")

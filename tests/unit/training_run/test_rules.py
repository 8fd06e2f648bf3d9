"""What the golden histories do not reach: objects of any shape, clocks, odd refusals, and calls that go wrong."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.training.world import NOW
from tests.unit.training_run.making import STATE, obj, started
from trainyard import naming
from trainyard.reconciling.plan import PatchMetadata, Plan, WriteStatus
from trainyard.resources.training_run import TrainingRunStatus
from trainyard.systems.engine.port import EngineState, Outputs, Phase, Step
from trainyard.training_run import deadlines, ending, outcome, reasons, request
from trainyard.training_run.decide import decide
from trainyard.training_run.observe import read
from trainyard.training_run.sources import Source
from trainyard.training_run.state import StartEngine, StopEngine


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


def test_a_run_whose_annotations_are_full_ends_all_the_same() -> None:
    ends = outcome.Outcome(reason="Cancelled", at="2026-11-24T06:00:00Z")
    room = sum(len(key) + len(value) for key, value in outcome.write(ends).annotations.items())
    for length, kept in ((outcome.ANNOTATIONS_BYTES - room, 1), (outcome.ANNOTATIONS_BYTES - room + 1, 0)):
        seen = read(obj(annotations={"example.com/a": "x" * (length - len("example.com/a"))}))
        plan = ending.end(seen, NOW, ends)
        assert sum(isinstance(action, PatchMetadata) for action in plan.actions) == kept
        assert summary(plan) == ("False", "Cancelled")


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

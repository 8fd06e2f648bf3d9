"""What the stories of attempts do not reach: who may be retried, how long it waits, odd annotations, and the line."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.golden.training.world import NAMESPACE, NOW, SPEC, World
from tests.unit.training_run.making import obj, started
from trainyard import naming
from trainyard.reconciling.plan import PatchMetadata, WriteStatus
from trainyard.resources.base import ObjectMeta
from trainyard.resources.pipeline_revision import PipelineState, state_of
from trainyard.resources.training_pipeline import Retry, TrainingPipelineSpec
from trainyard.resources.training_run import TrainingRun, TrainingRunStatus
from trainyard.systems.cluster.port import SECRET, Ref
from trainyard.systems.engine.port import EngineState, Phase, Step
from trainyard.training_run import concurrency, deadlines, reasons, request, retrying, sources, status
from trainyard.training_run.decide import decide
from trainyard.training_run.state import Observed, StartEngine, StopEngine

AT = "2026-11-24T05:59:00Z"
FIRST = naming.engine_id("u1", 1)


def failing(reason: str = "StepFailed", *, limit: int = 1, began: str | None = AT) -> Observed:
    """Return a run whose engine says that it failed."""
    step = Step("train", Phase.FAILED, reason, "boom", 1, began, AT)
    seen = started(EngineState(Phase.FAILED, reason, "boom", (step,)))
    assert seen.source.state is not None
    state = seen.source.state.model_copy(update={"retry": Retry(limit=limit, backoff_seconds=60)})
    return replace(seen, source=replace(seen.source, state=state))


def between(**changes: Any) -> Observed:
    """Return a run between two attempts: the first one is known to have failed, and is gone."""
    seen = failing()
    told = decide(seen, NOW).status
    return replace(
        seen, before=TrainingRunStatus.model_validate(told), **{"engine": EngineState(Phase.ABSENT), **changes}
    )


def reason_of(seen: Observed, seconds: int = 0) -> str:
    plan = decide(seen, NOW + timedelta(seconds=seconds))
    assert plan.status is not None
    return str(next(c["reason"] for c in plan.status["conditions"] if c["type"] == "Succeeded"))


# ---- who is tried again ----


@pytest.mark.parametrize("reason", sorted(retrying.RETRIED))
def test_what_another_attempt_may_not_meet_is_tried_again(reason: str) -> None:
    assert reason_of(failing(reason)) == reasons.RETRYING


@pytest.mark.parametrize("reason", [reasons.PUBLISH_FAILED, reasons.UNSCHEDULABLE, reasons.IMAGE_PULL_FAILED])
def test_the_rest_is_final(reason: str) -> None:
    assert reason_of(failing(reason)) == reason


def test_not_beyond_the_limit_nor_the_time_nor_a_persons_will() -> None:
    assert reason_of(failing(limit=0)) == "StepFailed"
    assert reason_of(failing(began="2026-11-22T00:00:00Z")) == "StepFailed"
    assert reason_of(failing(began=None)) == reasons.RETRYING, "nothing says that it took any time"
    seen = failing()
    assert seen.run is not None
    cancelled = seen.run.model_copy(update={"spec": seen.run.spec.model_copy(update={"cancel": True})})
    assert reason_of(replace(seen, run=cancelled)) == "StepFailed"


def test_the_failure_is_kept_before_anything_is_taken_away() -> None:
    plan = decide(failing(), NOW)
    assert [type(a) for a in plan.actions] == [WriteStatus, StopEngine]
    (kept,) = TrainingRunStatus.model_validate(plan.status).attempts
    assert (kept.attempt, kept.engine_id, kept.reason, kept.start_time) == (1, FIRST, "StepFailed", AT)
    assert plan.status is not None
    assert plan.status["retryTime"] == "2026-11-24T06:01:00Z"


def test_waits_double_up_to_an_hour() -> None:
    seen = failing(limit=98)
    assert [retrying._wait(seen, n) for n in (1, 2, 3, 7, 98)] == [60, 120, 240, 3600, 3600]
    assert seen.source.state is not None
    slow = seen.source.state.model_copy(update={"retry": Retry(limit=1, backoff_seconds=7200)})
    assert retrying._wait(replace(seen, source=replace(seen.source, state=slow)), 2) == 7200


# ---- between two attempts ----


def test_the_next_one_is_not_named_before_the_old_pods_are_gone_and_its_time_has_come() -> None:
    stopping = decide(between(engine=EngineState(Phase.RUNNING, "Stopping")), NOW + timedelta(hours=1))
    assert [type(a) for a in stopping.actions] == [StopEngine]
    early = decide(between(), NOW)
    assert (early.actions, early.revisit_after) == ((), 60)
    identity, intent, start = decide(between(), NOW + timedelta(seconds=60)).actions
    assert isinstance(identity, PatchMetadata)
    assert isinstance(intent, WriteStatus)
    assert isinstance(start, StartEngine)
    second = naming.engine_id("u1", 2)
    assert identity.annotations == {naming.ANNOTATION_ENGINE_ID: second, naming.ANNOTATION_ATTEMPT: "2"}
    assert (start.request.id, start.request.attempt, start.request.output[-3:]) == (second, 2, "/2/")


def test_an_engine_that_is_away_meanwhile_is_told_and_then_forgotten() -> None:
    assert reason_of(between(engine=None, engine_error="away")) == reasons.ENGINE_UNREACHABLE
    assert reason_of(between()) == reasons.RETRYING


def test_without_its_revision_the_next_one_waits() -> None:
    plan = decide(between(source=sources.Source("churn-1", reason="RevisionNotFound")), NOW + timedelta(hours=1))
    assert plan.actions == ()
    assert plan.status is not None
    assert plan.status["conditions"][0]["reason"] == "RevisionNotFound"


def test_of_many_attempts_the_newest_are_kept() -> None:
    seen = between()
    kept = seen.before.attempts[0]
    many = tuple(kept.model_copy(update={"attempt": n, "engine_id": str(n)}) for n in range(2, 30))
    before = seen.before.model_copy(update={"attempts": many})
    plan = decide(replace(failing(), before=before), NOW)
    told = TrainingRunStatus.model_validate(plan.status)
    assert len(told.attempts) == 20
    assert told.attempts[-1].attempt == 1


# ---- what metadata says ----


@pytest.mark.parametrize(
    ("carried", "attempt"), [("2", 2), ("99", 99), ("0", 1), ("100", 1), ("٣", 1), ("many", 1), ("", 1)]
)
def test_the_attempt_that_metadata_carries(carried: str, attempt: int) -> None:
    meta = ObjectMeta.model_validate(obj(annotations={naming.ANNOTATION_ATTEMPT: carried})["metadata"])
    assert request.identity(meta, TrainingRunStatus()) == (naming.engine_id("u1", attempt), attempt)


def test_runs_of_before_carry_no_number_and_go_by_their_status() -> None:
    meta = ObjectMeta.model_validate(obj()["metadata"])
    assert request.identity(meta, TrainingRunStatus(attempt=3))[1] == 3


def test_time_that_former_attempts_took() -> None:
    one = {"attempt": 1, "engineId": "x", "reason": "StepFailed", "startTime": AT}
    rows = [{**one, "completionTime": "2026-11-24T06:00:00Z"}, one, {**one, "completionTime": "odd"}]
    status = TrainingRunStatus.model_validate({"attempts": rows})
    assert deadlines.spent(replace(failing(), before=status)) == 60


# ---- the line of events' runs ----


def event_run(name: str, at: str, **status: Any) -> dict[str, Any]:
    trigger = {"type": "Event", "name": "new", "eventSource": "//s", "eventId": name}
    meta = {"name": name, "namespace": NAMESPACE, "uid": name, "creationTimestamp": at}
    return {"metadata": meta, "spec": {"pipeline": "churn", "trigger": trigger}, "status": status}


ENDED = {"conditions": [{"type": "Succeeded", "status": "False"}]}


def test_who_is_ahead() -> None:
    mine = TrainingRun.model_validate(event_run("b", AT))
    older = event_run("z", "2026-11-24T05:58:00Z")
    other = {**older, "spec": {"pipeline": "fraud"}}
    later = event_run("c", AT)
    assert concurrency.ahead_of(mine, [older, event_run("a", AT), later, event_run("b", AT)]) == "z"
    assert concurrency.ahead_of(mine, [{**older, "status": ENDED}, other, later, {"metadata": {"name": "x"}}]) == ""
    assert concurrency.ahead_of(mine, [event_run("a", AT)]) == "a", "in one second the name decides"


@pytest.mark.parametrize(
    ("pipeline", "waits"),
    [
        (None, False),
        ({"spec": {}}, True),
        ({"spec": {"concurrency": "Forbid"}}, True),
        ({"spec": {"concurrency": "Allow"}}, False),
    ],
)
def test_only_under_forbid(pipeline: Any, waits: bool) -> None:
    assert concurrency.may_wait(TrainingRun.model_validate(event_run("b", AT)), pipeline) is waits


def test_one_off_runs_never_wait() -> None:
    assert not concurrency.may_wait(TrainingRun.model_validate(obj()), {"spec": {}})


async def test_with_allow_nobody_waits() -> None:
    world = World()
    world.pipeline(triggers={}, concurrency="Allow")
    for name in ("a", "b"):
        world.run(name, trigger=event_run(name, AT)["spec"]["trigger"])
    await world.settle_until_waiting(2)
    assert len([w for w in world.cluster.writes if w.ref.kind.kind == "Job"]) == 2


def test_a_long_message_keeps_its_end() -> None:
    lines = "\n".join(f"line {number}" for number in range(200))
    told = status.shortened(f"Step train failed with exit code 3: {lines}")
    assert (len(told), told.startswith("Step train failed with exit code 3: "), told.endswith("line 199")) == (
        1024,
        True,
        True,
    )
    assert status.shortened("short") == "short"


# ---- Secrets ----


async def test_a_secret_that_is_mounted_must_be_open_to_pods_too() -> None:
    volume = {"name": "key", "mountPath": "/key", "secret": {"name": "key"}}
    world = World()
    world.pipeline(triggers={}, engine={"job": {"template": {"image": "x", "volumes": [volume]}}})
    run = world.run("once")
    await world.settle()
    accepted = [c for c in world.look(run)["status"]["conditions"] if c["type"] == "Accepted"]
    assert accepted[0]["reason"] == "SecretNotUsable"
    meta = {"name": "key", "namespace": NAMESPACE, "labels": {"trainyard.dev/usable-by-pods": "true"}}
    world.cluster.seed({"apiVersion": "v1", "kind": "Secret", "metadata": meta})
    assert world.cluster.look(Ref(SECRET, NAMESPACE, "key")) is not None
    await world.settle()
    assert world.look(run)["status"]["attempt"] == 1


def test_the_state_that_a_run_reads_keeps_the_retries() -> None:
    spec = TrainingPipelineSpec.model_validate({**SPEC, "retry": {"limit": 3}})
    assert PipelineState.model_validate(state_of(spec)).retry.limit == 3

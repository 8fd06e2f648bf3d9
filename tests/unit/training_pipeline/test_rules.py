"""What the golden histories do not reach: digests, pruning, unreadable neighbours, and calls that meet somebody."""

from datetime import timedelta
from typing import Any

import pytest

from tests.golden.training.world import NAMESPACE, NOW, SPEC, World
from trainyard import naming
from trainyard.reconciling.plan import Action, Plan
from trainyard.resources.pipeline_revision import PipelineState, state_of
from trainyard.resources.training_pipeline import History, TrainingPipelineSpec, TrainingPipelineStatus
from trainyard.resources.training_run import TrainingRun
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    MODEL_VERSION,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    AlreadyExists,
    Invalid,
    Ref,
)
from trainyard.training_pipeline import children, inputs, pruning, reasons
from trainyard.training_pipeline.act import act
from trainyard.training_pipeline.decide import decide
from trainyard.training_pipeline.observe import observe, read
from trainyard.training_pipeline.state import CancelRun, CreateRevision, CreateRun

KEY = Ref(TRAINING_PIPELINE, NAMESPACE, "churn")


def spec(**changes: Any) -> TrainingPipelineSpec:
    return TrainingPipelineSpec.model_validate({**SPEC, **changes})


# ---- inputs ----


@pytest.mark.parametrize(
    "changes",
    [
        {"suspend": True},
        {"history": {"succeeded": 1}},
        {"concurrency": "Allow"},
        {"compute": {"nodeSelector": {"a": "b"}}},
        {"evaluation": {"noRules": "Accept"}},
        {"timeoutSeconds": 5},
        {"parameters": [{"name": "epochs", "type": "Integer", "default": 3, "description": "said better"}]},
        {"engine": {"job": {"template": {"image": "localhost/trainer:1", "args": ["--fast"], "env": []}}}},
    ],
)
def test_what_makes_no_other_model_keeps_the_digest(changes: dict[str, Any]) -> None:
    assert inputs.digest(spec(**changes)) == inputs.digest(spec())


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": [{"name": "epochs", "type": "Integer", "default": 4}]},
        {"parameters": [{"name": "epochs", "type": "Double", "default": 3}]},
        {"data": {"datasets": [{"name": "train", "uri": "s3://data/other/"}]}},
        {"engine": {"job": {"template": {"image": "localhost/trainer:2", "args": ["--fast"]}}}},
    ],
)
def test_what_makes_another_model_changes_it(changes: dict[str, Any]) -> None:
    assert inputs.digest(spec(**changes)) != inputs.digest(spec())


def test_a_revision_keeps_what_a_run_can_see() -> None:
    state = state_of(spec())
    assert PipelineState.model_validate(state).to_wire() == state
    assert state_of(spec(suspend=True, history={"failed": 1})) == state
    assert state_of(spec(timeoutSeconds=5)) != state


# ---- pruning ----


def run(name: str, number: int, status: str = "True", **fields: Any) -> TrainingRun:
    born = (NOW + timedelta(minutes=number)).isoformat()
    told = [{"type": "Succeeded", "status": status, "reason": "x"}]
    body = {"conditions": told, **fields}
    meta = {"name": name, "creationTimestamp": born}
    return TrainingRun.model_validate({"metadata": meta, "spec": {"pipeline": "churn"}, "status": body})


def pruned(runs: list[TrainingRun], kept: set[str] | None = None) -> list[str]:
    history = History(succeeded=1, failed=1)
    return [r.metadata.name for r in pruning.superfluous(runs, history, kept or set(), NOW)]


def test_the_newest_stay_by_kind_of_end() -> None:
    runs = [run("a", 1), run("b", 2), run("c", 3, "False"), run("d", 4, "False"), run("e", 5, "Unknown")]
    assert pruned(runs) == ["a", "c"]
    assert pruned(runs, {"a"}) == ["c"]


def test_rows_that_wait_keep_a_run_for_a_day() -> None:
    rows: dict[str, Any] = {"unrecorded": [{"uid": "x"}]}
    yesterday = (NOW - timedelta(days=1)).isoformat()
    young = run("a", 1, completionTime=NOW.isoformat(), **rows)
    old = run("b", 2, completionTime=yesterday, **rows)
    odd = run("c", 3, completionTime="some day", **rows)
    naive = run("d", 4, completionTime=NOW.replace(tzinfo=None).isoformat(), **rows)
    assert pruned([young, old, odd, naive, run("z", 9)]) == ["b", "c"]


def test_at_most_twenty_at_once_the_oldest_first() -> None:
    runs = [run(f"r{n:02d}", n) for n in range(30)]
    assert pruned(runs) == [f"r{n:02d}" for n in range(20)]


# ---- decide and observe ----


async def test_a_pipeline_that_is_being_deleted_starts_nothing() -> None:
    world = World()
    world.pipeline()
    body = world.look(KEY)
    body["metadata"]["deletionTimestamp"] = "2026-11-24T06:00:00Z"
    assert decide(await observe(body, world.systems), NOW) == Plan()


async def test_a_pipeline_made_anew_does_not_train_again_what_is_there() -> None:
    world = World()
    world.pipeline()
    name = world.name_of_due_run()
    body = {"apiVersion": "trainyard.dev/v1alpha1", "kind": "ModelVersion"}
    meta = {"name": name, "namespace": NAMESPACE}
    source = {"model": "churn", "source": {"run": name}, "createdAt": "2026-01-01T00:00:00Z"}
    world.cluster.seed({**body, "metadata": meta, "spec": source})
    await world.settle()
    assert world.cluster.all(TRAINING_RUN) == ()
    ready = next(c for c in world.look(KEY)["status"]["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("True", reasons.UP_TO_DATE)


async def test_other_content_under_the_revisions_name() -> None:
    world = World()
    world.pipeline()
    pipeline = read(world.look(KEY)).pipeline
    assert pipeline is not None
    revision = {**children.revision(pipeline), "data": {"model": "evil"}}
    world.cluster.seed(revision)
    await world.settle()
    ready = next(c for c in world.look(KEY)["status"]["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", reasons.REVISION_CONFLICT)
    assert world.cluster.all(TRAINING_RUN) == ()


async def test_a_status_that_cannot_be_read_counts_as_lost() -> None:
    world = World()
    world.pipeline()
    body = {**world.look(KEY), "status": {"activeRuns": "many"}}
    assert read(body).before == TrainingPipelineStatus()


async def test_a_run_that_cannot_be_read_counts_as_active_once_it_was_started() -> None:
    world = World()
    world.pipeline(triggers={})
    odd = world.run("odd", parameters=["no", "map"])
    world.run("elsewhere", pipeline="other")
    assert (await observe(world.look(KEY), world.systems)).runs == (), "it will never start, and holds nobody up"
    world.cluster.edit(odd, {"metadata": {"annotations": {naming.ANNOTATION_ENGINE_ID: "id"}}})
    seen = await observe(world.look(KEY), world.systems)
    assert [(r.metadata.name, pruning.has_ended(r)) for r in seen.runs] == [("odd", False)]


async def test_the_latest_version_is_the_newest_that_is_ready() -> None:
    world = World()
    world.pipeline(triggers={})
    for name, model, at, ready in (
        ("v1", "churn", "2026-01-01T00:00:00Z", "True"),
        ("v2", "churn", "2026-01-02T00:00:00Z", "True"),
        ("v3", "churn", "2026-01-03T00:00:00Z", "False"),
        ("v4", "other", "2026-01-04T00:00:00Z", "True"),
    ):
        meta = {"name": name, "namespace": NAMESPACE}
        body = {"apiVersion": "trainyard.dev/v1alpha1", "kind": "ModelVersion", "metadata": meta}
        told = {"conditions": [{"type": "Ready", "status": ready}]}
        world.cluster.seed({**body, "spec": {"model": model, "createdAt": at}}, status=told)
    await world.settle()
    assert world.look(KEY)["status"]["latestVersion"] == "v2"
    world.cluster.remove(Ref(MODEL_VERSION, NAMESPACE, "v2"))
    await world.settle()
    assert world.look(KEY)["status"]["latestVersion"] == "v1"


# ---- act ----


async def test_a_revision_that_exists_is_no_error_but_a_run_is() -> None:
    world = World()
    world.pipeline()
    pipeline = read(world.look(KEY)).pipeline
    assert pipeline is not None
    body = world.look(KEY)
    for _ in range(2):
        await act(CreateRevision(children.revision(pipeline)), body, world.systems)
    assert len(world.cluster.all(CONTROLLER_REVISION)) == 1
    await act(CreateRun(children.run_by_change(pipeline)), body, world.systems)
    with pytest.raises(AlreadyExists):
        await act(CreateRun(children.run_by_change(pipeline)), body, world.systems)


async def test_a_run_that_went_needs_no_cancelling() -> None:
    world = World()
    world.pipeline()
    body = world.look(KEY)
    assert await act(CancelRun("gone"), body, world.systems) == body


async def test_what_a_person_cancelled_meanwhile_stays_theirs() -> None:
    world = World()
    world.pipeline()
    world.cluster.fail("patch", TRAINING_RUN, Invalid("cancelledBy is set together with cancel, and stays"))
    body = world.look(KEY)
    assert await act(CancelRun("theirs"), body, world.systems) == body


async def test_an_action_of_another_kind_is_a_bug() -> None:
    with pytest.raises(TypeError):
        await act(Action(), {"metadata": {"namespace": NAMESPACE}}, World().systems)

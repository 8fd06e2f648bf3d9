"""Scenarios 35-37 on Kubeflow: whatever is killed, cut or answered wrongly, one run in the end."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.fakes.kubeflow import Fault, ref
from tests.golden.kubeflow.world import PACKAGE, SPEC, KubeflowWorld
from tests.golden.training.world import Killed, end_state
from trainyard.systems.cluster.port import (
    EVENT,
    MODEL_VERSION,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    WORKFLOW,
    Ref,
    Unavailable,
)

pytestmark = pytest.mark.crashes

ROUNDS = 34  # of 20 s and more: the server's own timeout passes once
API_WRITES = 4  # pipeline, version, experiment, run


class Lost(Unavailable):
    """The write happened, its reply did not arrive."""


@asynccontextmanager
async def world(**given: Any) -> AsyncIterator[KubeflowWorld]:
    made = await KubeflowWorld(**given).enter()
    made.pipeline(**SPEC)
    try:
        yield made
    finally:
        await made.leave()


def end(made: KubeflowWorld) -> dict[str, Any]:
    """What is left, without the Workflow's running number."""
    return {name: what for name, what in end_state(made).items() if not name.startswith("Workflow/")}


def assert_one(made: KubeflowWorld, why: str = "") -> None:
    assert len(made.kubeflow.posted) == 1, why + made.text()
    assert len(made.cluster.all(WORKFLOW)) == 1, why + made.text()
    assert len(made.cluster.all(MODEL_VERSION)) == 1, why + made.text()


async def _calm() -> tuple[dict[str, Any], int]:
    async with world() as made:
        await made.go_on(ROUNDS)
        assert_one(made)
        assert made.api.writes == API_WRITES
        await made.stays_quiet()
        return end(made), len(made.cluster.writes)


@pytest.mark.parametrize("fault", [Killed, Lost], ids=["killed", "reply-lost"])
async def test_after_every_write_to_the_cluster(fault: type[Exception]) -> None:
    expected, writes = await _calm()
    for j in range(1, writes + 1):
        async with world(kill_at=j, fault=fault) as made:
            await made.go_on(ROUNDS)
            assert_one(made, f"write {j}: ")
            assert end(made) == expected, f"write {j}:\n{made.text()}"
            assert made.cluster.writes[j - 1].ref.kind == EVENT or "cycle ends" in made.text()


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_around_every_write_to_kubeflow(before: bool) -> None:
    expected, _ = await _calm()
    for j in range(1, API_WRITES + 1):
        async with world(kill_api_at=j, kill_before=before) as made:
            await made.go_on(ROUNDS)
            assert "cycle ends" in made.text()
            assert_one(made, f"API write {j}: ")
            assert end(made) == expected, f"API write {j}:\n{made.text()}"


@pytest.mark.parametrize("readable", [True, False], ids=["workflows", "api-only"])
@pytest.mark.parametrize(
    "fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.ERROR_BEFORE, Fault.ERROR_AFTER, Fault.LATE]
)
async def test_the_start_is_answered_wrongly(fault: Fault, readable: bool) -> None:
    async with world(workflows_readable=readable) as made:
        made.kubeflow.faults.append(("POST", "/runs$", fault))
        await made.go_on(ROUNDS)
        assert_one(made)


@pytest.mark.parametrize("path", ["/pipelines$", "upload_version", "/experiments$"])
@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.ERROR_BEFORE, Fault.ERROR_AFTER])
async def test_what_a_start_needs_is_created_or_adopted(path: str, fault: Fault) -> None:
    async with world() as made:
        made.kubeflow.faults.append(("POST", path, fault))
        await made.go_on(12)
        assert_one(made)
        assert (len(made.kubeflow.pipelines), len(made.kubeflow.versions), len(made.kubeflow.experiments)) == (1, 1, 1)


async def test_a_workflow_without_a_row_is_waited_out() -> None:
    """The server died between its two writes; the agent deletes the Workflow; then it is sent again."""
    async with world() as made:
        made.kubeflow.faults.append(("POST", "/runs$", Fault.ORPHAN))
        await made.go_on(ROUNDS)
        assert_one(made)
        assert len(made.started()) == 2


async def test_nothing_is_sent_again_before_the_servers_own_timeout() -> None:
    async with world() as made:
        made.kubeflow.faults.append(("POST", "/runs$", Fault.LATE))
        made.kubeflow.tick, tick = (lambda: None), made.kubeflow.tick  # type: ignore[method-assign] # nobody does the late work yet
        await made.go_on(6)
        run = made.look(made.only_run())
        assert [c["reason"] for c in run["status"]["conditions"] if c["type"] == "Succeeded"] == ["Submitted"]
        assert [r for r in made.kubeflow.requests if r[0] == "POST" and r[1].endswith("/runs")] == [
            ("POST", "/apis/v2beta1/runs")
        ]
        made.kubeflow.tick = tick  # type: ignore[method-assign] # as above
        await made.go_on(12)
        assert_one(made)


async def test_away_for_an_hour_then_goes_on() -> None:
    async with world() as made:
        made.kubeflow.stays = True
        await made.wait_until_said("Running")
        made.kubeflow.away = True
        await made.wait_until_said("EngineUnreachable")
        made.pass_time(3600)
        await made.go_on(2)
        assert "could" not in made.text()
        made.kubeflow.away, made.kubeflow.stays = False, False
        await made.wait_until_said("Succeeded")
        assert_one(made)


async def test_a_run_deleted_behind_our_back_is_said_and_not_made_again() -> None:
    async with world() as made:
        made.kubeflow.stays = True
        run = await made.wait_until_said("Running")
        made.kubeflow.delete(run["status"]["engine"]["id"])
        ended = await made.wait_until_said("StepFailed")
        assert "deleted by somebody else" in _message(ended)
        await made.go_on(ROUNDS)
        assert len(made.started()) == 1
        assert not made.cluster.all(MODEL_VERSION)


async def test_a_workflow_deleted_behind_our_back_is_said_too() -> None:
    async with world() as made:
        made.kubeflow.stays = True
        await made.wait_until_said("Running")
        (workflow,) = made.kubeflow.workflows()
        made.cluster.remove(ref(workflow))
        assert "deleted by somebody else" in _message(await made.wait_until_said("StepFailed"))
        assert len(made.started()) == 1


@pytest.mark.parametrize("readable", [True, False], ids=["workflows", "api-only"])
async def test_a_workflow_that_kubeflow_deletes_before_it_has_the_row_ends_the_run(readable: bool) -> None:
    """Its agent reported the Workflow while CreateRun was at work; seen on a busy machine with the real server."""
    async with world(workflows_readable=readable) as made:
        while not made.kubeflow.posted:
            for key in made.keys():  # noqa: SIM118 - not a dict
                await made.visit(key)
        (workflow,) = made.kubeflow.workflows()
        made.cluster.remove(ref(workflow))
        await made.go_on(4)
        if not readable:
            run = made.look(made.only_run())
            assert [c["reason"] for c in run["status"]["conditions"] if c["type"] == "Succeeded"] == ["Pending"]
            made.pass_time(600)
        ended = await made.wait_until_said("StepFailed")
        assert "deleted by" in _message(ended) if readable else "could not begin" in _message(ended)
        await made.go_on(ROUNDS)
        assert len(made.started()) == 1
        await made.stays_quiet()


async def test_cancel_terminates_and_reads_back() -> None:
    async with world() as made:
        made.kubeflow.stays = True
        await made.wait_until_said("Running")
        made.kubeflow.holds = True
        made.cluster.edit(made.only_run(), {"spec": {"cancel": True}})
        await made.wait_until_said("Stopping")
        assert made.kubeflow.workflows()[0]["spec"]["activeDeadlineSeconds"] == 0
        made.kubeflow.holds = False
        await made.wait_until_said("Cancelled")
        await made.go_on(2)
        await made.stays_quiet()


async def test_cancelled_before_it_is_shown() -> None:
    """A start that is still on its way may not be forgotten: it is waited for, and stopped."""
    async with world() as made:
        made.kubeflow.faults.append(("POST", "/runs$", Fault.LATE))
        made.kubeflow.tick, tick = (lambda: None), made.kubeflow.tick  # type: ignore[method-assign] # it is late
        await made.go_on(3)
        made.cluster.edit(made.only_run(), {"spec": {"cancel": True}})
        await made.go_on(2)
        made.kubeflow.tick = tick  # type: ignore[method-assign] # as above
        await made.wait_until_said("Cancelled")
        assert made.kubeflow.workflows()[0]["status"]["phase"] == "Failed"


async def test_a_manifest_that_the_server_refuses_ends_the_run() -> None:
    async with world() as made:
        made.kubeflow.faults += [("POST", "/runs$", Fault.BAD_MANIFEST)]
        run = await made.wait_until_said("EngineRefused")
        assert "Unknown template format" in _message(run)
        await made.go_on(20)
        assert made.started() == []


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Unschedulable: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu.", "Unschedulable"),
        ('ImagePullBackOff: Back-off pulling image "nobody/nothing:1"', "ImagePullFailed"),
    ],
)
async def test_what_cannot_begin_ends_with_the_cluster_s_own_words(message: str, reason: str) -> None:
    async with world() as made:
        made.kubeflow.waits, made.kubeflow.message = True, message
        await made.wait_until_said(reason)
        made.pass_time(600)
        await made.go_on(3)
        run = made.look(made.only_run())
        assert message in _message(run)
        assert [s["reason"] for s in run["status"]["steps"] if s["name"] == "shout"] == [reason]
        assert made.kubeflow.workflows()[0]["status"]["phase"] == "Failed"


async def test_a_step_that_fails_tells_its_exit_code() -> None:
    async with world() as made:
        made.kubeflow.fails, made.kubeflow.message = True, "main: Error (exit code 3)"
        run = await made.wait_until_said("StepFailed")
        (shout,) = [s for s in run["status"]["steps"] if s["name"] == "shout"]
        assert (shout["state"], shout["exitCode"]) == ("Failed", 3)
        assert [s["state"] for s in run["status"]["steps"] if s["name"] == "make"] == ["Succeeded"]


async def test_retried_with_a_new_identity() -> None:
    async with world() as made:
        made.cluster.edit(
            Ref(TRAINING_PIPELINE, "team", "churn"), {"spec": {"retry": {"limit": 1, "backoffSeconds": 30}}}
        )
        made.kubeflow.fails = True
        await made.wait_until_said("Retrying")
        made.kubeflow.fails = False
        await made.wait_until_said("Succeeded")
        assert len(made.started()) == len(set(made.started())) == 2


async def test_what_is_passed_on() -> None:
    async with world() as made:
        await made.go_on(12)
        (body,) = made.kubeflow.posted
        run = made.look(made.only_run())
        assert body["runtime_config"]["parameters"] == {"text": "hello"} == run["status"]["parameters"]
        root = body["runtime_config"]["pipeline_root"]
        assert root == f"s3://models/team/churn/{run['metadata']['name']}/1/kubeflow"
        assert run["status"]["engine"] == {
            "kind": "kubeflow",
            "id": body["run_id"],
            "url": f"https://kf/#/runs/details/{body['run_id']}",
        }
        assert "TrainingRun team/" in body["description"]


async def test_the_data_has_a_version_though_kubeflow_tells_none() -> None:
    async with world() as made:
        run = await made.wait_until_said("Succeeded")
        (version,) = made.cluster.all(MODEL_VERSION)
        (told,) = run["status"]["datasets"]
        assert told["digest"].startswith("sha256:")
        assert version["spec"]["source"]["datasets"] == [told]
        assert [r.data["datasets"] for r in made.metadata.rows.values() if r.type == "run"] == [[told], [told]]


async def test_data_that_changes_under_a_run_is_told() -> None:
    async with world() as made:
        made.kubeflow.stays = True
        run = await made.wait_until_said("Running")
        made.artifacts.objects["s3://data/churn/rows.csv"] = b"9,9\n"
        made.kubeflow.stays = False
        ended = await made.wait_until_said("Succeeded")
        assert "this data changed: train; the version told is that of the start" in _message(ended)
        assert ended["status"]["datasets"] == run["status"]["datasets"]
        (row,) = [r for r in made.metadata.rows.values() if r.data.get("event") == "Finished"]
        assert "changed: train" in row.data["message"]


async def test_a_store_that_is_away_at_the_end_is_waited_for() -> None:
    async with world() as made:
        made.pipeline("other", **{**SPEC, "engine": {"kubeflow": {"package": {"inline": PACKAGE}}}})
        for _ in range(8):
            await made.go_on(1)
            made.artifacts.away = len(made.kubeflow.posted) == 2
        (run,) = [r for r in made.cluster.all(TRAINING_RUN) if r["spec"]["pipeline"] == "other"]
        assert "does not answer" in _message(run)
        made.artifacts.away = False
        await made.go_on(4)
        told = made.look(Ref(TRAINING_RUN, "team", run["metadata"]["name"]))
        assert _message(told) == "All steps are done; the run makes no model."


async def test_a_run_that_fails_on_kubeflow_tells_the_version_of_its_data() -> None:
    async with world() as made:
        made.kubeflow.fails = True
        run = await made.wait_until_said("StepFailed")
        (told,) = run["status"]["datasets"]
        assert (told["name"], told["uri"]) == ("train", "s3://data/churn/")
        assert [r.data["datasets"] for r in made.metadata.rows.values() if r.type == "run"] == [[told], [told]]


async def test_nothing_is_sent_while_the_data_cannot_be_listed() -> None:
    async with world() as made:
        made.artifacts.away = True
        run = await made.wait_until_said("NotAccepted")
        assert [c["reason"] for c in run["status"]["conditions"] if c["type"] == "Accepted"] == ["DatasetUnavailable"]
        await made.go_on(6)
        assert (made.kubeflow.posted, made.api.writes) == ([], 0)
        made.artifacts.away = False
        await made.wait_until_said("Succeeded")
        assert_one(made)


def _message(run: Mapping[str, Any]) -> str:
    return next(str(c["message"]) for c in run["status"]["conditions"] if c["type"] == "Succeeded")

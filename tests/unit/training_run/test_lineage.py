"""Who asked for a run, why, with what: in its status and in its rows, from what is known at each moment."""

from dataclasses import replace
from typing import Any

from trainyard import naming
from trainyard.resources import kfp_package
from trainyard.resources.pipeline_revision import PipelineState
from trainyard.resources.training_run import AttemptStatus, DatasetStatus
from trainyard.systems.engine.port import Outputs, Owner, RunRequest
from trainyard.training_run import lineage
from trainyard.training_run.observe import read
from trainyard.training_run.outcome import Outcome
from trainyard.training_run.sources import Source
from trainyard.training_run.state import Observed

DIGEST = "sha256:" + "d" * 64
IMAGE = "sha256:" + "1" * 64
CUSTOMERS = {"name": "customers", "uri": "s3://b/customers/", "digest": DIGEST}
OUTPUTS = Outputs(
    "s3://b/ns/churn/x/1/", DIGEST, "Custom", 1, image_digests=(IMAGE, "example/trainer:1"),
    datasets=(CUSTOMERS, {"name": "odd", "uri": "s3://b/odd/"}),
)  # fmt: skip
REQUEST = RunRequest(
    "engine-1", "ns", "x", 1, Owner("x", "uid"), "churn", "churn", {}, {}, {"epochs": 3},
    {"customers": "s3://b/customers/", "unread": "s3://b/unread/"}, "s3://b/ns/churn/x/1/",
)  # fmt: skip
TRIGGER = {"type": "Schedule", "name": "nightly", "slot": "2026-03-01T02:00Z"}


def seen(**status: Any) -> Observed:
    spec = {"pipeline": "churn", "trigger": TRIGGER, "requestedBy": "ada", "description": "after the fix"}
    return read({"metadata": {"name": "x", "namespace": "ns", "uid": "uid"}, "spec": spec, "status": status})


def done(**more: Any) -> Outcome:
    return Outcome(reason="Succeeded", at="2026-03-01T03:00:00Z", **more)


def test_the_start_tells_who_and_why_and_what_is_wanted() -> None:
    ready = replace(seen(), request=REQUEST, kind="job", source=Source("churn-1"))
    row = lineage.started(ready, "2026-03-01T02:00:01Z")
    assert (row.sequence, row.type) == (1, "run")
    assert row.data == {
        "event": "Started", "pipeline": "churn", "trigger": TRIGGER, "requestedBy": "ada", "experiment": "",
        "description": "after the fix", "revision": "churn-1", "attempt": 0, "engine": "job", "engineId": "engine-1",
        "packageDigest": None, "parameters": {"epochs": 3}, "images": [], "model": "churn",
        "datasets": [
            {"name": "customers", "uri": "s3://b/customers/"}, {"name": "unread", "uri": "s3://b/unread/"},
        ],
    }  # fmt: skip


def test_the_end_tells_versions_and_images() -> None:
    outcome = done(datasets=lineage.datasets_of(OUTPUTS), images=lineage.images_of(OUTPUTS), model_version="x")
    (row,) = lineage.finished(replace(seen(), request=REQUEST), outcome)
    assert row.data["datasets"] == [CUSTOMERS, {"name": "unread", "uri": "s3://b/unread/"}]
    assert row.data["images"] == [IMAGE]
    assert (row.data["event"], row.data["modelVersion"], row.data["requestedBy"]) == ("Finished", "x", "ada")


def test_the_end_is_told_as_well_without_engine_and_revision() -> None:
    before = {"attempt": 2, "engine": {"kind": "kubeflow", "id": "e"}, "revision": "churn-1", "packageDigest": DIGEST}
    outcome = done(datasets=(DatasetStatus.model_validate(CUSTOMERS),), images=(IMAGE,))
    (row,) = lineage.finished(seen(**before, parameters={"epochs": 3}), outcome)
    told = {key: row.data[key] for key in ("engine", "engineId", "revision", "packageDigest", "attempt", "parameters")}
    assert told == {
        "engine": "kubeflow", "engineId": "e", "revision": "churn-1", "packageDigest": DIGEST, "attempt": 2,
        "parameters": {"epochs": 3},
    }  # fmt: skip
    assert row.data["datasets"] == [CUSTOMERS]


def test_a_failure_does_not_forget_what_was_known() -> None:
    before = seen(datasets=[CUSTOMERS], images=[IMAGE], experiment="wide")
    failed = Outcome(reason="OutOfMemory", at="2026-03-01T03:00:00Z")
    (row,) = lineage.finished(before, failed)
    assert (row.data["datasets"], row.data["images"], row.data["experiment"]) == ([CUSTOMERS], [IMAGE], "wide")
    assert "datasets" not in lineage.provenance(before, failed)


def test_an_attempt_that_failed_has_a_row_of_its_own() -> None:
    failed = AttemptStatus(
        attempt=3, engine_id="e3", reason="OutOfMemory", message="OOMKilled", completion_time="2026-03-01T02:30:00Z"
    )
    row = lineage.attempt_failed(seen(), failed, "2026-03-01T02:31:00Z")
    assert (row.sequence, row.at) == (103, "2026-03-01T02:30:00Z")
    assert (row.data["event"], row.data["reason"], row.data["engineId"]) == ("AttemptFailed", "OutOfMemory", "e3")
    assert lineage.attempt_failed(seen(), failed.model_copy(update={"completion_time": None}), "now").at == "now"


def test_kubeflow_runs_tell_the_package_and_its_experiment() -> None:
    task = {"cachingOptions": {}, "componentRef": {"name": "comp-train"}, "taskInfo": {"name": "train"}}
    package = kfp_package.parse(
        naming.canonical(
            {
                "pipelineInfo": {"name": "churn"}, "schemaVersion": "2.1.0", "sdkVersion": "kfp-2.17.0",
                "components": {"comp-train": {"executorLabel": "exec-train"}},
                "deploymentSpec": {"executors": {"exec-train": {"container": {"image": "example/trainer:1"}}}},
                "root": {"dag": {"tasks": {"train": task}}},
            }
        )
    )  # fmt: skip
    engine = {"kubeflow": {"package": {"inline": package.text}, "experiment": "nights"}}
    state = PipelineState.model_validate(
        {"model": "churn", "engine": engine, "timeoutSeconds": 60, "pendingTimeoutSeconds": 60}
    )
    told = lineage.provenance(replace(seen(), source=Source("churn-1", state)))
    assert told["package_digest"] == package.digest
    assert told["experiment"] == "nights"


def test_who_cancelled_stands_in_status_and_row_of_a_cancelled_run_only() -> None:
    body = {"pipeline": "churn", "cancel": True, "cancelledBy": "joe"}
    run = read({"metadata": {"name": "x", "namespace": "ns", "uid": "uid"}, "spec": body, "status": {}})
    cancelled = Outcome(reason="Cancelled", at="2026-03-01T03:00:00Z")
    assert lineage.provenance(run, cancelled)["cancelled_by"] == "joe"
    (row,) = lineage.finished(run, cancelled)
    assert row.data["cancelledBy"] == "joe"
    failed = Outcome(reason="StepFailed", at="2026-03-01T03:00:00Z")
    assert "cancelled_by" not in lineage.provenance(run, failed)
    assert "cancelledBy" not in lineage.finished(run, failed)[0].data

"""What people see, as text."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console, RenderableType

from trainyard.cli import listing, run_details, run_screen

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def drawn(what: RenderableType, **options: Any) -> str:
    file = io.StringIO()
    Console(**{"file": file, "width": 160, **options}).print(what)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def run(succeeded: str = "Unknown", reason: str = "Running", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "churn-0a1b2c3d4e", "creationTimestamp": "2026-03-01T11:58:00Z"},
        "spec": {"pipeline": "churn", "trigger": {"type": "OneOff"}},
        "status": {
            "startTime": "2026-03-01T11:59:00Z",
            "conditions": [{"type": "Succeeded", "status": succeeded, "reason": reason, "message": "exit code 3"}],
            **status,
        },
    }


STEPS = [
    {
        "name": "train", "state": "Succeeded", "startTime": "2026-03-01T11:59:00Z",
        "completionTime": "2026-03-01T11:59:40Z",
    },
    {"name": "publish", "state": "Running", "startTime": "2026-03-01T11:59:45Z"},
]  # fmt: skip


def test_running_run() -> None:
    assert drawn(run_screen.screen(run(steps=STEPS), NOW)) == (
        "TrainingRun churn-0a1b2c3d4e  Running  1m\n"
        "STEP     STATE      TIME  REASON\n"
        "train    Succeeded  40s\n"
        "publish  Running    15s"
    )


def test_failed_run_says_why() -> None:
    failed = run("False", "StepFailed", steps=[{"name": "train", "state": "Failed", "reason": "Error", "exitCode": 3}])
    text = drawn(run_screen.screen(failed, NOW))
    assert "Error (exit 3)" in text
    assert text.endswith("StepFailed: exit code 3")


def test_succeeded_run_says_what_came_of_it() -> None:
    done = run("True", "Succeeded", modelVersion="churn-0a1b2c3d4e", outputs={"metrics": {"loss": "0.2", "auc": "0.9"}})
    assert run_screen.closing(done) == ["metrics  auc 0.9  loss 0.2", "version  churn-0a1b2c3d4e"]


def test_new_run_without_a_status() -> None:
    new = {"metadata": {"name": "churn-1"}, "spec": {"pipeline": "churn"}}
    assert drawn(run_screen.screen(new, NOW)) == "TrainingRun churn-1  Pending"
    assert run_screen.change(new) == "churn-1: Pending"


def test_pipes_get_a_line_per_change() -> None:
    file = io.StringIO()
    with run_screen.shown(Console(file=file, width=160)) as show:
        show(run())
        show(run())
        show(run(steps=STEPS))
        show(run("True", "Succeeded", steps=STEPS))
    assert file.getvalue().splitlines() == [
        "churn-0a1b2c3d4e: Running",
        "churn-0a1b2c3d4e: Running  train=Succeeded  publish=Running",
        "churn-0a1b2c3d4e: Succeeded  train=Succeeded  publish=Running",
    ]


def test_terminals_get_a_live_screen() -> None:
    file = io.StringIO()
    with run_screen.shown(Console(file=file, width=160, force_terminal=True)) as show:
        show(run(steps=STEPS))
    assert "publish" in file.getvalue()


def version(name: str, made: str, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-03-01T11:00:00Z"},
        "spec": {"model": "churn", "createdAt": made},
        "status": status,
    }


def test_versions_newest_first_with_the_gate_that_judged_them() -> None:
    rule = {"rule": "auc >= 0.9", "passed": True, "value": "0.95"}
    missed = {"rule": "auc >= 0.9", "passed": False, "value": "0.84", "message": "auc 0.84 is below min 0.9"}
    good = version(
        "churn-a", "2026-03-01T11:50:00.000002Z", decision={"rules": [rule]}, servedBy=["web", "app"],
        conditions=[{"type": "Ready", "status": "True", "reason": "Ready"}],
    )  # fmt: skip
    weak = version(
        "churn-b", "2026-03-01T11:50:00.000003Z", decision={"rules": [missed]},
        conditions=[{"type": "Ready", "status": "False", "reason": "Rejected"}],
    )  # fmt: skip
    lines = drawn(listing.versions([good, weak], NOW)).splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["churn-b", "churn", "False", "Rejected"],
        ["churn-a", "churn", "True", "Ready"],
    ]
    assert "auc 0.84 is below min 0.9" in lines[1]
    assert "0.95 (auc >= 0.9)" in lines[2]
    assert "web,app" in lines[2]


def test_runs() -> None:
    done = run("True", "Succeeded", completionTime="2026-03-01T11:59:30Z", modelVersion="v", requestedBy="ada")
    assert drawn(listing.runs([done], NOW)).splitlines()[1].split() == [
        "churn-0a1b2c3d4e", "churn", "Succeeded", "30s", "v", "OneOff", "ada", "2m",
    ]  # fmt: skip


def test_narrow_terminals_lose_columns_before_names() -> None:
    done = run("True", "Succeeded", completionTime="2026-03-01T11:59:30Z", modelVersion="churn-0a1b2c3d4e")
    for width in (100, 60, 46, 30):
        text = drawn(listing.runs([done], NOW), width=width)
        assert max(map(len, text.splitlines())) <= width
        assert "churn-0a1b2c3d4e" in text
        assert "Succeeded" in text
    assert "VERSION" not in drawn(listing.runs([done], NOW), width=60)
    tiny = drawn(listing.runs([done], NOW), width=18).splitlines()
    assert max(map(len, tiny)) <= 18  # folded, as a last resort


def test_a_run_that_waits_says_for_what() -> None:
    waiting = run(
        "Unknown", "Unschedulable", steps=[{"name": "train", "state": "Pending", "message": "no GPU is free"}]
    )
    text = drawn(run_screen.screen(waiting, NOW))
    assert "Unschedulable: exit code 3" in text
    assert "no GPU is free" in text
    assert run_screen.change(waiting) == "churn-0a1b2c3d4e: Unschedulable  train=Pending  (exit code 3)"


def test_a_run_between_two_attempts() -> None:
    attempts = [{"attempt": 1, "engineId": "e", "reason": "OutOfMemory", "message": "train: OOMKilled"}]
    again = run(attempt=1, attempts=attempts, retryTime="2026-03-01T12:00:30Z")
    text = drawn(run_screen.screen(again, NOW))
    assert "attempt 1 failed: OutOfMemory: train: OOMKilled" in text
    assert "attempt 2 starts 2026-03-01T12:00:30Z (in 30s)" in text
    assert run_screen.change(again).startswith("churn-0a1b2c3d4e: Running  attempt 1")


def test_a_run_that_is_not_accepted() -> None:
    refused = run("Unknown", "NotAccepted")
    refused["status"]["conditions"].append(
        {"type": "Accepted", "status": "False", "reason": "PipelineNotFound", "message": "It does not exist."}
    )
    assert "PipelineNotFound: It does not exist." in drawn(run_screen.screen(refused, NOW))


EVENT = {
    "type": "Event", "name": "new-data", "eventSource": "minio/data", "eventId": "data/a.csv-17",
}  # fmt: skip
DIGEST = "sha256:" + "d" * 64
RECORDED = {
    "requestedBy": "system:serviceaccount:shop:loader", "experiment": "wide", "description": "after the fix",
    "revision": "churn-1111111111", "packageDigest": "sha256:" + "b" * 64, "attempt": 2,
    "engine": {"kind": "kubeflow", "id": "7d2f", "url": "http://kubeflow/#/runs/7d2f"},
    "parameters": {"epochs": 30, "note": "as is", "layers": [8, 4]},
    "datasets": [{"name": "customers", "uri": "s3://trainyard/data/customers/", "digest": DIGEST}],
    "images": ["sha256:" + "1" * 64], "completionTime": "2026-03-01T11:59:30Z", "modelVersion": "churn-0a1b2c3d4e",
    "attempts": [
        {"attempt": 1, "engineId": "6c1e", "reason": "OutOfMemory", "message": "train: OOMKilled",
         "startTime": "2026-03-01T11:58:00Z", "completionTime": "2026-03-01T11:58:20Z"}
    ],
    "outputs": {
        "artifact": {
            "uri": "s3://trainyard/ns/churn/x/1/", "digest": DIGEST, "format": "SavedModel", "sizeBytes": 12345,
        },
        "metrics": {"auc": "0.9"}, "reports": {"confusion": "s3://trainyard/ns/churn/x/1/report.json"},
    },
    "steps": STEPS,
    "unrecorded": [{}, {}],
}  # fmt: skip


def test_everything_that_is_recorded_of_a_run() -> None:
    done = run("True", "Succeeded", **RECORDED)
    done["spec"]["trigger"] = EVENT
    assert drawn(run_details.details(done, NOW)) == (
        "TrainingRun churn-0a1b2c3d4e  Succeeded  30s\n"
        "trigger       Event new-data  data/a.csv-17 of minio/data\n"
        "requested by  system:serviceaccount:shop:loader\n"
        "description   after the fix\n"
        "experiment    wide\n"
        "pipeline      churn  revision churn-1111111111\n"
        f"package       sha256:{'b' * 64}\n"
        "engine        kubeflow  7d2f, attempt 2\n"
        "look there    http://kubeflow/#/runs/7d2f\n"
        "images        sha256:111111111111\n"
        "created       2026-03-01T11:58:00Z (2m ago)\n"
        "started       2026-03-01T11:59:00Z (1m ago)\n"
        "ended         2026-03-01T11:59:30Z (30s ago)\n"
        "\n"
        "PARAMETER  VALUE\n"
        "epochs     30\n"
        "layers     [8, 4]\n"
        "note       as is\n"
        "\n"
        "DATASET    VERSION              URI\n"
        "customers  sha256:dddddddddddd  s3://trainyard/data/customers/\n"
        "\n"
        "ATTEMPT  REASON       TOOK  MESSAGE\n"
        "1        OutOfMemory  20s   train: OOMKilled\n"
        "\n"
        "STEP     STATE      TIME  REASON\n"
        "train    Succeeded  40s\n"
        "publish  Running    15s\n"
        "\n"
        "model             s3://trainyard/ns/churn/x/1/\n"
        f"digest            {DIGEST}\n"
        "size              12,345 bytes of SavedModel\n"
        "report confusion  s3://trainyard/ns/churn/x/1/report.json\n"
        "\n"
        "metrics  auc 0.9\n"
        "version  churn-0a1b2c3d4e\n"
        "2 rows wait for the metadata database."
    )


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        (
            {"type": "Schedule", "name": "nightly", "slot": "2026-03-01T02:00Z"},
            "Schedule nightly  for 2026-03-01T02:00Z",
        ),
        ({"type": "Change", "inputsDigest": DIGEST}, "Change  to inputs sha256:dddddddddddd"),
        ({"type": "OneOff", "name": "ada"}, "OneOff"),
    ],
)
def test_why_a_run_is_there(trigger: dict[str, str], told: str) -> None:
    one = run()
    one["spec"]["trigger"] = trigger
    lines = drawn(run_details.details(one, NOW)).splitlines()
    assert [line.removeprefix("trigger").strip() for line in lines if line.startswith("trigger")] == [told]


def test_a_run_that_is_not_recorded_says_so() -> None:
    lost = run("True", "Succeeded")
    lost["status"]["conditions"].append({"type": "Recorded", "status": "False", "reason": "DatabaseAway"})
    assert drawn(run_details.details(lost, NOW)).endswith("Not recorded: DatabaseAway")


def test_details_of_a_new_run() -> None:
    new = {"metadata": {"name": "churn-1"}, "spec": {"pipeline": "churn", "parameters": {"epochs": 1}}}
    assert drawn(run_details.details(new, NOW)).splitlines() == [
        "TrainingRun churn-1  Pending", "trigger   OneOff", "pipeline  churn", "", "PARAMETER  VALUE", "epochs     1",
    ]  # fmt: skip

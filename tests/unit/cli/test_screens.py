"""What people see, as text."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console, RenderableType

from trainyard.cli import listing, rollout_screen, run_screen

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def drawn(what: RenderableType, **options: Any) -> str:
    file = io.StringIO()
    Console(file=file, width=160, **options).print(what)
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


CANARY = {
    "metadata": {"name": "churn"},
    "spec": {
        "strategy": {
            "canary": {
                "steps": [
                    {"setWeight": 10}, {"pause": {"durationSeconds": 90}}, {"setWeight": 50}, {"pause": {}},
                ]
            }
        },
        "analysis": {
            "metrics": [
                {"name": "errors", "max": "0.05"},
                {"name": "p99", "maxIncreasePercent": "20", "min": "0"},
            ]
        },
    },
    "status": {
        "stable": {"version": "churn-a", "revision": "aaaaaaaaaa"},
        "canary": {"version": "churn-b", "revision": "bbbbbbbbbb"},
        "weight": 10,
        "routedWeight": 5,
        "observedShare": "9.8",
        "step": 1,
        "waitingFor": "31 s more of good measurements",
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "Progressing", "message": "churn-b is at 10 percent"},
            {"type": "Degraded", "status": "True", "reason": "RevisionRejected", "message": "cccccccccc"},
        ],
        "metrics": [
            {"name": "errors", "verdict": "Pass", "value": "0", "samples": 120, "failures": 0},
            {"name": "p99", "verdict": "Inconclusive", "samples": 20, "reason": "TooFewRequests"},
        ],
        "history": [
            {
                "revision": "cccccccccc", "version": "churn-c", "outcome": "Aborted",
                "finishedTime": "2026-03-01T11:50:00Z", "message": "errors 0.4 is above max 0.05",
            }
        ],
    },
}  # fmt: skip


def test_rollout_on_one_screen() -> None:
    text = drawn(rollout_screen.screen(CANARY, NOW))
    assert text == (
        "Rollout churn  Ready False  Progressing: churn-b is at 10 percent\n"
        "stable  churn-a  revision aaaaaaaaaa\n"
        "canary  churn-b  revision bbbbbbbbbb\n"
        "Degraded: RevisionRejected: cccccccccc\n"
        "weight  ████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  10 % to the canary, the route says 5 %, seen 9.8 %\n"
        "ladder  10 % → [pause 1m30s] → 50 % → pause until promoted\n"
        "waits   31 s more of good measurements\n"
        "\n"
        "METRIC  VERDICT       VALUE  LIMIT                 REQUESTS  FAILURES  WHY\n"
        "errors  Pass          0      ≤ 0.05                120       0\n"
        "p99     Inconclusive         ≥ 0, ≤ stable + 20 %  20        0         TooFewRequests\n"
        "\n"
        "REVISION    VERSION  OUTCOME  ENDED  WHY\n"
        "cccccccccc  churn-c  Aborted  10m    errors 0.4 is above max 0.05"
    )


def test_rollout_without_a_status() -> None:
    text = drawn(rollout_screen.screen({"metadata": {"name": "new"}, "spec": {}}, NOW))
    assert text.startswith("Rollout new  Ready Unknown\nstable  none\ncanary  none\n")
    assert text.endswith("no steps: promoted once it is ready")


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[3" in drawn(rollout_screen.screen(CANARY, NOW), force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in drawn(rollout_screen.screen(CANARY, NOW), force_terminal=True, color_system="standard")


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
    done = run("True", "Succeeded", completionTime="2026-03-01T11:59:30Z", modelVersion="v")
    assert drawn(listing.runs([done], NOW)).splitlines()[1].split() == [
        "churn-0a1b2c3d4e", "churn", "True", "Succeeded", "30s", "v", "OneOff", "2m",
    ]  # fmt: skip

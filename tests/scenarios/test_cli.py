"""The command line against the live operator: runs that end each way, their logs, a rollout led by hand."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from tests.scenarios.cluster import Cluster, wait_until
from tests.scenarios.kubeflow import two_steps
from tests.scenarios.serving import ended, rollout, status, train
from tests.scenarios.serving import pipeline as sums
from tests.scenarios.test_training import TRAIN, pipeline

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

STEPS = f"for n in 1 2 3; do echo epoch $n; sleep 1; done; {TRAIN}; printf 'no end'"


def command(ns: Cluster, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "trainyard.cli", *arguments, "-n", ns.namespace]


def trainyard(ns: Cluster, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command as a person with a pipe does."""
    environment = {**os.environ, **ns.env, "NO_COLOR": "1"}
    return subprocess.run(
        command(ns, *arguments), env=environment, text=True, capture_output=True, check=False, timeout=timeout
    )


def test_a_run_is_waited_for_and_its_logs_are_followed(ns: Cluster) -> None:
    ns.apply(pipeline(STEPS))
    wait_until("the pipeline is ready to run", lambda: (ns.get("trainingpipeline", "tiny") or {}).get("status"))
    name = trainyard(ns, "run", "tiny", "--description", "by hand", "--experiment", "wide").stdout.strip()
    followed = subprocess.Popen(
        command(ns, "logs", "-f", name), env={**os.environ, **ns.env}, text=True, stdout=subprocess.PIPE
    )
    watched = trainyard(ns, "watch", name, "-o", "json")
    out, _ = followed.communicate(timeout=120)
    assert (watched.returncode, followed.returncode) == (0, 0), watched.stderr
    lines = out.splitlines()
    assert [line for line in lines if "|" not in line] == ["epoch 1", "epoch 2", "epoch 3", "no end"]
    assert any(line.startswith("publish | ") for line in lines)
    run = json.loads(watched.stdout)
    told = run["status"]
    assert told["requestedBy"] == run["spec"]["requestedBy"]
    assert told["requestedBy"]
    assert (told["experiment"], told["description"]) == ("wide", "by hand")
    assert told["images"][0].startswith("sha256:")
    assert f"{name}: Succeeded" in watched.stderr
    shown = trainyard(ns, "run", "show", name).stdout
    assert f"requested by  {told['requestedBy']}" in shown
    assert f"version  {name}" in shown
    lineage = json.loads(trainyard(ns, "lineage", "run", name, "-o", "json").stdout)
    assert [v["name"] for v in lineage["versions"]] == [name]
    again = trainyard(ns, "logs", name, "--step", "train")
    assert again.stdout.splitlines() == ["epoch 1", "epoch 2", "epoch 3", "no end"]


def test_exit_status_tells_how_a_run_ended(ns: Cluster) -> None:
    ns.apply(pipeline("exit 7"))
    failed = trainyard(ns, "run", "tiny", "--wait")
    assert failed.returncode == 3, failed.stderr
    assert "StepFailed" in failed.stderr
    ns.apply(pipeline("exec sleep 600"))
    name = trainyard(ns, "run", "tiny").stdout.strip()
    watching = subprocess.Popen(command(ns, "watch", name), env={**os.environ, **ns.env}, stderr=subprocess.DEVNULL)
    assert trainyard(ns, "cancel", name).returncode == 0
    assert watching.wait(120) == 4
    assert trainyard(ns, "cancel", name).stderr.strip() == f"TrainingRun {name} has ended already."


def test_a_second_attempt_and_why_there_was_one(ns: Cluster) -> None:
    first = 'cd "$TRAINYARD_CHECKPOINT" 2>/dev/null || { mkdir "$TRAINYARD_CHECKPOINT"; exit 9; }'
    script = f"{first}; {TRAIN}"
    ns.apply(pipeline(script, retry={"limit": 1, "backoffSeconds": 0}))
    done = trainyard(ns, "run", "tiny", "--wait", "-o", "json")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    name = run["metadata"]["name"]
    assert [(a["attempt"], a["reason"]) for a in run["status"]["attempts"]] == [(1, "StepFailed")]
    assert "1        StepFailed" in trainyard(ns, "run", "show", name).stdout
    gone = trainyard(ns, "logs", name, "--previous")
    assert "has no log lines of attempt 1 any more; it failed with StepFailed: " in gone.stderr
    assert "exit code 9" in gone.stderr


def test_a_kubeflow_run_is_typed_by_its_package_and_tells_its_tasks(kubeflow_ns: Cluster) -> None:
    ns = kubeflow_ns
    package = {"package": {"inline": json.dumps(two_steps())}, "modelOutput": {"task": "shout", "artifact": "model"}}
    body = {"model": "words", "engine": {"kubeflow": {**package, "format": "Custom", "caching": False}}}
    ns.apply({**pipeline(), "metadata": {"name": "words"}, "spec": body})
    ns.wait("trainingpipeline", "words", "Accepted")
    wrong = trainyard(ns, "run", "words", "-p", "texts=hello")
    assert (wrong.returncode, "did you mean text?" in wrong.stderr) == (2, True)
    done = trainyard(ns, "run", "words", "-p", "text=hello", "--experiment", "greetings", "--wait", "-o", "json")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    name, told = run["metadata"]["name"], run["status"]
    assert told["packageDigest"] == (ns.get("trainingpipeline", "words") or {})["status"]["packageDigest"]
    assert (told["experiment"], told["parameters"]) == ("greetings", {"text": "hello"})
    lines = trainyard(ns, "logs", name).stdout.splitlines()
    assert {line.partition(" | ")[0].strip() for line in lines} >= {"make", "shout", "publish"}
    assert trainyard(ns, "logs", name, "--step", "make-driver").stdout.startswith("make-driver | ")


def test_a_rollout_is_led_by_hand(ns: Cluster) -> None:
    ns.apply(sums())
    train(ns, "v1")
    ns.apply(rollout(f"{ns.namespace}.example.com", [{"setWeight": 20}, {"pause": {}}]))
    ns.wait("rollout", "sums", "Ready", "True", "Promoted", 300)
    screen = Terminal(ns, "rollout", "get", "sums", "--watch")
    train(ns, "v2")
    wait_until("v2 waits at 20 %", lambda: status(ns).get("routedWeight") == 20, 300)
    wait_until("the screen shows it", lambda: "20 % to the canary" in screen.text, 60)
    assert screen.interrupt() == 0
    assert "Traceback" not in screen.text
    aborted = trainyard(ns, "abort", "sums")
    assert aborted.returncode == 0, aborted.stderr
    assert aborted.stderr.endswith(": taken up.\n")
    wait_until("v2 is aborted", lambda: (ended(ns, "v2") or {}).get("outcome") == "Aborted", 120)
    assert trainyard(ns, "retry", "sums").returncode == 0
    wait_until("v2 waits again", lambda: status(ns).get("routedWeight") == 20, 300)
    promoted = trainyard(ns, "promote", "sums")
    assert promoted.returncode == 0, promoted.stderr
    assert " at step 1: taken up." in promoted.stderr
    ns.wait("rollout", "sums", "Ready", "True", "Promoted", 120)
    assert status(ns)["stable"]["version"] == "v2"
    told = json.loads(trainyard(ns, "lineage", "model", "v2", "-o", "json").stdout)
    assert told["versions"][0]["served_by"] == ["sums"]
    assert {"Aborted", "Promoted"} <= {d["decision"] for d in told["decisions"]}


class Terminal:
    """A command on a terminal of its own, as a person has it."""

    def __init__(self, ns: Cluster, *arguments: str) -> None:
        ours, theirs = pty.openpty()
        # Where this runs in the background, SIGINT is ignored, and a child would inherit that.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        environment = {**os.environ, **ns.env, "TERM": "xterm", "COLUMNS": "160"}
        self.process = subprocess.Popen(command(ns, *arguments), env=environment, stdout=theirs, stderr=theirs)
        signal.signal(signal.SIGINT, before)
        os.close(theirs)
        self._shown = bytearray()
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """All that was drawn."""
        return self._shown.decode(errors="replace")

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def _read(self, master: int) -> None:
        with suppress(OSError):  # EIO: the other end is closed
            while part := os.read(master, 65536):
                self._shown += part
        os.close(master)

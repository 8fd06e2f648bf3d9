"""The command line as a person uses it: a process, its output and its exit status, against a real API server."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.rig import ApiServerRig

pytestmark = pytest.mark.rig

PIPELINE = {
    "apiVersion": "trainyard.dev/v1alpha1",
    "kind": "TrainingPipeline",
    "metadata": {"name": "churn"},
    "spec": {
        "model": "churn",
        "engine": {"job": {"template": {"image": "trainer"}}},
        "parameters": [
            {"name": "epochs", "type": "Integer", "default": 3},
            {"name": "layers", "type": "List", "default": [8]},
        ],
    },
}
ROLLOUT = {
    "apiVersion": "trainyard.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "churn"},
    "spec": {
        "model": "churn",
        "version": {"latest": {}},
        "target": {"kubernetes": {"traffic": {"parentRefs": [{"name": "gate"}]}}},
        "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}},
    },
}
CANARY = {
    "stable": {"version": "churn-a", "revision": "aaaaaaaaaa", "digest": "sha256:" + "a" * 64},
    "canary": {"version": "churn-b", "revision": "bbbbbbbbbb", "digest": "sha256:" + "b" * 64},
    "weight": 20,
    "step": 1,
}


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Person:
    """Somebody at a terminal, in a namespace of the rig."""

    rig: ApiServerRig
    namespace: str

    @property
    def environment(self) -> dict[str, str]:
        """As a person's shell: no colours, a kubeconfig."""
        return {**os.environ, "KUBECONFIG": str(self.rig.kubeconfig), "NO_COLOR": "1", "COLUMNS": "160"}

    def command(self, *arguments: str) -> list[str]:
        """Return the command line; the flags stand where kubectl's users put them."""
        return [sys.executable, "-m", "trainyard.cli", *arguments, "-n", self.namespace]

    def trainyard(self, *arguments: str) -> Done:
        """Run the command to its end."""
        done = subprocess.run(
            self.command(*arguments), env=self.environment, text=True, capture_output=True, check=False, timeout=90
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def kubectl(self, *arguments: str, stdin: Any = None) -> str:
        """Run kubectl in the namespace."""
        done = subprocess.run(
            [self.rig.kubectl, "-n", self.namespace, *arguments], env=self.environment, text=True, capture_output=True,
            check=False, timeout=60, input=None if stdin is None else json.dumps(stdin),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def runs(self) -> list[dict[str, Any]]:
        """Return the TrainingRuns."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", "trainingruns", "-o", "json"))["items"]
        return found

    def say(self, kind: str, name: str, status: Mapping[str, Any]) -> None:
        """Write a status, as the operator does."""
        patch = json.dumps({"status": status})
        self.kubectl("patch", kind, name, "--subresource", "status", "--type", "merge", "-p", patch)


def _succeeded(status: str, reason: str, message: str = "") -> Mapping[str, Any]:
    return {"conditions": [{"type": "Succeeded", "status": status, "reason": reason, "message": message}]}


@pytest.fixture(scope="module")
def person(rig: ApiServerRig, crds: None, kubectl: Callable[..., str]) -> Person:
    kubectl("create", "namespace", "ada")
    made = Person(rig, "ada")
    made.kubectl("apply", "-f", "-", stdin=PIPELINE)
    made.kubectl("apply", "-f", "-", stdin=ROLLOUT)
    return made


def _after(count: int, person: Person, what: Callable[[str], None]) -> threading.Thread:
    """Do something to the next run once it is there, as the operator would, beside a waiting command."""

    def act() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            names = [r["metadata"]["name"] for r in person.runs()]
            if len(names) > count:
                what(
                    max(person.runs(), key=lambda r: str(r["metadata"]["resourceVersion"]).zfill(20))["metadata"][
                        "name"
                    ]
                )
                return
            time.sleep(0.2)

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_run_creates_a_typed_one_off(person: Person) -> None:
    done = person.trainyard("run", "churn", "-p", "epochs=9", "-p", "layers=[16, 8]", "--description", "by hand")
    assert done.status == 0, done.err
    name = done.out.strip()
    assert f"trainyard watch {name}" in done.err
    run = person.get("trainingrun", name)
    assert run["spec"]["parameters"] == {"epochs": 9, "layers": [16, 8]}
    assert run["spec"]["trigger"]["type"] == "OneOff"
    assert run["spec"]["trigger"]["name"]
    assert run["spec"]["description"] == "by hand"
    again = person.trainyard("run", "churn", "-o", "json")
    assert json.loads(again.out)["metadata"]["name"] != name


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "churn", "-p", "epochs=x"], "epochs: 'x' is not an Integer."),
        (["run", "churn", "-p", "epoch=1"], "epoch is not a parameter of the pipeline (did you mean epochs?)."),
        (["run", "churn", "-p", "layers={}"], "layers: this JSON is of type Struct, not List."),
    ],
)
def test_wrong_parameters_create_nothing(person: Person, arguments: Sequence[str], sentence: str) -> None:
    before = len(person.runs())
    done = person.trainyard(*arguments)
    assert (done.status, done.err.strip(), done.out) == (2, sentence, "")
    assert len(person.runs()) == before


def test_what_is_not_there(person: Person) -> None:
    for arguments, kind in (
        (["run", "nope"], "TrainingPipeline"),
        (["cancel", "nope"], "TrainingRun"),
        (["promote", "nope"], "Rollout"),
    ):
        done = person.trainyard(*arguments)
        assert (done.status, done.err.strip()) == (1, f"There is no {kind} 'nope' in namespace 'ada'.")


def test_usage_is_2(person: Person) -> None:
    assert person.trainyard("run").status == 2
    assert person.trainyard("fly").status == 2
    assert person.trainyard("runs", "--context", "nowhere").status == 2


@pytest.mark.parametrize(("succeeded", "reason", "status"), [("True", "Succeeded", 0), ("False", "OutOfMemory", 1)])
def test_wait_ends_as_the_run_does(person: Person, succeeded: str, reason: str, status: int) -> None:
    ending = _after(
        len(person.runs()), person, lambda name: person.say("trainingrun", name, _succeeded(succeeded, reason, "so"))
    )
    done = person.trainyard("run", "churn", "--wait", "--timeout", "60")
    ending.join()
    assert done.status == status, done.err
    assert reason in done.err


def test_wait_has_a_timeout(person: Person) -> None:
    done = person.trainyard("run", "churn", "--wait", "--timeout", "1")
    assert done.status == 1
    assert "has not ended within 1 s; watch it with `trainyard watch churn-" in done.err


def test_interrupt_detaches_and_says_how_to_go_on(person: Person) -> None:
    name = person.trainyard("run", "churn").out.strip()
    # A shell that runs this in the background has SIGINT ignored, and a child inherits that; at a terminal it is not.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        person.command("watch", name), env=person.environment, text=True, stderr=subprocess.PIPE
    ) as watching:
        signal.signal(signal.SIGINT, ours)
        assert watching.stderr is not None
        assert name in watching.stderr.readline()
        watching.send_signal(signal.SIGINT)
        rest = watching.stderr.read()
        assert watching.wait(30) == 130
    assert f"Detached; the run goes on: watch it with `trainyard watch {name}`" in rest
    assert (
        "cancel" not in person.get("trainingrun", name)["spec"] or not person.get("trainingrun", name)["spec"]["cancel"]
    )


def test_cancel_once_and_only_while_it_runs(person: Person) -> None:
    name = person.trainyard("run", "churn").out.strip()
    assert person.trainyard("cancel", name).status == 0
    assert person.get("trainingrun", name)["spec"]["cancel"] is True
    person.say("trainingrun", name, _succeeded("False", "Cancelled"))
    done = person.trainyard("cancel", name)
    assert (done.status, done.err.strip()) == (0, f"TrainingRun {name} has ended already.")


def test_lists(person: Person) -> None:
    person.trainyard("run", "churn")
    told = person.trainyard("runs", "--pipeline", "churn")
    assert told.out.splitlines()[0].split()[:3] == ["NAME", "PIPELINE", "SUCCEEDED"]
    assert len(told.out.splitlines()) == len(person.runs()) + 1
    assert len(json.loads(person.trainyard("runs", "-o", "json").out)) == len(person.runs())
    none = person.trainyard("versions")
    assert (none.status, none.out, none.err.strip()) == (0, "", "None here.")


def test_actions_are_bound_to_what_is_seen_and_confirmed(person: Person) -> None:
    person.say("rollout", "churn", CANARY)
    late = person.trainyard("abort", "churn")
    assert late.status == 1
    assert "no operator has taken it up yet" in late.err
    written = person.get("rollout", "churn")["spec"]["action"]
    assert (written["kind"], written["revision"], written.get("step")) == ("Abort", "bbbbbbbbbb", None)

    def handle() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            action = person.get("rollout", "churn")["spec"]["action"]
            if action["id"] != written["id"]:
                person.say("rollout", "churn", {"handledAction": action["id"]})
                return
            time.sleep(0.2)

    operator = threading.Thread(target=handle)
    operator.start()
    done = person.trainyard("promote", "churn")
    operator.join()
    assert (done.status, done.err.strip()) == (0, "Promote of revision bbbbbbbbbb at step 1: taken up.")
    assert person.get("rollout", "churn")["spec"]["action"]["step"] == 1


def test_rollout_on_one_screen(person: Person) -> None:
    person.say("rollout", "churn", CANARY)
    told = person.trainyard("rollout", "get", "churn")
    assert told.status == 0
    assert "canary  churn-b  revision bbbbbbbbbb" in told.out
    assert "20 % → [pause until promoted]" in told.out
    assert json.loads(person.trainyard("rollout", "get", "churn", "-o", "json").out)["status"]["weight"] == 20
    assert "There is no Rollout" in person.trainyard("rollout", "get", "nope").err


def test_an_api_server_that_is_away_is_a_sentence(person: Person, tmp_path: Path) -> None:
    config = yaml.safe_load(person.rig.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(yaml.safe_dump(config))
    done = person.trainyard("runs", "--kubeconfig", str(elsewhere))
    assert done.status == 1
    assert done.err.startswith("The API server does not answer: ")
    assert "Traceback" not in done.err


def test_help_is_instant_and_loads_nothing_heavy() -> None:
    """Half a second of this process' own time: on a busy machine the clock on the wall tells of others."""
    probe = (
        "import sys, trainyard.cli.app; "
        "sys.exit(any(m in sys.modules for m in ('kubernetes', 'pydantic', 'aiohttp', 'rich.console')))"
    )
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "trainyard.cli", "--help"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 0.5

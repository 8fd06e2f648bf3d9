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
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.rig import ApiServerRig
from tests.rig.person import CANARY, PIPELINE, ROLLOUT, Person
from trainyard.cli import clock

pytestmark = pytest.mark.rig


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
    assert run["spec"]["trigger"]["name"] == run["spec"]["requestedBy"] == "admin"
    assert run["spec"]["description"] == "by hand"
    again = person.trainyard("run", "churn", "-o", "json")
    assert json.loads(again.out)["metadata"]["name"] != name


def test_parameters_from_a_file_and_from_stdin(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "wide.yaml"
    file.write_text("epochs: 9\nlayers: [64, 32]\n")
    first = person.trainyard("run", "churn", "--params-file", str(file), "--param", "epochs=7", "-o", "name")
    assert first.status == 0, first.err
    assert first.out.startswith("trainingrun.trainyard.dev/churn-")
    run = json.loads(person.kubectl("get", first.out.strip(), "-o", "json"))
    assert run["spec"]["parameters"] == {"epochs": 7, "layers": [64, 32]}
    second = person.trainyard("run", "churn", "--params-file", "-", "-o", "json", stdin='{"epochs": 2}')
    assert json.loads(second.out)["spec"]["parameters"] == {"epochs": 2}
    for text, sentence in (
        ("epochs: 2026-01-01", "epochs: the file has String, not Integer."),
        ("{", "- is neither YAML nor JSON (line 2)."),
        ("[1]", "- must be a mapping of parameter names to values."),
    ):
        wrong = person.trainyard("run", "churn", "--params-file", "-", stdin=text + "\n")
        assert (wrong.status, wrong.err.strip()) == (2, sentence)
    missing = person.trainyard("run", "churn", "--params-file", str(tmp_path / "no.yaml"))
    assert (missing.status, missing.err.strip()) == (2, f"--params-file {tmp_path}/no.yaml: No such file or directory.")


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
        (["run", "show", "nope"], "TrainingRun"),
        (["logs", "nope", "-f"], "TrainingRun"),
        (["pipeline", "show", "nope"], "TrainingPipeline"),
        (["promote", "nope"], "Rollout"),
    ):
        done = person.trainyard(*arguments)
        assert (done.status, done.err.strip()) == (1, f"There is no {kind} 'nope' in namespace 'ada'.")


def test_usage_is_2(person: Person) -> None:
    assert person.trainyard("run").status == 2
    assert person.trainyard("fly").status == 2
    assert person.trainyard("runs", "--context", "nowhere").status == 2


@pytest.mark.parametrize(
    ("succeeded", "reason", "status"),
    [("True", "Succeeded", 0), ("False", "OutOfMemory", 3), ("False", "Cancelled", 4), ("False", "TimedOut", 5)],
)
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
    assert done.status == 124
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
    cancelled = person.get("trainingrun", name)["spec"]
    assert (cancelled["cancel"], cancelled["cancelledBy"]) == (True, cancelled["requestedBy"])
    assert person.trainyard("cancel", name).status == 0, "again is no mistake"
    assert f"cancelled by  {cancelled['cancelledBy']}" in person.trainyard("run", "show", name).out
    person.say("trainingrun", name, _succeeded("False", "Cancelled"))
    done = person.trainyard("cancel", name)
    assert (done.status, done.err.strip()) == (0, f"TrainingRun {name} has ended already.")


def test_lists(person: Person) -> None:
    person.trainyard("run", "churn")
    told = person.trainyard("runs", "--pipeline", "churn")
    assert told.out.splitlines()[0].split()[:3] == ["NAME", "PIPELINE", "STATE"]
    assert len(told.out.splitlines()) == len(person.runs()) + 1
    assert len(json.loads(person.trainyard("runs", "-o", "json").out)) == len(person.runs())
    none = person.trainyard("versions")
    assert (none.status, none.out, none.err.strip()) == (0, "", "No ModelVersion in namespace 'ada'.")


def test_runs_are_filtered_and_limited(person: Person) -> None:
    names = [person.trainyard("run", "churn").out.strip() for _ in range(2)]
    person.say("trainingrun", names[0], _succeeded("False", "TimedOut"))
    found = person.trainyard("runs", "--state", "timedout", "--model", "churn", "--since", "1h", "-o", "name").out
    assert f"trainingrun.trainyard.dev/{names[0]}" in found.split()
    assert names[1] not in found
    cut = person.trainyard("runs", "--limit", "1")
    assert len(cut.out.splitlines()) == 2
    assert cut.err.strip() == f"1 of {len(person.runs())} runs; --limit 0 shows all."
    none = person.trainyard("runs", "--trigger", "nightly")
    assert none.err.startswith(f"None of the {len(person.runs())} TrainingRuns in namespace 'ada' is meant. States: ")
    wrong = person.trainyard("runs", "--since", "yesterday")
    assert (wrong.status, wrong.err.split(":")[0]) == (2, "--since yesterday")


def test_run_show_tells_who_and_why(person: Person) -> None:
    name = person.trainyard("run", "churn", "--experiment", "wide", "--description", "after the fix").out.strip()
    told = person.trainyard("run", "show", name).out
    assert "requested by  admin" in told
    assert "experiment    wide" in told
    assert json.loads(person.trainyard("run", "show", name, "-o", "json").out)["metadata"]["name"] == name


def test_pipelines_and_their_next_slot(person: Person) -> None:
    slot = {"name": "nightly", "next": "2999-01-02T01:00Z", "lastSlot": "2026-03-01T01:00Z"}
    person.say("trainingpipeline", "churn", {"schedules": [slot]})
    assert person.trainyard("pipelines", "-o", "name").out == "trainingpipeline.trainyard.dev/churn\n"
    assert person.trainyard("pipelines").out.splitlines()[0].split()[:3] == ["NAME", "MODEL", "ENGINE"]
    shown = person.trainyard("pipeline", "show", "churn").out
    assert "0 2 * * * Europe/Berlin" in shown
    assert "2999-01-02T01:00Z (in " in shown
    none = person.trainyard("pipelines", "--model", "fraud")
    assert (none.status, none.err.strip()) == (0, "No TrainingPipeline of model 'fraud' in namespace 'ada'.")


def test_lineage(person: Person) -> None:
    digest = "sha256:" + "d" * 64
    name = person.trainyard("run", "churn").out.strip()
    data = [{"name": "customers", "uri": "s3://trainyard/data/customers/", "digest": digest}]
    person.say("trainingrun", name, {"datasets": data, **_succeeded("False", "OutOfMemory")})
    told = person.trainyard("lineage", "dataset", "customers")
    assert told.status == 0, told.err
    assert f"{name}  churn" in told.out
    assert "From the cluster: what was pruned is in the record (--database)." in told.out
    answer = json.loads(person.trainyard("lineage", "run", name, "-o", "json").out)
    assert answer["runs"][0]["requested_by"] == "admin"
    assert answer["runs"][0]["datasets"][0]["digest"] == digest
    nothing = person.trainyard("lineage", "model", "fraud")
    assert (nothing.status, nothing.err.strip()) == (
        1, "Neither a model nor a ModelVersion 'fraud' is known to the cluster.",
    )  # fmt: skip
    away = person.trainyard("lineage", "run", name, TRAINYARD_DATABASE_URL="mysql://who:s3cret@127.0.0.1:9/trainyard")
    assert (away.status, "does not answer" in away.err, "s3cret" in away.err) == (1, True, False)


def test_logs_of_a_run_without_pods(person: Person) -> None:
    name = person.trainyard("run", "churn").out.strip()
    early = person.trainyard("logs", name)
    assert (early.status, early.err.strip()) == (1, f"TrainingRun {name} has written nothing yet: it is pending")
    assert person.trainyard("logs", name, "--previous", "--attempt", "1").status == 2
    none = person.trainyard("logs", name, "--previous")
    assert (none.status, none.err.strip()) == (
        2, f"TrainingRun {name} has no earlier attempt: it has had one attempt only.",
    )  # fmt: skip


def test_nobody_reads_any_more(person: Person) -> None:
    """Neither the little that waits in a buffer, nor more than a pipe holds, ends in a traceback."""
    for arguments in (["runs", "-o", "name"], ["runs", "--limit", "0", "-o", "json"]):
        line = " ".join(person.command(*arguments))
        done = subprocess.run(
            ["bash", "-c", f"{line} | true"], env=person.environment, text=True, capture_output=True, check=False,
            timeout=90,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")


def test_kubectl_finds_the_plugin(person: Person) -> None:
    """`kubectl trainyard` runs `kubectl-trainyard` of the path, the entry point of the package."""
    scripts = str(Path(sys.executable).parent)
    environment = {**person.environment, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [person.rig.kubectl, "trainyard", "pipelines", "-n", person.namespace, "-o", "name"], env=environment,
        text=True, capture_output=True, check=False, timeout=90,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "trainingpipeline.trainyard.dev/churn\n"), done.stderr


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
    assert "20 % ? [pause until" in person.trainyard("rollout", "get", "churn", PYTHONIOENCODING="ascii").out
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


def test_a_plugin_s_token_is_renewed(person: Person, tmp_path: Path) -> None:
    """The first one is worth nothing and is about to end; kubectl asks for the next one as well."""
    person.kubectl("create", "serviceaccount", "robot")
    person.kubectl("create", "rolebinding", "robot", "--clusterrole=cluster-admin", "--serviceaccount=ada:robot")
    token = person.kubectl("create", "token", "robot").strip()
    ends = (clock.now() + timedelta(seconds=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    first = json.dumps({**credential, "status": {"token": "nobody", "expirationTimestamp": ends}})
    then = json.dumps({**credential, "status": {"token": token}})
    script = f"if mkdir {tmp_path}/asked 2>/dev/null; then echo '{first}'; else echo '{then}'; fi"
    config = yaml.safe_load(person.rig.kubeconfig.read_text())
    plugin = {"apiVersion": credential["apiVersion"], "command": "sh", "args": ["-c", script]}
    config["users"][0]["user"] = {"exec": {**plugin, "interactiveMode": "Never"}}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    done = person.trainyard("pipelines", "-o", "name", "--kubeconfig", str(tmp_path / "kubeconfig"))
    assert (done.status, done.out) == (0, "trainingpipeline.trainyard.dev/churn\n"), done.err


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

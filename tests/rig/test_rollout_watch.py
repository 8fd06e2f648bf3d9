"""`trainyard rollout get --watch` as a process against a real API server: lines, documents, exit status, Ctrl-C."""

import json
import os
import pty
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any

import pytest
import yaml

from local.rig import ApiServerRig
from tests.rig.person import CANARY, ROLLOUT, Person
from tests.unit.cli.watched import told

pytestmark = pytest.mark.rig

PROMOTED = {
    "canary": None, "step": None, "weight": 0, "stable": CANARY["canary"], "conditions": told(
        "Accepted=True Accepted", "Ready=True Promoted: it has all traffic", "Reconciling=False Settled",
        "Degraded=False AsWanted",
    ),
}  # fmt: skip
CLIMBS = told(
    "Accepted=True Accepted", "Ready=False WaitsForPromotion", "Reconciling=True WaitsForPromotion: waits for a person"
)
REJECTED = told(
    "Accepted=True Accepted",
    "Ready=True RevisionRejected",
    "Reconciling=False Settled",
    "Degraded=True RevisionRejected: it was bad",
)


@pytest.fixture(scope="module")
def place(rig: ApiServerRig, crds: None, kubectl: Callable[..., str]) -> Person:
    kubectl("create", "namespace", "watched")
    return Person(rig, "watched")


@pytest.fixture
def person(place: Person) -> Iterator[Person]:
    """A Rollout in the middle of its ladder."""
    place.kubectl("apply", "-f", "-", stdin=ROLLOUT)
    say(place, {**CANARY, "conditions": CLIMBS})
    yield place
    place.kubectl("delete", "rollout", "churn")


def say(person: Person, status: dict[str, Any]) -> None:
    """Write a status as of now, as the operator does."""
    generation = person.get("rollout", "churn")["metadata"]["generation"]
    stamped = {"observedGeneration": generation, "lastTransitionTime": "2026-11-24T06:00:00Z"}
    conditions = [{**c, **stamped} for c in status.get("conditions", ())]
    person.say("rollout", "churn", {**status, "observedGeneration": generation, "conditions": conditions})


@contextmanager
def watching(person: Person, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run the command beside the test, and end it with it."""
    command = person.command("rollout", "get", "churn", "--watch", *arguments)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    # A shell that runs this in the background has SIGINT ignored, and a child inherits that; at a terminal it is not.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, env=person.environment, text=True, start_new_session=True, **pipes) as running:
        signal.signal(signal.SIGINT, ours)
        try:
            yield running
        finally:
            running.kill()


def line(stream: IO[str] | None) -> str:
    """Return the next line; the test's own timeout ends a command that says nothing."""
    assert stream is not None
    return stream.readline().rstrip("\n")


def test_a_line_per_change_and_zero_once_promoted(person: Person) -> None:
    with watching(person, "--until", "promoted") as running:
        assert line(running.stdout) == "churn: churn-b 20 % at step 2 of 2 (pause until promoted); waits for a person"
        say(person, PROMOTED)
        assert line(running.stdout) == "churn: churn-b serves"
        assert line(running.stderr) == "Rollout churn: churn-b has all traffic"
        assert running.wait(60) == 0


@pytest.mark.parametrize(
    ("until", "status", "ended"),
    [
        ("promoted", {**CANARY, "canary": None, "step": None, "conditions": REJECTED}, 3),
        (
            "settled",
            {"conditions": [*CLIMBS, *told("Paused=True WaitsForPromotion: trainyard promote churn goes on")]},
            6,
        ),
    ],
)
def test_the_exit_status_tells(person: Person, until: str, status: dict[str, Any], ended: int) -> None:
    say(person, status)
    done = person.trainyard("rollout", "get", "churn", "--watch", "--until", until, "-o", "name")
    assert (done.status, done.out) == (ended, "rollout.trainyard.dev/churn\n"), done.err


def test_it_goes_on_after_the_timeout(person: Person) -> None:
    done = person.trainyard("rollout", "get", "churn", "--watch", "--until", "promoted", "--timeout", "0")
    assert (done.status, done.err.strip()) == (124, "Rollout churn has not come to rest within 0 s; it goes on.")


def test_until_without_watch_is_wrong(person: Person) -> None:
    assert person.trainyard("rollout", "get", "churn", "--until", "promoted").status == 2


def test_programs_read_the_object_at_each_change(person: Person) -> None:
    with watching(person, "-o", "json") as running:
        assert json.loads(line(running.stdout))["status"]["weight"] == 20
        say(person, {"weight": 50, "conditions": CLIMBS})
        assert json.loads(line(running.stdout))["status"]["weight"] == 50
    once = person.trainyard("rollout", "get", "churn", "-o", "yaml")
    assert yaml.safe_load(once.out)["status"]["weight"] == 50


@pytest.mark.parametrize(("arguments", "status"), [((), 0), (("--until", "promoted"), 130)])
def test_control_c_ends_it_cleanly(person: Person, arguments: tuple[str, ...], status: int) -> None:
    with watching(person, *arguments) as running:
        line(running.stdout)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == status
        assert running.stderr is not None
        assert running.stderr.read() == ""


def test_it_says_once_that_the_rollout_is_gone(person: Person) -> None:
    with watching(person) as running:
        line(running.stdout)
        person.kubectl("delete", "rollout", "churn")
        assert line(running.stderr) == "There is no Rollout 'churn' in namespace 'watched'."
        assert running.wait(60) == 1
    person.kubectl("apply", "-f", "-", stdin=ROLLOUT)


def test_a_terminal_gets_the_screen(person: Person) -> None:
    """On a terminal of 80 columns nothing is wider, and what was there last stays after Ctrl-C."""
    ours, theirs = pty.openpty()
    seen: list[bytes] = []
    shown = threading.Event()

    def read() -> None:
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # the other end is closed
                return
            seen.append(part)
            if b"pause until promoted" in b"".join(seen):
                shown.set()

    reader = threading.Thread(target=read)
    reader.start()
    narrow = Person(person.rig, person.namespace)
    with watching(narrow, stdout=theirs) as running:
        os.close(theirs)
        assert shown.wait(60)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
    reader.join(60)
    os.close(ours)
    text = b"".join(seen).decode()
    assert "churn-b  revision bbbbbbbbbb" in text
    assert "\x1b[?25h" in text, "the cursor is back"
    assert "\x1b[3" not in text, "NO_COLOR"


class Empty(BaseHTTPRequestHandler):
    """A Prometheus that knows nothing."""

    def do_POST(self) -> None:
        text = b'{"status": "success", "data": {"resultType": "vector", "result": []}}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def knows_nothing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def test_replay_finds_its_past_in_the_history(person: Person, knows_nothing: str) -> None:
    """Prometheus has nothing: it is held to the end, by the revisions and the time of the history."""
    times = {"startedTime": "2026-11-24T06:00:00Z", "finishedTime": "2026-11-24T06:10:00Z"}
    tried = {"revision": "cccccccccc", "version": "churn-c", "digest": "sha256:" + "c" * 64}
    before = {"startedTime": "2026-11-23T06:00:00Z", "finishedTime": "2026-11-23T06:10:00Z", "outcome": "Promoted"}
    first = {**before, "revision": "aaaaaaaaaa", "version": "churn-a", "digest": "sha256:" + "a" * 64, "message": "all"}
    ended = {**tried, **times, "outcome": "Promoted", "message": "all"}
    say(person, {"canary": None, "step": None, "history": [ended, first]})
    metric = {"name": "errors", "builtin": "ErrorRate", "max": "0.05"}
    person.kubectl(
        "patch", "rollout", "churn", "--type", "merge", "-p", json.dumps({"spec": {"analysis": {"metrics": [metric]}}})
    )
    nothing = ("--prometheus", knows_nothing, "--pass-pauses")
    done = person.trainyard("rollout", "replay", "churn", *nothing, "-o", "json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert (told["canary"]["revision"], told["stable"]["revision"]) == ("cccccccccc", "aaaaaaaaaa")
    assert (told["from"], told["to"]) == (times["startedTime"], times["finishedTime"])
    assert (told["outcome"], told["recorded"]["outcome"]) == ("Undecided", "Promoted")
    assert told["verdicts"]["errors"].keys() == {"Inconclusive"}, "too few requests"
    assert person.trainyard("rollout", "replay", "churn", *nothing, "-o", "name").out == "Undecided\n"
    assert "Undecided when the time is over, at 20 %" in person.trainyard("rollout", "replay", "churn", *nothing).out
    nobody = person.trainyard("rollout", "replay", "churn", "--prometheus", "http://127.0.0.1:9", "--pass-pauses")
    assert nobody.status == 1
    assert "Not one query was answered" in nobody.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--prometheus", "http://127.0.0.1:9"), "Name a Rollout, or give the policy with -f."),
        (("churn", "--from", "soon", "--prometheus", "http://127.0.0.1:9"), "--from soon: write a span"),
        (("nope", "--prometheus", "http://127.0.0.1:9"), "There is no Rollout 'nope'"),
        (("churn", "--prometheus", "http://127.0.0.1:9"), "Say --canary, --from, --to: no history tells it."),
    ],
)
def test_replay_says_what_it_lacks(person: Person, arguments: tuple[str, ...], sentence: str) -> None:
    say(person, {"canary": None, "canaryStartedTime": None})
    done = person.trainyard("rollout", "replay", *arguments)
    assert done.status in (1, 2)
    assert sentence in done.err

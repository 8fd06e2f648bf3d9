"""Scenario 41 and the examples: the real receiver, API server, tokens, MinIO and workflow file.

The receiver acts with what the chart grants and nothing else.
"""

import hashlib
import hmac
import io
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from minio import Minio

from local.rig import ApiServerRig
from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.metadata import FakeMetadata
from tests.rig.issuing import Issuer
from tests.rig.place import connect
from tests.rig.receiving import (
    EXAMPLES,
    SECRETS,
    USER,
    Receiver,
    Reply,
    Room,
    example,
    grant,
    notification,
    takes,
    until,
)
from tests.servers.running import minio
from trainyard.reconciling.cycle import Cycle
from trainyard.systems.bundle import Config, Systems
from trainyard.systems.cluster.port import TRAINING_PIPELINE, Ref
from trainyard.training_pipeline.room import TrainingPipelineRoom

pytestmark = pytest.mark.rig

EVENT = {"ce-specversion": "1.0", "ce-type": "ci.build.finished", "ce-source": "https://ci.example.com/builds"}
DATA = {"commit": "c0ffee", "epochs": 7}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def granted(kubectl: Callable[..., str], crds: None) -> None:
    grant(kubectl)


@pytest.fixture(scope="module")
def receiver(rig: ApiServerRig, granted: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with Receiver(rig, tmp_path_factory.mktemp("receiver") / "log") as running:
        yield running


@pytest.fixture
def room(kubectl: Callable[..., str], granted: None) -> Room:
    made = Room(kubectl, f"events-{next(_numbers)}")
    made.apply()
    return made


def send(receiver: Receiver, room: Room, token: str, event_id: str = "1", data: Any = None, **more: str) -> Reply:
    """Post an event of the CI."""
    headers = EVENT | {"ce-id": event_id, "content-type": "application/json"} | more
    proof = {"authorization": f"Bearer {token}"} if token else {}
    return receiver.post(f"{room.name}/screening/ci", DATA if data is None else data, headers | proof)


def test_the_same_event_thrice_is_one_run(receiver: Receiver, room: Room) -> None:
    token = room.token("ci")
    replies = [send(receiver, room, token) for _ in range(3)]
    assert [r.short for r in replies] == [(202, "RunCreated"), (200, "Duplicate"), (200, "Duplicate")]
    (run,) = room.runs()
    assert {r.run for r in replies} == {run["metadata"]["name"]}
    assert run["spec"]["trigger"] == {
        "type": "Event",
        "name": "ci",
        "eventSource": "https://ci.example.com/builds",
        "eventId": "1",
    }
    assert run["spec"]["parameters"] == DATA
    assert run["spec"]["requestedBy"] == f"system:serviceaccount:{room.name}:ci"


def test_who_may_not(receiver: Receiver, room: Room) -> None:
    """Scenario 41: no token 401, one that may not 403; and neither learns what exists."""
    room.kubectl("create", "serviceaccount", "eve", "-n", room.name)
    eve, ours = room.token("eve"), room.token("ci")
    signature = ours.rpartition(".")[2]
    forged = eve.rpartition(".")[0] + "." + signature
    refused = {
        name: receiver.post(f"{room.name}/{path}", DATA, EVENT | proof)
        for path in ("screening/ci", "screening/no", "no/ci", "screening/push", "screening/new-data")
        for name, proof in {
            f"{path} without a token": {},
            f"{path} with a token for the API server": {"authorization": f"Bearer {room.token('ci', '')}"},
            f"{path} with a forged token": {"authorization": f"Bearer {forged}"},
            f"{path} with a text": {"authorization": "Bearer letmein"},
        }.items()
    }
    assert {r.short for r in refused.values()} == {(401, "Unauthorized")}
    assert len({json.dumps(r.body) for r in refused.values()}) == 1
    for path in (f"{room.name}/screening/ci", f"{room.name}/no/ci", "elsewhere/no/no"):
        reply = receiver.post(path, DATA, EVENT | {"authorization": f"Bearer {eve}"})
        assert (reply.short, "may not create TrainingRuns" in reply.body["message"]) == ((403, "Forbidden"), True)
    assert room.runs() == []


def test_a_token_ends_with_its_account(receiver: Receiver, room: Room) -> None:
    token = room.token("ci")
    assert send(receiver, room, token).status == 202
    room.kubectl("delete", "serviceaccount", "ci", "-n", room.name)
    # The API server remembers for some seconds that a token was good.
    until(lambda: receiver.post(f"{room.name}/no/no", b"", {"authorization": f"Bearer {token}"}).status == 401)
    assert send(receiver, room, token, "2").short == (401, "Unauthorized")


def test_what_is_wrong_is_said(receiver: Receiver, room: Room) -> None:
    token = room.token("ci")
    proof = {"authorization": f"Bearer {token}"}
    path = f"{room.name}/screening/ci"
    structured = {"content-type": "application/cloudevents+json"} | proof
    broken = receiver.post(path, b'{"specversion": "1.0",', structured)
    assert broken.short == (400, "Malformed")
    assert broken.body["message"].startswith("The event is no JSON: Expecting property name")
    batch = receiver.post(path, [], proof | {"content-type": "application/cloudevents-batch+json"})
    assert batch.short == (415, "UnsupportedMediaType")
    assert send(receiver, room, token, data={"commit": "c", "epochs": "many"}).body == {
        "reason": "ParametersInvalid",
        "message": "Parameters: epochs is of type String, not Integer.",
    }
    assert send(receiver, room, token, data=b"x" * 1_100_000).short == (413, "TooLarge")
    assert send(receiver, room, token, **{"ce-type": "ci.build.started"}).short == (200, "TypeMismatch")
    missing = receiver.post(f"{room.name}/screening/nightly", DATA, EVENT | proof)
    assert (missing.short, "no event trigger nightly" in missing.body["message"]) == ((404, "NotFound"), True)
    suspend = ["patch", "trainingpipeline", "screening", "-n", room.name, "--type=merge", "-p"]
    room.kubectl(*suspend, '{"spec": {"suspend": true}}')
    assert send(receiver, room, token).short == (409, "Suspended")
    assert room.runs() == []
    room.kubectl(*suspend, '{"spec": {"suspend": false}}')
    assert send(receiver, room, token).status == 202


async def test_a_redelivery_stays_a_no_op_when_the_run_was_pruned(
    rig: ApiServerRig, receiver: Receiver, room: Room
) -> None:
    token = room.token("ci")
    first = send(receiver, room, token)
    await _operate(rig, room)
    room.kubectl("delete", "trainingrun", first.run, "-n", room.name)
    assert room.runs() == []
    again = send(receiver, room, token)
    assert (again.short, again.run) == ((200, "Duplicate"), first.run)
    assert room.runs() == []
    assert send(receiver, room, token, "2").status == 202


async def _operate(rig: ApiServerRig, room: Room) -> None:
    """Let the operator visit the pipeline: it writes down which events were handled."""
    cluster, transport = await connect(rig.kubeconfig)
    settings = Config("localhost/operator:1", {}, "models", "http://minio:9000")
    metadata = FakeMetadata()
    systems = Systems(cluster, {}, FakeArtifacts(), cast("Any", None), metadata, settings)

    async def record(rows: Any) -> bool:
        await metadata.record(rows)
        return True

    try:
        cycle = Cycle(TrainingPipelineRoom(), systems, cluster, record)
        for _ in range(3):
            await cycle.run(Ref(TRAINING_PIPELINE, room.name, "screening"), datetime.now(UTC))  # noqa: TID251 - plays the core
    finally:
        await transport.close()


def test_two_replicas_that_get_an_event_at_once_make_one_run(
    rig: ApiServerRig, receiver: Receiver, room: Room, tmp_path: Path
) -> None:
    token = room.token("ci")
    with Receiver(rig, tmp_path / "log") as other, ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda n: send((receiver, other)[n % 2], room, token, str(n % 3)), range(24)))
    assert sorted(r.status for r in replies) == [200] * 21 + [202] * 3
    assert len({r.run for r in replies}) == 3
    assert {run["metadata"]["name"] for run in room.runs()} == {r.run for r in replies}


def test_github_pushes(receiver: Receiver, room: Room) -> None:
    push = {"ref": "refs/heads/main", "after": "c0ffee", "repository": {"html_url": "https://github.com/ada/churn"}}
    body = json.dumps(push).encode()
    signature = "sha256=" + hmac.new(SECRETS["github"].encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "x-github-event": "push",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "content-type": "application/json",
    }
    path = f"{room.name}/screening/push"
    wrong: tuple[dict[str, str], ...] = (
        {},
        {"x-hub-signature-256": "sha256=" + "0" * 64},
        {"authorization": f"Bearer {SECRETS['github']}"},
    )
    assert {receiver.post(path, body, headers | proof).status for proof in wrong} == {401}
    signed = headers | {"x-hub-signature-256": signature}
    assert receiver.post(path, body + b" ", signed).status == 401
    assert receiver.post(path, body, signed | {"x-github-event": "ping"}).short == (200, "Ping")
    assert [receiver.post(path, body, signed).status for _ in range(3)] == [202, 200, 200]
    (run,) = room.runs()
    assert run["spec"]["parameters"] == {"commit": "c0ffee"}
    assert run["spec"]["requestedBy"] == "hmac:trainyard-triggers/github"
    assert run["spec"]["trigger"]["eventSource"] == "https://github.com/ada/churn"


def test_new_data_in_minio(receiver: Receiver, room: Room, tmp_path: Path) -> None:
    """The example's environment and notification on a real MinIO: each PUT below the prefix starts one run.

    What is refused at first (the Secret is missing) waits in MinIO's queue.
    """
    endpoint = f"{receiver.url}/events/{room.name}/screening/new-data"
    lines = [line for line in example("minio.env").splitlines() if not line.startswith("#")]
    settings = dict(line.split("=", 1) for line in lines)
    settings["MINIO_NOTIFY_WEBHOOK_ENDPOINT_TRAINYARD"] = endpoint
    settings["MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_TRAINYARD"] = str(tmp_path)
    room.kubectl("delete", "secret", "trainyard-triggers", "-n", room.name)
    with minio(settings) as store:
        client = Minio(store.url.removeprefix("http://"), store.user, store.password, secure=False)
        client.make_bucket("trainyard")
        until(lambda: takes(client, notification()))
        for key in ("data/other/rows.csv", "data/breast-cancer/rows 1.csv", "data/breast-cancer/rows 1.csv"):
            client.put_object("trainyard", key, io.BytesIO(b"rows"), 4)
        until(lambda: f"{room.name}/screening/new-data 401" in receiver.log.read_text())
        assert room.runs() == []
        room.kubectl("apply", "-n", room.name, "-f", "-", stdin=example("secret.yaml"))
        room.wait_for_runs(2)
        until(lambda: not list(tmp_path.rglob("*.event*")))
    runs = room.runs()
    assert len(runs) == 2
    for run in runs:
        assert run["spec"]["parameters"] == {"object": "trainyard/data/breast-cancer/rows 1.csv"}
        assert run["spec"]["requestedBy"] == "bearer:trainyard-triggers/minio"
        trigger = run["spec"]["trigger"]
        assert (trigger["eventSource"], "#" in trigger["eventId"]) == ("s3://trainyard", True)
        datetime.fromisoformat(trigger["eventTime"])


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[Issuer]:
    with Issuer(tmp_path) as running:
        yield running


def test_tokens_of_an_issuer(rig: ApiServerRig, granted: None, room: Room, tmp_path: Path, issuer: Issuer) -> None:
    """OpenID Connect over real TLS; an issuer that the configuration does not name is never asked."""
    for number, url in enumerate((issuer.url, f"{issuer.url}/other")):
        auth = {"oidc": {"issuer": url, "audience": "churn", "subjects": ["robot"]}}
        trigger = {"name": f"robot-{number}", "auth": auth}
        added = json.dumps([{"op": "add", "path": "/spec/triggers/events/-", "value": trigger}])
        room.kubectl("patch", "trainingpipeline", "screening", "-n", room.name, "--type=json", "-p", added)
    settings = {"TRAINYARD_EVENTS_OIDC_ISSUERS": issuer.url, "SSL_CERT_FILE": str(issuer.authority)}
    headers = EVENT | {"ce-id": "1"}
    with Receiver(rig, tmp_path / "receiver", settings) as receiver:

        def post(token: str, trigger: str = "robot-0") -> Reply:
            proof = {"authorization": f"Bearer {token}"}
            return receiver.post(f"{room.name}/screening/{trigger}", b"", headers | proof)

        assert post(issuer.token("robot")).short == (202, "RunCreated")
        assert post(issuer.token("robot")).short == (200, "Duplicate")
        assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]
        assert {post(t).status for t in (issuer.token("eve"), issuer.token("robot", aud="other"))} == {401}
        assert post(issuer.token("robot", iss=f"{issuer.url}/other"), "robot-1").status == 401
        assert len(issuer.asked) == 2
    (run,) = room.runs()
    assert run["spec"]["requestedBy"] == "oidc:robot"


def _environment(rig: ApiServerRig, **more: str) -> dict[str, str]:
    """A CI job's: trainyard and kubectl on the path."""
    path = f"{Path(sys.executable).parent}:{Path(rig.kubectl).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "NO_COLOR": "1", **more}


def test_an_event_from_any_ci(rig: ApiServerRig, receiver: Receiver, room: Room) -> None:
    told = {"TRAINYARD_EVENTS": receiver.url, "NAMESPACE": room.name, "BUILD": "4711", "COMMIT": "c0ffee"}
    environment = _environment(rig, KUBECONFIG=str(rig.kubeconfig), **told)
    done = [
        subprocess.run([EXAMPLES / "send-event.sh"], env=environment, capture_output=True, text=True, check=False)
        for _ in range(2)
    ]
    assert [d.returncode for d in done] == [0, 0], done[0].stderr
    assert [json.loads(d.stdout)["reason"] for d in done] == ["RunCreated", "Duplicate"]
    (run,) = room.runs()
    assert run["spec"]["parameters"] == {"commit": "c0ffee", "epochs": 20}
    wrong = environment | {"BUILD": "4712", "EPOCHS": '"many"'}
    refused = subprocess.run([EXAMPLES / "send-event.sh"], env=wrong, capture_output=True, text=True, check=False)
    assert refused.returncode == 22, "curl's word for an HTTP error"
    assert "epochs is of type String, not Integer" in refused.stdout


@pytest.mark.parametrize(("succeeded", "reason", "status"), [("True", "Succeeded", 0), ("False", "OutOfMemory", 3)])
def test_a_push_trains_and_waits(
    rig: ApiServerRig, room: Room, tmp_path: Path, succeeded: str, reason: str, status: int
) -> None:
    """The step of the workflow file, run by bash as GitHub runs it, as the ServiceAccount ci."""
    (step,) = (
        s for s in yaml.safe_load((EXAMPLES / "github-workflow.yaml").read_text())["jobs"]["train"]["steps"]
        if s.get("id") == "train"
    )  # fmt: skip
    assert step["env"]["KUBECONFIG"] == "${{ runner.temp }}/kubeconfig"
    environment = _environment(
        rig, KUBECONFIG=str(tmp_path / "kubeconfig"), CLUSTER=_kubeconfig(rig, room), COMMIT="c0ffee"
    )
    log = tmp_path / "log"
    operator = threading.Thread(target=_play_operator, args=(room, log, succeeded, reason))
    operator.start()
    with log.open("wb") as stderr:
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(command, cwd=tmp_path, env=environment, stderr=stderr, check=False, timeout=120)
    operator.join()
    assert done.returncode == status, log.read_text()
    assert reason in log.read_text().splitlines()[-1]
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["spec"]["description"] == "push of c0ffee"
    assert run["spec"]["parameters"] == {"commit": "c0ffee", "epochs": 30}
    assert run["spec"]["requestedBy"] == f"system:serviceaccount:{room.name}:ci"
    assert next(c["reason"] for c in run["status"]["conditions"] if c["type"] == "Succeeded") == reason


def _kubeconfig(rig: ApiServerRig, room: Room) -> str:
    """A kubeconfig with a token of the ServiceAccount ci."""
    found = yaml.safe_load(rig.kubeconfig.read_text())
    found["users"] = [{"name": "ci", "user": {"token": room.token("ci", "")}}]
    (context,) = found["contexts"]
    context["context"] |= {"user": "ci", "namespace": room.name}
    return str(yaml.safe_dump(found))


def _play_operator(room: Room, log: Path, succeeded: str, reason: str) -> None:
    """Say that the run trains, and how it ended, but not before its progress stands in the job's log."""
    (run,) = room.wait_for_runs(1)
    _say(room, run, "Unknown", "Running")
    until(lambda: "train=Running" in log.read_text())
    _say(room, run, succeeded, reason)


def _say(room: Room, run: dict[str, Any], succeeded: str, reason: str) -> None:
    condition = {"type": "Succeeded", "status": succeeded, "reason": reason, "message": ""}
    status = {"conditions": [condition], "steps": [{"name": "train", "state": "Running"}]}
    where = (run["metadata"]["name"], "-n", room.name, "--subresource=status", "--type=merge")
    room.kubectl("patch", "trainingrun", *where, "-p", json.dumps({"status": status}))


def test_the_receiver_asks_for_little(rig: ApiServerRig, receiver: Receiver, room: Room) -> None:
    """All that it ever did here: get single objects, create runs and reviews. Nothing was refused to it."""
    assert send(receiver, room, room.token("ci")).status == 202
    entries = [json.loads(line) for line in rig.audit_log.read_text().splitlines()]
    mine = [e for e in entries if e["stage"] == "ResponseComplete" and e["user"]["username"] == USER]
    asked = {(e["verb"], e.get("objectRef", {}).get("resource")) for e in mine}
    assert asked <= {
        ("get", "trainingpipelines"),
        ("get", "trainingruns"),
        ("get", "secrets"),
        ("create", "trainingruns"),
        ("create", "tokenreviews"),
        ("create", "localsubjectaccessreviews"),
    }
    secrets = {e["objectRef"]["name"] for e in mine if e["objectRef"]["resource"] == "secrets"}
    assert secrets <= {"trainyard-triggers"}
    assert [e for e in mine if e["responseStatus"]["code"] == 403] == []
    may = ["auth", "can-i", "--as", USER, "-n", room.name]
    for what in (
        ["list", "secrets"],
        ["get", "secret/other"],
        ["delete", "trainingruns"],
        ["patch", "trainingpipelines"],
    ):
        done = subprocess.run(
            [rig.kubectl, "--kubeconfig", str(rig.kubeconfig), *may, *what], capture_output=True, text=True, check=False
        )
        assert done.stdout.strip() == "no", what

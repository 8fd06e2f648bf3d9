"""A schedule of every minute on a real API server: the operator's real process, killed twice; each slot runs once."""

import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.rig import ApiServerRig
from tests.rig.timed import process, until
from tests.rig.tiny_processes import audited

pytestmark = pytest.mark.rig

NAMESPACE = "scheduled"
USER = "operator-timed"
PIPELINE = {
    "apiVersion": "trainyard.dev/v1alpha1",
    "kind": "TrainingPipeline",
    "metadata": {"name": "churn", "namespace": NAMESPACE},
    "spec": {
        "model": "churn",
        "engine": {"job": {"template": {"image": "localhost/trainer:1"}}},
        "triggers": {"schedules": [{"name": "minutely", "cron": "* * * * *", "timeZone": "Europe/Berlin"}]},
        "concurrency": "Allow",
    },
}

Kubectl = Callable[..., str]


def test_40_every_slot_once_through_two_kills(rig: ApiServerRig, kubectl: Kubectl, crds: None, tmp_path: Path) -> None:
    log = tmp_path / "operator.log"
    kubectl("create", "namespace", NAMESPACE)
    kubectl("apply", "-f", "-", stdin=json.dumps(PIPELINE))

    def slots() -> list[str]:
        items = json.loads(kubectl("-n", NAMESPACE, "get", "trainingruns", "-o", "json"))["items"]
        return sorted(item["spec"]["trigger"]["slot"] for item in items)

    def stand() -> dict[str, Any]:
        status = json.loads(kubectl("-n", NAMESPACE, "get", "trainingpipeline", "churn", "-o", "json")).get(
            "status", {}
        )
        return dict((status.get("schedules") or [{}])[0]) | {"seen": status.get("observedGeneration", 0)}

    now = datetime.now(UTC)  # noqa: TID251 - the test waits for the real API server
    ahead = 55.0 - now.second if now.second < 55 else 0.0  # the minute ends soon
    with process(rig, log, USER, NAMESPACE, ahead, "die") as first:
        until("it dies of its first run", lambda: first.poll() is not None, log)
    assert first.returncode == -signal.SIGKILL
    (one,) = slots()
    assert stand().get("lastSlot") is None, "the crash came before the watermark"

    with process(rig, log, USER, NAMESPACE, ahead + 60):
        until("the next slot", lambda: (stand().get("lastSlot") or "") > one, log)
    assert one in slots()
    assert len(slots()) == len(set(slots())) >= 2

    before = slots()
    kubectl("-n", NAMESPACE, "patch", "trainingpipeline", "churn", "--type", "merge", "-p", '{"spec":{"suspend":true}}')
    with process(rig, log, USER, NAMESPACE, ahead + 60):
        until("it is seen", lambda: stand()["seen"] == 2, log)
    assert slots() == before, "suspended, and nothing is done twice"
    columns = kubectl("-n", NAMESPACE, "get", "trainingpipelines")
    assert "NEXT SLOT" in columns
    made = [e for e in audited(rig, USER) if e["objectRef"]["resource"] == "trainingruns" and e["verb"] == "create"]
    assert len([e for e in made if e["responseStatus"]["code"] == 201]) == len(before), "no run was made and lost"

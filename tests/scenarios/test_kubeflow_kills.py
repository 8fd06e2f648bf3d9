"""Scenario 36 on the installed operator: its process dies by SIGKILL around the writes of a start on the real Kubeflow.

A watch sees each write the moment the API server has it; the process is killed then, before or right after the next
one. The settle time after an announcement has its real length here.
"""

import json
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from tests.scenarios.cluster import Cluster, Refused
from tests.scenarios.kubeflow import NAMESPACE, Kubeflow, two_steps
from tests.scenarios.test_kills import Fate, processes_of
from tests.scenarios.test_kubeflow import Door

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(1200)]

LONGEST_SECONDS = 600.0  # five minutes in which what was announced is not sent again, and the run itself
RUNS = r'{{.metadata.name}} {{.metadata.annotations}} {{.status}}{{"\n"}}'
WORKFLOWS = r'{{.metadata.name}}{{"\n"}}'
# The writes of a start, in their order: what is watched, and the text that its write brings.
MOMENTS = {
    "identity": ("trainingruns", RUNS, "trainyard.dev/engine-id"),
    "intent": ("trainingruns", RUNS, "engine:map"),
    "announced": ("trainingruns", RUNS, "trainyard.dev/announced"),
    "workflow": ("workflows.argoproj.io", WORKFLOWS, ""),
    "shown": ("trainingruns", RUNS, "steps:["),
}


@dataclass
class Blow:
    """Kills a process at the first line of a watch that has a text."""

    process: int
    text: str
    struck: threading.Event = field(default_factory=threading.Event)

    def fall(self, watch: "subprocess.Popen[str]") -> None:
        assert watch.stdout
        for line in watch.stdout:
            if self.text in line and not self.struck.is_set():
                os.kill(self.process, signal.SIGKILL)
                self.struck.set()


@contextmanager
def watched(where: Cluster, kind: str, line: str, blow: Blow) -> Iterator[None]:
    """Let the blow see every state of the objects of a kind from now on."""
    command = ["kubectl", "-n", where.namespace, "get", kind, "--watch-only", "-o", f"go-template={line}"]
    env = {**os.environ, **where.env}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as watch:
        reader = threading.Thread(target=blow.fall, args=(watch,), daemon=True)
        reader.start()
        try:
            yield
        finally:
            watch.kill()
            reader.join(10)


@pytest.fixture
def operator(system: Cluster) -> Iterator[Cluster]:
    """The operator's namespace; after the test a healthy one is there for the next."""
    yield system
    system.kubectl("rollout", "status", "deployment/trainyard", "--timeout=180s", timeout=200)


@pytest.mark.parametrize("moment", MOMENTS)
def test_one_run_whenever_the_operator_s_process_dies(
    moment: str, operator: Cluster, kubeflow_ns: Cluster, kubeflow: Kubeflow
) -> None:
    kind, line, text = MOMENTS[moment]
    door, name = Door(kubeflow_ns), f"k{uuid.uuid4().hex[:8]}"
    package = two_steps()
    package["pipelineInfo"]["name"] = name  # its Workflow's name begins so
    door.pipeline(name, package)
    kubeflow_ns.wait("trainingpipeline", name, "Accepted")
    pod = Fate(operator, threading.Event()).leader()
    (process,) = processes_of(str(pod["metadata"]["uid"]))
    blow = Blow(process, text or f"{name}-")
    where = kubeflow_ns if kind == "trainingruns" else Cluster(operator.env, NAMESPACE)
    with watched(where, kind, line, blow):
        time.sleep(1)  # kubectl tells nobody that its watch has begun
        door.run(name, name, parameters={"text": uuid.uuid4().hex})
        assert blow.struck.wait(120), "the moment never came"
    with suppress(Refused):  # a pod that is gone is what was asked for: no back-off delays the next
        operator.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force", "--wait=false")
    ended = kubeflow_ns.wait("trainingrun", name, "Succeeded", "True", "Succeeded", LONGEST_SECONDS)
    assert len(kubeflow.workflows(ended["status"]["engine"]["id"])) == 1
    assert runs_called(kubeflow, name) == [ended["status"]["engine"]["id"]]
    started = [
        w for w in kubeflow.cluster.list("workflows.argoproj.io") if w["metadata"]["name"].startswith(f"{name}-")
    ]
    assert len(started) == 1


def runs_called(kubeflow: Kubeflow, name: str) -> list[str]:
    """Return the ids of the server's runs of a display name."""
    wanted = {"predicates": [{"operation": "EQUALS", "key": "display_name", "string_value": name}]}
    status, found = kubeflow.call("GET", "runs", query={"filter": json.dumps(wanted), "page_size": "50"})
    assert status == 200, found
    return [str(run["run_id"]) for run in found.get("runs", ())]

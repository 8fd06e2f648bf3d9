"""Scenarios 35 and 36, exactly: the operator's own process is killed before and after each write of a start.

The process is `python -m trainyard` on an API server of its own, so that no other operator helps it; Kubeflow is the
real one of the local cluster, behind a proxy that kills the process (SIGKILL) at the request that is meant. The time
for which an announced start is not sent again has its real length.
"""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from local.free_ports import free_port
from local.rig import ApiServerRig
from tests.rig.kinds import CRDS
from tests.scenarios.cluster import ROOT, Cluster, condition, wait_until
from tests.scenarios.fault_proxy import Fault, FaultProxy
from tests.scenarios.kubeflow import Kubeflow, two_steps
from tests.scenarios.test_kubeflow_kills import runs_called

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(1200)]

# The writes of a start on the server, in their order.
WRITES = {"pipeline": "/pipelines$", "version": "upload_version", "experiment": "/experiments$", "run": "/runs$"}
SETTLED_SECONDS = 600.0  # after an announcement nothing is sent for five minutes


class Process:
    """`python -m trainyard`, to be killed and started again."""

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        self._env = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), **settings}
        self._log = log

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.status()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "trainyard"], env=self._env, stdout=log, stderr=log)

    def kill(self) -> None:
        """Kill it without waiting for its end."""
        self._process.send_signal(signal.SIGKILL)

    def status(self) -> int:
        """Wait for its end and return the exit status."""
        return self._process.wait(60)


@pytest.fixture(scope="module")
def place() -> Iterator[Cluster]:
    """A namespace of an API server of its own, on which our kinds are served."""
    with ApiServerRig(kube_controllers=True) as rig:
        kubectl = Path(rig.kubectl)
        made = Cluster({"KUBECONFIG": str(rig.kubeconfig), "PATH": f"{kubectl.parent}:{os.environ['PATH']}"}, "team")
        made.kubectl("create", "namespace", "team")
        made.kubectl("apply", "--server-side", "-f", str(CRDS))
        made.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
        yield made


def settings(place: Cluster, kubeflow_url: str) -> dict[str, str]:
    """Return what the process reads: one namespace, Kubeflow behind the proxy, no other system."""
    return {
        "KUBECONFIG": place.env["KUBECONFIG"],
        "TRAINYARD_NAMESPACES": "team",
        "TRAINYARD_POD_NAMESPACE": "team",
        "TRAINYARD_POD_NAME": "mortal",
        "TRAINYARD_LEASE_SECONDS": "5",
        "TRAINYARD_PROBE_PORT": str(free_port()),
        "TRAINYARD_METRICS_PORT": str(free_port()),
        "TRAINYARD_COURIER_IMAGE": "none",
        "TRAINYARD_SERVER_IMAGE_TENSORFLOW": "none",
        "TRAINYARD_STORE_BUCKET": "trainyard",
        "TRAINYARD_KUBEFLOW_URL": kubeflow_url,
        "TRAINYARD_KUBEFLOW_NAMESPACES": "team",
        "TRAINYARD_KUBEFLOW_WORKFLOWS": "false",
    }


def asked_for(place: Cluster, name: str) -> None:
    """Apply a pipeline that Kubeflow does not know, and a run of it; nothing of it is in Kubeflow's cache."""
    package = {"package": {"inline": yaml.safe_dump(two_steps())}}
    for kind, spec in (
        ("TrainingPipeline", {"model": name, "engine": {"kubeflow": {**package, "experiment": name}}}),
        ("TrainingRun", {"pipeline": name, "parameters": {"text": uuid.uuid4().hex}}),
    ):
        body: dict[str, Any] = {"apiVersion": "trainyard.dev/v1alpha1", "kind": kind, "spec": spec}
        place.apply({**body, "metadata": {"name": name}})


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", WRITES)
def test_one_run_whenever_the_process_is_killed(
    write: str, when: str, place: Cluster, kubeflow: Kubeflow, tmp_path: Path
) -> None:
    name = f"p{uuid.uuid4().hex[:8]}"
    with (
        FaultProxy(kubeflow.url) as proxy,
        Process(settings(place, proxy.url), tmp_path / "operator.log") as operator,
    ):
        fault = Fault.CUT_BEFORE if when == "before" else Fault.CUT_AFTER
        proxy.fail(fault, "POST", WRITES[write], strike=operator.kill)
        asked_for(place, name)
        wait_until("the process is killed", lambda: any(s.fault for s in proxy.seen), 120)
        assert operator.status() == -signal.SIGKILL
        before = place.get("trainingrun", name) or {}
        assert ("trainyard.dev/announced" in before["metadata"]["annotations"]) == (write == "run")
        operator.start()
        run = wait_until("the run shows its steps", lambda: shown(place, name), SETTLED_SECONDS)
        assert run["metadata"]["annotations"]["trainyard.dev/engine-id"] == run["status"]["engine"]["id"]
        assert runs_called(kubeflow, name) == [run["status"]["engine"]["id"]]
        # None where Kubeflow was too busy to write the row before its agent asked for it: it deletes the Workflow then.
        assert len(kubeflow.workflows(run["status"]["engine"]["id"])) <= 1
        came = [s for s in proxy.seen if s.method == "POST" and s.path.endswith("/runs") and s.status is not None]
        assert [s.status for s in came] == [200], "the server has seen one start"
        place.patch("trainingrun", name, {"spec": {"cancel": True, "cancelledBy": "the test"}})
        wait_until(
            "it has ended", lambda: condition(place.get("trainingrun", name) or {}, "Succeeded")["status"] != "Unknown"
        )


def shown(place: Cluster, name: str) -> dict[str, Any] | None:
    """Return the run once it tells its steps, so once Kubeflow has it."""
    run = place.get("trainingrun", name) or {}
    return run if run.get("status", {}).get("steps") else None

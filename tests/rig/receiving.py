"""The receiver of events as a process with just the rights of its chart, and whoever sends it events."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml
from minio import Minio, S3Error
from minio.notificationconfig import NotificationConfig, PrefixFilterRule, QueueConfig

from local import builds
from local.free_ports import free_port
from local.rig import ApiServerRig
from tests.chart.charts import NAMESPACE, helm_at, rendered

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples/triggers"
USER = f"system:serviceaccount:{NAMESPACE}:trainyard-events"
GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}")
SECRETS = {"minio": "m" * 32, "github": "g" * 32}

Obj = dict[str, Any]
Kubectl = Callable[..., str]


@dataclass(frozen=True)
class Reply:
    """What the receiver answered."""

    status: int
    body: Obj

    @property
    def run(self) -> str:
        return str(self.body.get("run", ""))

    @property
    def short(self) -> tuple[int, str]:
        return self.status, str(self.body["reason"])


@dataclass
class Receiver:
    """One process of the receiver."""

    rig: ApiServerRig
    log: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.port, probes = free_port(), free_port()
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.rig.kubeconfig_for(USER, GROUPS)),
            "PYTHONPATH": str(ROOT / "operator"),
            "TRAINYARD_EVENTS_PORT": str(self.port),
            "TRAINYARD_PROBE_PORT": str(probes),
            "TRAINYARD_EVENTS_DRAIN_SECONDS": "0",
            **self.settings,
        }
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "trainyard.events"]
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        until(lambda: self._process.poll() is not None or self._is_ready(probes))
        assert self._process.poll() is None, self.log.read_text()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.stop() == 0, self.log.read_text()

    def stop(self) -> int:
        """Ask it to end, as the kubelet does; return its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _is_ready(self, probes: int) -> bool:
        """Whether both ports answer."""
        return _get(probes, "/readyz") == 200 and _get(self.port, "/") == 404

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, body: bytes | Any, headers: Mapping[str, str]) -> Reply:
        """Send something to /events/<path>."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return post(("127.0.0.1", self.port), f"/events/{path}", data, headers)


def post(address: tuple[str, int], path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
    """Post something and return the answer."""
    link = http.client.HTTPConnection(*address, timeout=30)
    try:
        link.request("POST", path, body, dict(headers))
        answer = link.getresponse()
        return Reply(answer.status, json.load(answer))
    finally:
        link.close()


def _get(port: int, path: str) -> int:
    """Return the HTTP status of a page, 0 while nobody listens."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        link.request("GET", path)
        return link.getresponse().status
    except OSError:
        return 0
    finally:
        link.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something to be so; AssertionError after a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "not within a minute"
        time.sleep(0.1)


def grant(kubectl: Kubectl) -> None:
    """Make the receiver's identity and rights as the chart does."""
    objects = rendered(helm_at(builds.program("helm")), "--set", "events.enabled=true")
    kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")
    mine = [o for o in objects if o["metadata"]["name"] == "trainyard-events" and o["kind"] in kinds]
    assert len(mine) == 3
    kubectl("create", "namespace", NAMESPACE)
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(mine))


def example(name: str) -> str:
    """Return an example with its secrets filled in."""
    text = (EXAMPLES / name).read_text()
    for placeholder, secret in zip(("BY-A-RANDOM", "BY-ANOTHER-RANDOM"), SECRETS.values(), strict=True):
        text = text.replace(f"REPLACE-{placeholder}-TEXT", secret)
    return text


@dataclass(frozen=True)
class Room:
    """A namespace with the examples in it."""

    kubectl: Kubectl
    name: str

    def apply(self, examples: Iterable[str] = ("pipeline.yaml", "secret.yaml", "ci-access.yaml")) -> None:
        """Make the namespace and apply the examples."""
        self.kubectl("create", "namespace", self.name)
        for file in examples:
            self.kubectl("apply", "-n", self.name, "-f", "-", stdin=example(file))

    def token(self, account: str, audience: str = "trainyard") -> str:
        """Return a token of a ServiceAccount by TokenRequest; audience "" for the API server's own."""
        named = [f"--audience={audience}"] if audience else []
        return self.kubectl("create", "token", account, "-n", self.name, *named).strip()

    def runs(self) -> list[Obj]:
        """Return the TrainingRuns, oldest first."""
        listed = self.kubectl("get", "trainingruns", "-n", self.name, "--sort-by=.metadata.uid", "-o", "json")
        found: list[Obj] = json.loads(listed)["items"]
        return found

    def wait_for_runs(self, count: int) -> list[Obj]:
        """Return the runs once there are so many."""
        until(lambda: len(self.runs()) >= count)
        return self.runs()


def takes(client: Minio, wanted: NotificationConfig) -> bool:
    """Whether MinIO takes it: it serves buckets a moment before it knows the targets of its own environment."""
    try:
        client.set_bucket_notification("trainyard", wanted)
    except S3Error as error:
        if "ARN does not exist" not in str(error):
            raise
        return False
    return True


def notification() -> NotificationConfig:
    """Return the example's notification as this client of S3 says it."""
    told = json.loads((EXAMPLES / "bucket-notification.json").read_text())["QueueConfigurations"]
    rules = {r["Name"]: r["Value"] for c in told for r in c["Filter"]["Key"]["FilterRules"]}
    return NotificationConfig(
        queue_config_list=[
            QueueConfig(
                queue=c["QueueArn"],
                events=c["Events"],
                config_id=c["Id"],
                prefix_filter_rule=PrefixFilterRule(rules["prefix"]),
            )
            for c in told
        ]
    )

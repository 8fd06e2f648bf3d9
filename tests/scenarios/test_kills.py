"""The operator's process is killed at 20 random moments of a canary on the whole cluster (issue 3, section 5).

The Rollout is the quickstart's, its models are small; a constant load through the gateway sees every moment of it.
"""

import copy
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pytest

from examples.demo import manifests
from examples.demo.load import Load
from tests.scenarios.cluster import Cluster, Obj, Refused, condition, operator_writes, wait_until
from tests.scenarios.serving import RATE, ended, pipeline, revision_of, status, train
from tests.scenarios.watching import ROUTES, Watch

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(3600)]

KILLS = 20
SEED = 3
# A pause of 20 s ends about half a minute after a process has begun to lead.
LONGEST_LIFE_SECONDS = 35.0
LADDER = [0, 10, 50, 100]  # first the Gateway is told of it
OPERATOR = "app.kubernetes.io/name=trainyard"
# A template of Go, as those of watching.py.
VERSIONS = r'{{.metadata.resourceVersion}}{{"\n"}}'


@dataclass
class Fate:
    """Kills the operator's process at random moments. Its pod goes with it, so that no back-off delays the next."""

    system: Cluster
    changed: threading.Event
    draws: random.Random = field(default_factory=lambda: random.Random(SEED))
    kills: int = 0

    def strike(self) -> None:
        """Let the process lead for a while, then kill it; return once another one leads."""
        pod = self.leader()
        self._moment()
        (process,) = processes_of(str(pod["metadata"]["uid"]))
        os.kill(process, signal.SIGKILL)
        self.kills += 1
        with suppress(Refused):  # a pod that is gone is what was asked for
            name = str(pod["metadata"]["name"])
            self.system.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
        wait_until("another process leads", lambda: self.leader()["metadata"]["uid"] != pod["metadata"]["uid"], 180)

    def leader(self) -> Obj:
        """Return the pod that holds the Lease, once one does."""
        found = wait_until("a process leads", self._leader, 180)
        assert found
        return found

    def _leader(self) -> Obj | None:
        lease = self.system.get("lease", "trainyard-operator") or {}
        holder = str(lease.get("spec", {}).get("holderIdentity", "")).partition("_")[0]
        pod = self.system.get("pod", holder) if holder else None
        return pod if pod and "deletionTimestamp" not in pod["metadata"] else None

    def _moment(self) -> None:
        """A random time after it began to lead; every second change is its last: death comes with it or right after."""
        end = time.monotonic() + self.draws.uniform(0, LONGEST_LIFE_SECONDS)
        self.changed.clear()
        while self.changed.wait(max(0.0, end - time.monotonic())):
            self.changed.clear()
            if self.draws.random() < 1 / 2:
                time.sleep(0.2 * self.draws.random() ** 2)
                return


def processes_of(pod_uid: str) -> list[int]:
    """Return the operator's processes in a pod of this machine's node, by their cgroup."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_operator(path, pod_uid)]


def _is_operator(process: Path, pod_uid: str) -> bool:
    try:
        command = (process / "cmdline").read_bytes().split(b"\0")
        return command[1:3] == [b"-m", b"trainyard"] and f"pod{pod_uid}" in (process / "cgroup").read_text()
    except OSError:  # it ended meanwhile
        return False


def rollout(host: str) -> Obj:
    """The quickstart's Rollout, for small models; slowness is measured, but a busy machine must not decide here."""
    obj = copy.deepcopy(manifests.of_kind(manifests.load(), "Rollout"))
    obj["metadata"]["name"] = obj["spec"]["model"] = "sums"
    obj["spec"]["target"]["kubernetes"]["traffic"]["hostnames"] = [host]
    for metric in obj["spec"]["analysis"]["metrics"]:
        if metric["builtin"].startswith("Latency"):
            metric["max"] = "25"  # the last bucket of the model server ends at 30 s
    obj["spec"]["target"]["kubernetes"]["serving"]["resources"]["requests"] = {"cpu": "100m", "memory": "400Mi"}
    return obj


def weights(route: Watch, revision: str) -> list[int]:
    """Return the weights that a revision had, in order, while the route named it."""
    shares = [dict(pair.split("=") for pair in line.split()) for line in route.lines]
    return [w for w, _ in groupby(int(s[f"sums-{revision}"]) for s in shares if f"sums-{revision}" in s)]


@pytest.fixture
def operator(system: Cluster) -> Iterator[Cluster]:
    """The operator's namespace; after the test a healthy one is there for the next."""
    yield system
    system.kubectl("rollout", "status", "deployment/trainyard", "--timeout=180s", timeout=200)


@pytest.fixture
def load(cluster_env: dict[str, str], ns: Cluster) -> Iterator[Load]:
    url = f"{cluster_env['TRAINYARD_GATEWAY_URL']}/v1/models/sums:predict"
    made = Load(url, f"{ns.namespace}.example.com", [{"instances": [[float(x)]]} for x in range(1, 11)], RATE)
    yield made
    made.stop()


def test_twenty_kills_change_neither_weights_nor_outcome(
    operator: Cluster, ns: Cluster, load: Load, audit_log: Path
) -> None:
    begun = audit_log.stat().st_size
    ns.apply(pipeline())
    train(ns, "v1")
    ns.apply(rollout(load.host))
    ns.wait("rollout", "sums", "Ready", "True", "Promoted", 300)
    load.start()
    changed = threading.Event()
    fate, climbed = Fate(operator, changed), list[str]()
    with Watch(ns, "httproute/sums", ROUTES, changed) as route, Watch(ns, "rollout/sums", VERSIONS, changed):
        while fate.kills < KILLS:
            climbed.append(f"v{len(climbed) + 2}")
            train(ns, climbed[-1])
            wait_until("a canary begins", lambda: status(ns).get("canary"), 60)
            while fate.kills < KILLS and not ended(ns, climbed[-1]):
                fate.strike()
            wait_until(f"{climbed[-1]} ended", lambda: ended(ns, climbed[-1]), 600)
        ns.wait("rollout", "sums", "Ready", "True", "Promoted", 60)
        assert route.is_whole, "the watch was cut off: weights may have been missed"
        seen = {name: weights(route, revision_of(ns, name)) for name in climbed}
        lines = list(route.lines)
    load.stop()

    assert load.of().failed == 0, load.of()
    assert {sum(int(pair.split("=")[1]) for pair in line.split()) for line in lines} == {100}
    for name, found in seen.items():
        # As the stable one of the next canary, and then without pods, it goes down.
        assert found == LADDER + ([] if name == climbed[-1] else [90, 50, 0]), (name, found)
        assert [e["outcome"] for e in status(ns)["history"] if e["version"] == name] == ["Promoted"]
    assert condition(ns.get("rollout", "sums") or {}, "Degraded")["status"] == "False"
    made = made_by_operator(audit_log, begun, ns.namespace)
    revisions = [f"sums-{revision_of(ns, name)}" for name in ("v1", *climbed)]
    kept = (ns.get("trainingpipeline", "sums") or {})["status"]["revision"]  # the pipeline's own, of the same name
    assert sorted(made["deployments"]) == sorted(revisions)
    assert sorted(made["controllerrevisions"]) == sorted([*revisions, kept])


def made_by_operator(audit_log: Path, begun: int, namespace: str) -> dict[str, list[str]]:
    """Return the names of what the operator created, by resource; an apply that creates is a patch with 201."""
    made: dict[str, list[str]] = {"deployments": [], "controllerrevisions": []}
    for entry in operator_writes(audit_log, begun, namespace):
        target = entry["objectRef"]
        if target["resource"] in made and entry.get("responseStatus", {}).get("code") == 201:
            made[target["resource"]].append(target["name"])
    return made

"""62: the operator uninstalled, installed again and upgraded beside twenty live rollouts and running Jobs.

Nobody's pod starts again, no request through the gateway fails, the API server refuses no write of the operator as
invalid, and every Rollout comes to its rest. It changes the one release, so nothing else may run beside it
(`tests/run.py`).
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from examples.demo.load import Load
from tests.scenarios.cluster import ROOT, SYSTEM, Cluster, Obj, condition, operator_writes, wait_until
from tests.scenarios.serving import load_of, pipeline, rollout, train
from tests.scenarios.test_training import one_off
from tests.scenarios.test_training import pipeline as job_pipeline

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(2400)]

RELEASE = "trainyard"
CHART = ROOT / "charts/trainyard"
ROLLOUTS = 20
IN_FLIGHT = 4  # of them wait at a pause while the operator is changed
JOBS = 3
STEPS: list[Obj] = [{"setWeight": 50}, {"pause": {}}]
SMALL: Obj = {"requests": {"cpu": "5m", "memory": "200Mi"}, "limits": {"memory": "1Gi"}}

Kept = dict[str, tuple[str, int]]


def helm(system: Cluster, *arguments: str) -> str:
    """Run Helm in the release's namespace."""
    done = subprocess.run(
        ["helm", *arguments, "-n", SYSTEM], env={**os.environ, **system.env}, check=False, capture_output=True,
        text=True, timeout=700,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(count: int = ROLLOUTS) -> list[str]:
    return [f"sums-{number}" for number in range(count)]


def pods(ns: Cluster) -> Kept:
    """Every pod of a namespace by its name: uid, and how often its containers started again."""
    found = ns.list("pods")
    return {p["metadata"]["name"]: (p["metadata"]["uid"], restarts(p)) for p in found}


def restarts(pod: Obj) -> int:
    return sum(int(c["restartCount"]) for c in pod.get("status", {}).get("containerStatuses", ()))


def jobs(ns: Cluster) -> dict[str, str]:
    return {j["metadata"]["name"]: j["metadata"]["uid"] for j in ns.list("jobs")}


def weights(ns: Cluster) -> dict[str, list[int]]:
    routes = ns.list("httproutes")
    return {r["metadata"]["name"]: [b["weight"] for b in r["spec"]["rules"][-1]["backendRefs"]] for r in routes}


def settled(ns: Cluster, waiting: Sequence[str]) -> bool:
    """Whether every Rollout is Ready, or waits for a person where it did before; each seen by the operator."""
    found = {r["metadata"]["name"]: r for r in ns.list("rollouts")}
    seen = all(r["status"].get("observedGeneration") == r["metadata"]["generation"] for r in found.values())
    ready = all(condition(r, "Ready").get("status") == "True" for n, r in found.items() if n not in waiting)
    paused = all(condition(found[n], "Paused").get("status") == "True" for n in waiting)
    return len(found) == ROLLOUTS and seen and ready and paused


def refused_as_invalid(audit: Path, start: int) -> list[Obj]:
    """The operator's writes that the API server answered with 422."""
    return [e for e in operator_writes(audit, start) if e.get("responseStatus", {}).get("code") == 422]


def operator_pods(system: Cluster) -> set[str]:
    found = system.list("pods", "app.kubernetes.io/name=trainyard")
    return {str(p["metadata"]["uid"]) for p in found}


@pytest.fixture
def restored(system: Cluster, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """`restored(*options)`: bring the release to this tree's chart with its values; done in the end anyway."""
    values = json.loads(helm(system, "get", "values", RELEASE, "-o", "json"))

    def install(*options: str) -> None:
        file = tmp_path / "values.json"
        file.write_text(json.dumps(values))
        command = ("upgrade", "--install", RELEASE, str(CHART), "-f", str(file), "--wait", "--timeout", "10m")
        helm(system, *command, *options)

    yield install
    install()


@pytest.fixture
def yard(ns: Cluster, cluster_env: dict[str, str]) -> Iterator[tuple[Cluster, list[Load]]]:
    """Twenty Rollouts that serve, four of them with a canary at a pause, and training Jobs that run; under load."""
    ns.apply(pipeline())
    train(ns, "v1")
    hosts = {name: f"{name}.{ns.namespace}.example.com" for name in names()}
    ns.apply(*(one_of(name, host) for name, host in hosts.items()))
    for name in names():
        ns.wait("rollout", name, "Ready", "True", "Promoted", 900)
    train(ns, "v2")
    for name in names(IN_FLIGHT):
        ns.patch("rollout", name, {"spec": {"version": {"name": "v2"}}})
        ns.wait("rollout", name, "Paused", "True", "WaitsForPromotion", 400)
    ns.apply(job_pipeline("sleep 3600"))
    for number in range(JOBS):
        ns.create(one_off(f"long-{number}"))
    wait_until("the trainings run", lambda: running(ns) == JOBS, 300)
    first, last = hosts[names()[0]], hosts[names()[-1]]
    with load_of(cluster_env, first, range(1, 11)) as climbing, load_of(cluster_env, last, range(1, 11)) as resting:
        climbing.start()
        resting.start()
        yield ns, [climbing, resting]


def one_of(name: str, host: str) -> Obj:
    """A small Rollout of the model `sums`, whose version a person names."""
    obj = rollout(host, STEPS)
    obj["metadata"] = {"name": name}
    obj["spec"]["version"] = {"name": "v1"}
    obj["spec"]["target"]["kubernetes"]["serving"]["resources"] = SMALL
    obj["spec"].pop("analysis")
    return obj


def running(ns: Cluster) -> int:
    found = ns.list("pods", "trainyard.dev/role=train")
    return sum(p.get("status", {}).get("phase") == "Running" for p in found)


def live(ns: Cluster) -> tuple[Kept, dict[str, str], dict[str, list[int]]]:
    """What may not change: pods with their restarts, Jobs, weights."""
    return pods(ns), jobs(ns), weights(ns)


def test_62_upgraded_uninstalled_and_installed_again(
    system: Cluster, yard: tuple[Cluster, list[Load]], restored: Callable[..., None], audit_log: Path
) -> None:
    ns, loads = yard
    start, before, waiting = audit_log.stat().st_size, live(ns), names(IN_FLIGHT)

    old = operator_pods(system)
    restored("--set", "operator.podAnnotations.upgrade=first")
    wait_until("the operator rolled", lambda: not old & operator_pods(system), 120)
    wait_until("all are settled after the upgrade", lambda: settled(ns, waiting), 300)
    assert live(ns) == before

    # The workloads of the platform stay; the operator and all that it asks of the API server go.
    helm(system, "uninstall", RELEASE, "--wait", "--timeout", "5m")
    wait_until("the operator is gone", lambda: not operator_pods(system), 120)
    assert live(ns) == before, "without an operator everything stays as it is"
    restored()
    wait_until("all are settled again", lambda: settled(ns, waiting), 300)
    assert live(ns) == before, "everything is adopted as it is"

    for name in waiting:
        ns.patch("rollout", name, {"spec": {"action": {"kind": "Promote", "id": "upgraded", "by": "admin"}}})
        ns.wait("rollout", name, "Ready", "True", "Promoted", 400)
    wait_until("enough was asked", lambda: all(load.of().requests > 1000 for load in loads), 400)
    for load in loads:
        load.stop()
        told = load.of()
        assert told.requests > 1000
        assert told.failed == 0, told.statuses
    assert refused_as_invalid(audit_log, start) == []

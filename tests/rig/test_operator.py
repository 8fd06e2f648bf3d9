"""The core as a running process on a real API server: idle, faults, crashes, two processes."""

import asyncio
import itertools
import random
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from local.rig import ApiServerRig
from tests.rig.tiny_processes import OURS, Process, audited, install, page, until
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import EVENT, HTTP_ROUTE, LEASE, MODEL_VERSION, SERVICE, Obj, Ref
from trainyard.systems.cluster.transport import Transport

pytestmark = pytest.mark.rig

_numbers = itertools.count(1)
LEASE_REF = Ref(LEASE, "default", "trainyard-operator")


@pytest.fixture(scope="module")
def rig() -> Iterator[ApiServerRig]:
    """A rig of its own: its kinds take anything, and its audit log is read."""
    with ApiServerRig() as started:
        install(started, *OURS)
        yield started


@pytest.fixture
async def cluster(rig: ApiServerRig) -> AsyncIterator[KubernetesCluster]:
    """The test's own hands, without a mirror."""
    configuration = Configuration()
    await config.load_kube_config(str(rig.kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call] # no types there
    transport = Transport(ApiClient(configuration))
    made = KubernetesCluster(transport)
    yield made
    for obj in await made.list(MODEL_VERSION, "default"):
        where = Ref(MODEL_VERSION, "default", obj["metadata"]["name"])
        await made.patch(where, {"metadata": {"finalizers": []}})
        await made.delete(where)
    await made.delete(LEASE_REF)
    await transport.close()


@pytest.fixture
def name() -> str:
    return f"thing{next(_numbers)}"


async def make(cluster: KubernetesCluster, name: str, **spec: Any) -> Ref:
    meta = {"name": name, "namespace": "default"}
    await cluster.create(
        {"apiVersion": MODEL_VERSION.api_version, "kind": MODEL_VERSION.kind, "metadata": meta, "spec": spec}
    )
    return Ref(MODEL_VERSION, "default", name)


async def status(cluster: KubernetesCluster, ref: Ref) -> Any:
    obj = await cluster.get(ref)
    return (obj or {}).get("status") or {}


async def at_step(cluster: KubernetesCluster, ref: Ref, step: int) -> bool:
    return bool((await status(cluster, ref)).get("step") == step)


async def services(cluster: KubernetesCluster, ref: Ref) -> list[str]:
    names = [str(s["metadata"]["name"]) for s in await cluster.list(SERVICE, ref.namespace)]
    return sorted((n for n in names if n.startswith(f"{ref.name}-")), key=lambda n: int(n.rsplit("-", 1)[1]))


def steps(ref: Ref, count: int) -> list[str]:
    return [f"{ref.name}-{n}" for n in range(1, count + 1)]


async def has_ended(process: Process) -> bool:
    return process.ended() is not None


async def visits(process: Process, least: float) -> bool:
    return process.metric('trainyard_operator_cycles_total{kind="ModelVersion"') >= least


async def holder(cluster: KubernetesCluster, process: Process) -> bool:
    lease: Obj = await cluster.get(LEASE_REF) or {}
    return str(lease.get("spec", {}).get("holderIdentity", "")).startswith(process.user.removeprefix("operator-"))


async def _has_written(rig: ApiServerRig, process: Process, resource: str, times: int) -> bool:
    return [w["objectRef"]["resource"] for w in audited(rig, process.user)].count(resource) >= times


async def test_it_does_its_work_then_rests(
    rig: ApiServerRig, cluster: KubernetesCluster, name: str, tmp_path: Path
) -> None:
    ref = await make(cluster, name, steps=3)
    with Process(rig, name, tmp_path, TRAINYARD_VISIT_SECONDS="1") as process:
        await until(partial(at_step, cluster, ref, 3), "three steps")
        assert await services(cluster, ref) == steps(ref, 3)
        await until(partial(_has_written, rig, process, "events", 3), "the last step's event")
        written = audited(rig, process.user)
        # The finalizer once; then intent, Service, result and event of each step, and not one write more.
        assert [(w["verb"], w["objectRef"]["resource"], w["objectRef"].get("subresource")) for w in written] == [
            ("patch", "modelversions", None),
            *[
                ("patch", "modelversions", "status"),
                ("patch", "services", None),
                ("patch", "modelversions", "status"),
                ("create", "events", None),
            ]
            * 3,
        ]
        seen = process.metric("trainyard_operator_cycles_total")
        await until(partial(visits, process, seen + 5), "five more visits")
        assert len(audited(rig, process.user)) == len(written)
        assert process.metric("trainyard_operator_writes_total") == len(written)
        assert process.metric("trainyard_operator_lease_held") == 1.0


async def test_a_port_that_is_taken_is_waited_for(
    rig: ApiServerRig, cluster: KubernetesCluster, name: str, tmp_path: Path
) -> None:
    ref = await make(cluster, name, steps=1)
    process = Process(rig, name, tmp_path)

    async def told() -> bool:
        return "address already in use" in process.log.read_text()

    with socket.create_server(("127.0.0.1", process.metrics)) as taken, process:
        await until(told, "it says so")
        taken.close()
        await until(partial(at_step, cluster, ref, 1), "its step, once the port is free")
        assert process.metric("trainyard_operator_lease_held") == 1.0
        assert page(process.probes, "/healthz")[0] == 200


async def test_it_lets_go_of_what_is_deleted(
    rig: ApiServerRig, cluster: KubernetesCluster, name: str, tmp_path: Path
) -> None:
    ref = await make(cluster, name, steps=1)

    async def gone() -> bool:
        return await cluster.get(ref) is None

    with Process(rig, name, tmp_path):
        await until(partial(at_step, cluster, ref, 1), "its step")
        await cluster.delete(ref)
        await until(gone, "the finalizer to be taken off")


async def test_one_bad_object_hurts_no_other(
    rig: ApiServerRig, cluster: KubernetesCluster, name: str, tmp_path: Path
) -> None:
    bad = await make(cluster, f"{name}-bad", behave="crash")
    good = [await make(cluster, f"{name}-{n}", steps=2) for n in range(5)]
    with Process(rig, name, tmp_path, TRAINYARD_WORKERS="1") as process:
        for ref in good:
            await until(partial(at_step, cluster, ref, 2), f"the steps of {ref.name}")
        assert process.metric('trainyard_operator_errors_total{kind="ModelVersion",reason="Unexpected"}') >= 1
        assert not await status(cluster, bad)
        await cluster.patch(bad, {"spec": {"behave": None, "steps": 1}})
        await until(partial(at_step, cluster, bad, 1), "the bad one, mended")
    assert process.log.read_text().count("Unexpected: RuntimeError") == 1


async def test_a_conflict_heals(rig: ApiServerRig, cluster: KubernetesCluster, name: str, tmp_path: Path) -> None:
    ref = await make(cluster, name, behave="meddle", steps=2)
    with Process(rig, name, tmp_path) as process:
        await until(partial(at_step, cluster, ref, 2), "both steps")
        assert process.metric('trainyard_operator_errors_total{kind="ModelVersion",reason="Conflict"}') >= 1
        codes = [w["responseStatus"]["code"] for w in audited(rig, process.user)]
        assert codes.count(409) >= 1
    events = [e for e in await cluster.list(EVENT, "default") if e["involvedObject"]["name"] == name]
    assert sorted(e["message"] for e in events) == ["Step 1 is done.", "Step 2 is done."]


async def test_killed_at_random_moments_it_ends_the_same(
    rig: ApiServerRig, cluster: KubernetesCluster, name: str, tmp_path: Path
) -> None:
    ref = await make(cluster, name, steps=40)
    chance = random.Random(name)
    for number in range(3):
        with Process(rig, f"{name}-{number}", tmp_path) as process:
            reached = (await status(cluster, ref)).get("step", 0)

            async def moved(reached: int = reached) -> bool:
                return int((await status(cluster, ref)).get("step", 0)) > reached

            await until(moved, "a step after the start")
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            process.send(signal.SIGKILL)
    with Process(rig, f"{name}-last", tmp_path):
        await until(partial(at_step, cluster, ref, 40), "all steps")
    assert await services(cluster, ref) == steps(ref, 40)
    events = [e for e in await cluster.list(EVENT, "default") if e["involvedObject"]["name"] == name]
    assert len({e["message"] for e in events}) == len(events) <= 40


async def test_told_to_stop_it_lets_go_of_the_lease_and_another_goes_on_at_once(
    rig: ApiServerRig, cluster: KubernetesCluster, name: str, tmp_path: Path
) -> None:
    with Process(rig, f"{name}-one", tmp_path) as one:
        await until(partial(holder, cluster, one), "the first to lead")
        with Process(rig, f"{name}-two", tmp_path) as two:
            await until(partial(visits, one, 0), "the first to answer")
            ref = await make(cluster, name, steps=1)
            await until(partial(at_step, cluster, ref, 1), "the leader's step")
            assert audited(rig, two.user) == []
            one.send(signal.SIGTERM)
            await until(partial(has_ended, one), "the first to end")
            assert one.ended() == 0
            await cluster.patch(ref, {"spec": {"steps": 2}})
            await until(partial(at_step, cluster, ref, 2), "the second to go on")
            assert audited(rig, two.user)
    assert "stopping" in one.log.read_text()


async def test_a_deposed_leader_writes_nothing_and_ends(
    rig: ApiServerRig, cluster: KubernetesCluster, name: str, tmp_path: Path
) -> None:
    ref = await make(cluster, name, steps=1)
    with Process(rig, f"{name}-one", tmp_path) as one:
        await until(partial(at_step, cluster, ref, 1), "the first step")
        with Process(rig, f"{name}-two", tmp_path) as two:
            one.send(signal.SIGSTOP)
            await until(partial(holder, cluster, two), "the second to take over")
            before = len(audited(rig, one.user))
            await cluster.patch(ref, {"spec": {"steps": 3}})
            one.send(signal.SIGCONT)
            await until(partial(has_ended, one), "the first to end")
            assert one.ended() == 1
            await until(partial(at_step, cluster, ref, 3), "the second's steps")
            later = audited(rig, one.user)[before:]
            assert [w["objectRef"] for w in later if w["responseStatus"]["code"] < 300] == []
    assert "held by" in one.log.read_text()


async def test_a_kind_that_is_not_served_shows_in_readiness_and_stops_no_other(
    rig: ApiServerRig, cluster: KubernetesCluster, name: str, tmp_path: Path
) -> None:
    ref = await make(cluster, name, steps=1)
    with Process(rig, name, tmp_path) as process:
        await until(partial(at_step, cluster, ref, 1), "its step")

        async def only_routes() -> bool:
            return process.ready()[1].startswith("httproutes are not listed: ") and process.ready()[1].count("\n") == 1

        async def ready() -> bool:
            return process.ready() == (200, "ok\n")

        await until(only_routes, "all other kinds to be listed")
        assert process.ready()[0] == 503
        assert page(process.probes, "/healthz") == (200, "ok\n")
        install(rig, HTTP_ROUTE)
        await until(ready, "readiness once the kind is served")


def grant(rig: ApiServerRig, group: str) -> None:
    """Let a group do in one namespace what the tiny operator needs, by Roles alone."""
    kubectl = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig)]
    resources = "modelversions,modelversions/status,trainingpipelines,trainingruns,rollouts,services,events,leases"
    read = "deployments,jobs,pods,httproutes,controllerrevisions,persistentvolumeclaims"
    for words in (
        f"create role {group} --verb=get,list,watch,create,patch --resource={resources}",
        f"create role {group}-read --verb=get,list,watch --resource={read}",
        f"create rolebinding {group} --role={group} --group={group}",
        f"create rolebinding {group}-read --role={group}-read --group={group}",
    ):
        subprocess.run([*kubectl, *words.split()], check=True, capture_output=True)


async def test_a_role_in_its_namespace_is_all_it_needs(
    rig: ApiServerRig, cluster: KubernetesCluster, name: str, tmp_path: Path
) -> None:
    install(rig, HTTP_ROUTE)
    grant(rig, name)
    ref = await make(cluster, name, steps=2)
    with Process(rig, name, tmp_path, name, TRAINYARD_NAMESPACES="default") as process:
        await until(partial(at_step, cluster, ref, 2), "both steps")

        async def ready() -> bool:
            return process.ready() == (200, "ok\n")

        await until(ready, "every kind to be listed")
    assert "forbidden" not in process.log.read_text().lower()


async def test_an_api_server_that_goes_and_comes_back_is_taken_up_again(
    rig: ApiServerRig, cluster: KubernetesCluster, name: str, tmp_path: Path
) -> None:
    ref = await make(cluster, name, steps=1)
    with Process(rig, name, tmp_path, TRAINYARD_LEASE_SECONDS="120") as process:
        await until(partial(at_step, cluster, ref, 1), "the first step")
        rig.stop_apiserver()
        rig.start_apiserver()
        await cluster.patch(ref, {"spec": {"steps": 3}})
        await until(partial(at_step, cluster, ref, 3), "the steps after it")
        assert process.ended() is None
    assert await services(cluster, ref) == steps(ref, 3)

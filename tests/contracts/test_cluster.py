"""One suite for the `Cluster` port: the fake, and the real client on a real API server."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from tests.fakes.cluster import FakeCluster
from trainyard import naming
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    HTTP_ROUTE,
    LEASE,
    SECRET_METADATA,
    SERVICE,
    AlreadyExists,
    Cluster,
    ClusterError,
    Conflict,
    Invalid,
    NotFound,
    Obj,
    Ref,
)
from trainyard.systems.cluster.transport import Transport

_numbers = itertools.count(1)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.rig)])
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    if request.param == "fake":
        yield FakeCluster()
        return
    configuration = Configuration()
    kubeconfig = str(request.getfixturevalue("rig").kubeconfig)
    await config.load_kube_config(kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call] # no types there
    transport = Transport(ApiClient(configuration))
    yield KubernetesCluster(transport)
    await transport.close()


@pytest.fixture
def name() -> str:
    return f"thing-{next(_numbers)}"


def deployment(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "none"}]},
            },
        },
    }


def revision(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "data": {"a": 1},
        "revision": 1,
    }


def ref(name: str) -> Ref:
    return Ref(DEPLOYMENT, "default", name)


async def got(cluster: Cluster, where: Ref) -> Obj:
    obj = await cluster.get(where, live=True)
    assert obj is not None
    return obj


async def test_what_is_not_there_reads_as_none(cluster: Cluster, name: str) -> None:
    assert await cluster.get(ref(name), live=True) is None


async def test_create_answers_with_the_server_s_own_fields(cluster: Cluster, name: str) -> None:
    made = await cluster.create({**deployment(name), "status": {"replicas": 9}})
    assert (made["apiVersion"], made["kind"]) == ("apps/v1", "Deployment")
    meta = made["metadata"]
    assert meta["uid"]
    assert meta["resourceVersion"]
    assert meta["generation"] == 1
    assert meta["creationTimestamp"].endswith("Z")
    assert "managedFields" not in meta
    assert not made.get("status")
    assert (await got(cluster, ref(name)))["metadata"] == meta


async def test_create_twice_says_so(cluster: Cluster, name: str) -> None:
    await cluster.create(deployment(name))
    with pytest.raises(AlreadyExists):
        await cluster.create(deployment(name))


async def test_create_with_a_version_is_refused(cluster: Cluster, name: str) -> None:
    with pytest.raises(ClusterError, match="should not be set"):
        await cluster.create(deployment(name, resourceVersion="1"))


# ---- apply ----


async def test_apply_creates_and_then_changes_nothing(cluster: Cluster, name: str) -> None:
    made = await cluster.apply(deployment(name, labels={"a": "1"}), "one")
    again = await cluster.apply(deployment(name, labels={"a": "1"}), "one")
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_apply_changes_spec_and_raises_the_generation(cluster: Cluster, name: str) -> None:
    await cluster.apply(deployment(name), "one")
    changed = deployment(name)
    changed["spec"]["replicas"] = 3
    after = await cluster.apply(changed, "one")
    assert after["spec"]["replicas"] == 3
    assert after["metadata"]["generation"] == 2


async def test_labels_are_no_new_generation(cluster: Cluster, name: str) -> None:
    await cluster.apply(deployment(name), "one")
    after = await cluster.apply(deployment(name, labels={"a": "1"}), "one")
    assert after["metadata"]["labels"] == {"a": "1"}
    assert after["metadata"]["generation"] == 1


async def test_what_a_manager_leaves_out_vanishes(cluster: Cluster, name: str) -> None:
    await cluster.apply(deployment(name, labels={"a": "1", "b": "2"}, annotations={"x": "1"}), "one")
    after = await cluster.apply(deployment(name, labels={"a": "1"}), "one")
    assert after["metadata"]["labels"] == {"a": "1"}
    assert not after["metadata"].get("annotations")


async def test_what_another_manager_also_says_stays(cluster: Cluster, name: str) -> None:
    await cluster.apply(deployment(name, labels={"a": "1", "b": "2"}), "one")
    await cluster.apply(deployment(name, labels={"b": "2", "c": "3"}), "two")
    after = await cluster.apply(deployment(name), "one")
    assert after["metadata"]["labels"] == {"b": "2", "c": "3"}


async def test_what_a_patch_added_survives_an_apply(cluster: Cluster, name: str) -> None:
    await cluster.apply(deployment(name, labels={"a": "1"}), "one")
    await cluster.patch(ref(name), {"metadata": {"labels": {"theirs": "x"}}})
    after = await cluster.apply(deployment(name, labels={"a": "2"}), "one")
    assert after["metadata"]["labels"] == {"a": "2", "theirs": "x"}


async def test_apply_takes_a_field_from_another(cluster: Cluster, name: str) -> None:
    await cluster.apply(deployment(name, labels={"a": "1"}), "one")
    after = await cluster.apply(deployment(name, labels={"a": "2"}), "two")
    assert after["metadata"]["labels"] == {"a": "2"}


async def test_owners_of_two_managers_are_joined(cluster: Cluster, name: str) -> None:
    def owner(uid: str) -> dict[str, str]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": uid, "uid": uid}

    await cluster.apply(deployment(name, ownerReferences=[owner("u1")]), "one")
    await cluster.apply(deployment(name, ownerReferences=[owner("u2")]), "two")
    after = await cluster.apply(deployment(name), "one")
    assert [o["uid"] for o in after["metadata"]["ownerReferences"]] == ["u2"]


async def test_an_old_version_conflicts_on_apply(cluster: Cluster, name: str) -> None:
    made = await cluster.apply(deployment(name), "one")
    version = made["metadata"]["resourceVersion"]
    changed = await cluster.apply(deployment(name, labels={"a": "1"}), "one", resource_version=version)
    with pytest.raises(Conflict):
        await cluster.apply(deployment(name, labels={"a": "2"}), "one", resource_version=version)
    assert (await got(cluster, ref(name)))["metadata"] == changed["metadata"]


async def test_a_version_of_what_is_gone_conflicts_on_apply(cluster: Cluster, name: str) -> None:
    with pytest.raises(Conflict):
        await cluster.apply(deployment(name), "one", resource_version="1")
    assert await cluster.get(ref(name), live=True) is None


async def test_apply_leaves_status_alone(cluster: Cluster, name: str) -> None:
    await cluster.apply(deployment(name), "one")
    await cluster.patch(ref(name), {"status": {"replicas": 1, "observedGeneration": 1}}, status=True)
    after = await cluster.apply({**deployment(name), "status": {"replicas": 7}}, "one")
    assert after["status"]["replicas"] == 1


# ---- patch ----


async def test_patch_of_what_is_not_there(cluster: Cluster, name: str) -> None:
    with pytest.raises(NotFound):
        await cluster.patch(ref(name), {"metadata": {"labels": {"a": "1"}}})
    with pytest.raises(NotFound):
        await cluster.patch(ref(name), {"status": {}}, status=True)


async def test_patch_merges_and_null_removes(cluster: Cluster, name: str) -> None:
    await cluster.create(deployment(name, labels={"a": "1", "b": "2"}))
    after = await cluster.patch(ref(name), {"metadata": {"labels": {"a": None, "c": "3"}}, "spec": {"replicas": 4}})
    assert after["metadata"]["labels"] == {"b": "2", "c": "3"}
    assert after["spec"]["replicas"] == 4
    assert after["metadata"]["generation"] == 2


async def test_status_and_the_rest_are_apart(cluster: Cluster, name: str) -> None:
    await cluster.create(deployment(name))
    await cluster.patch(ref(name), {"status": {"replicas": 1}, "spec": {"replicas": 9}}, status=True)
    after = await cluster.patch(ref(name), {"status": {"replicas": 5}, "metadata": {"labels": {"a": "1"}}})
    assert after["status"]["replicas"] == 1
    assert after["spec"]["replicas"] == 2
    assert after["metadata"]["generation"] == 1


async def test_an_idle_patch_keeps_the_version(cluster: Cluster, name: str) -> None:
    made = await cluster.create(deployment(name, labels={"a": "1"}))
    after = await cluster.patch(ref(name), {"metadata": {"labels": {"a": "1"}}})
    assert after["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


@pytest.mark.parametrize("status", [True, False])
async def test_an_old_version_conflicts_on_patch(cluster: Cluster, name: str, status: bool) -> None:
    made = await cluster.create(deployment(name))
    await cluster.patch(ref(name), {"metadata": {"labels": {"a": "1"}}})
    version = made["metadata"]["resourceVersion"]
    body = {"status": {"replicas": 1}} if status else {"spec": {"replicas": 5}}
    with pytest.raises(Conflict):
        await cluster.patch(ref(name), body, status=status, resource_version=version)


async def test_what_is_immutable_is_refused(cluster: Cluster, name: str) -> None:
    await cluster.create(revision(name))
    with pytest.raises(Invalid):
        await cluster.patch(Ref(CONTROLLER_REVISION, "default", name), {"data": {"a": 2}})
    with pytest.raises(Invalid):
        await cluster.apply({**revision(name), "data": {"a": 2}}, "one")


# ---- delete ----


async def test_delete_and_delete_again(cluster: Cluster, name: str) -> None:
    await cluster.create(revision(name))
    where = Ref(CONTROLLER_REVISION, "default", name)
    await cluster.delete(where)
    assert await cluster.get(where, live=True) is None
    await cluster.delete(where)


async def test_a_uid_guards_against_a_namesake(cluster: Cluster, name: str) -> None:
    made = await cluster.create(deployment(name))
    with pytest.raises(Conflict):
        await cluster.delete(ref(name), uid="00000000-0000-0000-0000-0000000000ff")
    await cluster.delete(ref(name), uid=made["metadata"]["uid"])
    assert await cluster.get(ref(name), live=True) is None


async def test_a_finalizer_holds_what_is_deleted(cluster: Cluster, name: str) -> None:
    await cluster.create(deployment(name, finalizers=[naming.FINALIZER]))
    await cluster.delete(ref(name))
    held = await got(cluster, ref(name))
    assert held["metadata"]["deletionTimestamp"]
    assert held["metadata"]["generation"] == 2
    await cluster.delete(ref(name))
    with pytest.raises(Invalid):
        await cluster.patch(ref(name), {"metadata": {"finalizers": [naming.FINALIZER, "other.dev/one"]}})
    last = await cluster.patch(
        ref(name),
        {"metadata": {"finalizers": []}},
        resource_version=(await got(cluster, ref(name)))["metadata"]["resourceVersion"],
    )
    assert last["metadata"]["name"] == name
    assert await cluster.get(ref(name), live=True) is None


async def test_deleting_in_the_foreground_waits_for_the_collector(cluster: Cluster, name: str) -> None:
    await cluster.create(deployment(name))
    await cluster.delete(ref(name), propagation="Foreground")
    held = await got(cluster, ref(name))
    assert held["metadata"]["finalizers"] == ["foregroundDeletion"]
    await cluster.patch(ref(name), {"metadata": {"finalizers": []}})
    assert await cluster.get(ref(name), live=True) is None


# ---- list ----


async def test_list_selects_by_all_labels_and_sorts_by_name(cluster: Cluster, name: str) -> None:
    for suffix, labels in (("b", {"own": name, "x": "1"}), ("a", {"own": name, "x": "1"}), ("c", {"own": name})):
        await cluster.create(revision(f"{name}-{suffix}", labels=labels))
    found = await cluster.list(CONTROLLER_REVISION, "default", {"own": name, "x": "1"}, live=True)
    assert [o["metadata"]["name"] for o in found] == [f"{name}-a", f"{name}-b"]
    assert {(o["apiVersion"], o["kind"]) for o in found} == {("apps/v1", "ControllerRevision")}
    assert len(await cluster.list(CONTROLLER_REVISION, "default", {"own": name}, live=True)) == 3
    assert await cluster.list(CONTROLLER_REVISION, "elsewhere", {"own": name}, live=True) == ()


async def test_objects_of_the_core_group_and_leases_are_addressed_alike(cluster: Cluster, name: str) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"port": 80}], "clusterIP": "None"},
    }
    await cluster.apply(service, "one")
    assert (await got(cluster, Ref(SERVICE, "default", name)))["spec"]["clusterIP"] == "None"
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"},
    }
    await cluster.create(lease)
    after = await cluster.patch(Ref(LEASE, "default", name), {"spec": {"holderIdentity": ""}})
    assert not after["spec"].get("holderIdentity")


async def test_a_kind_that_is_not_served_has_no_objects(cluster: Cluster, name: str) -> None:
    assert await cluster.get(Ref(HTTP_ROUTE, "default", name), live=True) is None
    assert await cluster.list(HTTP_ROUTE, "default", live=True) == ()


async def test_of_writers_with_the_same_version_one_wins(cluster: Cluster, name: str) -> None:
    made = await cluster.create(deployment(name))
    version = made["metadata"]["resourceVersion"]
    results = await asyncio.gather(
        *(
            cluster.patch(ref(name), {"metadata": {"labels": {"n": str(n)}}}, resource_version=version)
            for n in range(5)
        ),
        return_exceptions=True,
    )
    assert sum(1 for r in results if isinstance(r, Conflict)) == 4


async def test_a_secret_is_looked_at_without_its_content(cluster: Cluster, name: str) -> None:
    ref = Ref(SECRET_METADATA, "default", name)
    assert await cluster.get(ref, live=True) is None
    meta = {"name": name, "namespace": "default", "labels": {"a": "b"}}
    await cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"key": "cGFzc3dvcmQ="}})
    found = await cluster.get(ref, live=True)
    assert found is not None
    assert set(found) == {"apiVersion", "kind", "metadata"}
    assert found["metadata"]["labels"] == {"a": "b"}
    assert "cGFzc3dvcmQ" not in str(found)

"""ModelVersions on a real API server: its schema takes every status that the room writes, and at rest none is."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from local.rig import ApiServerRig
from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.metadata import FakeMetadata
from tests.unit.model_version.making import MANIFEST, NOW, by_type, rollout, spec
from trainyard import naming
from trainyard.model_version import reasons
from trainyard.model_version.room import ModelVersionRoom
from trainyard.reconciling.cycle import Cycle, Outcome
from trainyard.systems.artifacts.port import Manifest
from trainyard.systems.bundle import Config, Systems
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import MODEL_VERSION, ROLLOUT, Invalid, Obj, Ref
from trainyard.systems.cluster.transport import Transport

pytestmark = pytest.mark.rig
PREFIX = "s3://trainyard/default/churn/"


@dataclass
class Operator:
    """The room over a real cluster, with a store and a database in memory."""

    cluster: KubernetesCluster
    artifacts: FakeArtifacts = field(default_factory=FakeArtifacts)
    metadata: FakeMetadata = field(default_factory=FakeMetadata)
    visits: int = 0

    async def publish(self, name: str, manifest: Manifest = MANIFEST, **fields: Any) -> Ref:
        """Put an artifact into the store and its ModelVersion into the cluster."""
        uri = f"{PREFIX}{name}/1/"
        self.artifacts.publish(uri, manifest)
        artifact = {"uri": uri, "digest": manifest.digest, "format": "SavedModel"}
        meta = {"name": name, "namespace": "default"}
        body = spec(artifact=artifact, **fields)
        await self.cluster.create(
            {"apiVersion": naming.API_VERSION, "kind": "ModelVersion", "metadata": meta, "spec": body}
        )
        return Ref(MODEL_VERSION, "default", name)

    async def visit(self, key: Ref) -> Outcome:
        """Visit a version once, a minute after the last time."""
        self.visits += 1
        config_ = Config("courier", {}, "trainyard", "http://minio:9000")
        absent = cast("Any", None)
        systems = Systems(self.cluster, {}, self.artifacts, absent, self.metadata, config_)
        cycle = Cycle(ModelVersionRoom(), systems, self.cluster, self._record)
        return await cycle.run(key, NOW + timedelta(minutes=self.visits))

    async def seen(self, key: Ref) -> Obj:
        """Visit and return the object."""
        await self.visit(key)
        obj = await self.cluster.get(key, live=True)
        assert obj is not None
        return obj

    async def _record(self, rows: Any) -> bool:
        await self.metadata.record(rows)
        return True


@pytest.fixture
async def operator(rig: ApiServerRig, crds: None) -> AsyncIterator[Operator]:
    configuration = Configuration()
    await config.load_kube_config(str(rig.kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call] # no types there
    transport = Transport(ApiClient(configuration))
    yield Operator(KubernetesCluster(transport))
    await transport.close()


async def test_accepted_and_then_at_rest(operator: Operator, kubectl: Callable[..., str]) -> None:
    key = await operator.publish("good-1")
    first = await operator.seen(key)
    assert by_type(first["status"])["Ready"] == ("True", reasons.READY, "")
    assert first["status"]["decision"]["verdict"] == "Accepted"
    again = await operator.seen(key)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    kubectl("wait", "--for=condition=Ready", "--timeout=5s", "modelversion/good-1")
    assert [(row.sequence, row.type) for row in operator.metadata.of(first["metadata"]["uid"])] == [
        (1, "version"),
        (2, "decision"),
    ]


async def test_rejected_shows_the_rule_to_kubectl(operator: Operator, kubectl: Callable[..., str]) -> None:
    weak = Manifest("SavedModel", MANIFEST.files, {"auc": "0.84"})
    await operator.visit(await operator.publish("weak-1", weak))
    assert "Rejected" in kubectl("get", "modelversions", "weak-1")
    described = kubectl("describe", "modelversion", "weak-1")
    assert "auc 0.84 is below min 0.90" in described
    assert "Warning  Rejected" in described


async def test_every_way_to_be_broken_is_a_valid_status(operator: Operator) -> None:
    key = await operator.publish("broken-1")
    uri = f"{PREFIX}broken-1/1/"
    whole = dict(operator.artifacts.objects)

    async def ready() -> tuple[str, str, str]:
        return by_type((await operator.seen(key))["status"])["Ready"]

    operator.artifacts.away = True
    assert (await ready())[:2] == ("Unknown", reasons.STORE_UNAVAILABLE)
    operator.artifacts.away = False
    del operator.artifacts.objects[uri + "manifest.json"]
    assert (await ready())[:2] == ("False", reasons.MANIFEST_MISSING)
    operator.artifacts.objects[uri + "manifest.json"] = b"{"
    assert (await ready())[:2] == ("False", reasons.MANIFEST_MALFORMED)
    other = Manifest("SavedModel", MANIFEST.files[:1])
    operator.artifacts.objects[uri + "manifest.json"] = other.to_json().encode()
    assert (await ready())[:2] == ("False", reasons.DIGEST_MISMATCH)
    operator.artifacts.objects = {**whole, uri + "model/saved_model.pb": b""}
    assert (await ready())[:2] == ("False", reasons.SIZE_MISMATCH)
    operator.artifacts.objects = {k: v for k, v in whole.items() if not k.endswith("v.data")}
    assert (await ready())[:2] == ("False", reasons.OBJECT_MISSING)
    operator.artifacts.objects = whole
    assert (await ready())[:2] == ("True", reasons.READY)


async def test_other_namespace_is_refused_by_schema_or_by_condition(operator: Operator) -> None:
    meta = {"name": "thief-1", "namespace": "default"}
    body = {"apiVersion": naming.API_VERSION, "kind": "ModelVersion", "metadata": meta}
    climbing = {"uri": "s3://trainyard/default/../other/x/", "digest": MANIFEST.digest}
    with pytest.raises(Invalid, match="may not climb"):
        await operator.cluster.create({**body, "spec": spec(artifact=climbing)})
    elsewhere = {"uri": "s3://trainyard/other/x/", "digest": MANIFEST.digest}
    await operator.cluster.create({**body, "spec": spec(artifact=elsewhere)})
    seen = by_type((await operator.seen(Ref(MODEL_VERSION, "default", "thief-1")))["status"])
    assert seen["Accepted"][:2] == ("False", reasons.OUTSIDE_NAMESPACE)
    assert operator.artifacts.reads == 0


async def test_deletion_waits_for_the_rollout_that_serves_it(operator: Operator) -> None:
    key = await operator.publish("held-1")
    web = Ref(ROLLOUT, "default", "held-web")
    made = rollout(web.name, stable=key.name)
    wanted = {
        "model": "churn",
        "version": {"name": key.name},
        "target": {"kubernetes": {"traffic": {"parentRefs": [{"name": "gate"}]}}},
        "strategy": {"canary": {"steps": []}},
    }
    meta = {"name": web.name, "namespace": web.namespace}
    await operator.cluster.create(
        {"apiVersion": naming.API_VERSION, "kind": "Rollout", "metadata": meta, "spec": wanted}
    )
    await operator.cluster.patch(web, {"status": made["status"]}, status=True)
    assert (await operator.seen(key))["status"]["servedBy"] == [web.name]
    await operator.cluster.delete(key)
    held = await operator.seen(key)
    assert held["metadata"]["deletionTimestamp"]
    assert held["metadata"]["finalizers"] == [naming.FINALIZER]
    await operator.cluster.delete(web)
    assert (await operator.visit(key)).gone
    assert await operator.cluster.get(key, live=True) is None

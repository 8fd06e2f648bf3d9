import json
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.cluster import FakeCluster
from tests.unit.model_version.making import AT, FILES, KEY, MANIFEST, NOW, SIZES, URI, manifest_object, rollout
from trainyard.model_version.room import ModelVersionRoom
from trainyard.model_version.state import Evidence, Observed
from trainyard.reconciling.plan import Action
from trainyard.systems.artifacts.port import Manifest, ManifestFile
from trainyard.systems.bundle import Config, Systems

CONFIG = Config("courier", {}, "trainyard", "http://minio:9000")


@dataclass
class World:
    cluster: FakeCluster = field(default_factory=FakeCluster)
    artifacts: FakeArtifacts = field(default_factory=FakeArtifacts)

    @property
    def systems(self) -> Systems:
        """The ports that a ModelVersion uses; it has no business with the others."""
        absent = cast("Any", None)
        return Systems(self.cluster, {}, self.artifacts, absent, absent, CONFIG)

    async def observe(self, **fields: Any) -> Observed:
        obj = self.cluster.seed(manifest_object(**fields))
        return await ModelVersionRoom().observe(obj, self.systems)


@pytest.fixture
def world() -> World:
    made = World()
    made.artifacts.publish(URI, MANIFEST)
    return made


async def test_reads_manifest_and_sizes(world: World) -> None:
    seen = await world.observe()
    assert seen.evidence.manifest == MANIFEST
    assert seen.evidence.sizes is not None
    assert SIZES.items() <= seen.evidence.sizes.items()
    assert (seen.problem, seen.misplaced) == ("", "")


async def test_reads_who_serves_it(world: World) -> None:
    made = rollout("web", stable=KEY.name)
    world.cluster.seed({k: v for k, v in made.items() if k != "status"}, status=made["status"])
    assert (await world.observe()).serving.served_by == ("web",)


async def test_nothing_of_a_misplaced_artifact_is_read(world: World) -> None:
    artifact = {"uri": "s3://trainyard/other/churn/", "digest": MANIFEST.digest}
    seen = await world.observe(artifact=artifact)
    assert seen.misplaced
    assert seen.evidence == Evidence()
    assert world.artifacts.reads == 0


async def test_nothing_is_listed_where_there_is_no_manifest(world: World) -> None:
    world.artifacts.objects.clear()
    assert (await world.observe()).evidence == Evidence()
    assert world.artifacts.reads == 1


async def test_store_away(world: World) -> None:
    world.artifacts.away = True
    assert (await world.observe()).evidence == Evidence(away=True)


@pytest.mark.parametrize(
    "files",
    [
        (),
        (FILES[0], FILES[0]),
        (ManifestFile("../../other/secret", 1, "c" * 64),),
        (ManifestFile("/etc/passwd", 1, "c" * 64),),
        (ManifestFile("a//b", 1, "c" * 64),),
    ],
)
async def test_a_manifest_that_is_no_model(world: World, files: tuple[ManifestFile, ...]) -> None:
    world.artifacts.objects[URI + "manifest.json"] = Manifest("SavedModel", files).to_json().encode()
    assert (await world.observe()).evidence.malformed


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", json.dumps({"files": 3}).encode(), b"\xff"])
async def test_a_manifest_that_cannot_be_read(world: World, text: bytes) -> None:
    world.artifacts.objects[URI + "manifest.json"] = text
    assert "malformed" in (await world.observe()).evidence.malformed


async def test_unreadable_spec_and_status_are_values(world: World) -> None:
    obj = {**manifest_object(), "spec": {"model": "churn"}, "status": {"decision": "what"}}
    obj["metadata"] = {**obj["metadata"], "uid": "u", "resourceVersion": "1"}
    seen = await ModelVersionRoom().observe(obj, world.systems)
    assert seen.spec is None
    assert seen.problem == "spec.artifact: Field required"
    assert seen.status.decision is None
    assert world.artifacts.reads == 0


async def test_a_settled_version_costs_one_small_read(world: World) -> None:
    room = ModelVersionRoom()
    obj = world.cluster.seed(manifest_object())
    status = room.decide(await room.observe(obj, world.systems), NOW).status
    world.artifacts.reads = 0
    seen = await room.observe({**obj, "status": status}, world.systems)
    assert seen.evidence == Evidence(manifest=MANIFEST)
    assert world.artifacts.reads == 1


async def test_a_deleted_version_asks_the_store_nothing(world: World) -> None:
    obj = dict(manifest_object())
    obj["metadata"] = {**obj["metadata"], "uid": "u", "deletionTimestamp": AT}
    await ModelVersionRoom().observe(obj, world.systems)
    assert world.artifacts.reads == 0


async def test_it_has_no_action_of_its_own(world: World) -> None:
    with pytest.raises(TypeError):
        await ModelVersionRoom().act(Action(), manifest_object(), world.systems)

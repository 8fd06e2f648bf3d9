"""Scenario 49 on a real API server: an alias moves by command line; at every moment that a watch saw it has one holder.

The rooms of versions and of the Rollout work beside it, over their own clients, as they come to it.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from local import builds
from local.rig import ApiServerRig
from tests.fakes.artifacts import FakeArtifacts
from tests.fakes.metadata import FakeMetadata
from tests.rig.kinds import CRDS
from tests.rig.place import Place, connect
from tests.unit.model_version.making import MANIFEST, spec
from trainyard import naming
from trainyard.model_version.room import ModelVersionRoom
from trainyard.reconciling.cycle import Cycle
from trainyard.resources.aliases import Claim, holder
from trainyard.systems.bundle import Config, Systems
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import MODEL_VERSION, Conflict, Ref

pytestmark = pytest.mark.rig
NAMESPACE = "aliases"
SECONDS = 60.0
CONFIG = Config("courier", {}, "trainyard", "http://minio:9000")


@pytest.fixture(scope="module")
def rig() -> Iterator[ApiServerRig]:
    with ApiServerRig() as started:
        for folder in (CRDS, builds.manifests("gateway")[0]):
            _kubectl(started, "apply", "--server-side", "-f", str(folder))
            _kubectl(started, "wait", "--for=condition=Established", "--timeout=60s", "-f", str(folder))
        _kubectl(started, "create", "namespace", NAMESPACE)
        yield started


def _kubectl(rig: ApiServerRig, *arguments: str) -> str:
    command = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=90).stdout


def _claim(obj: dict[str, Any]) -> Claim:
    status = obj.get("status", {})
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
    listed, shown = obj["spec"].get("aliases", ()), status.get("holds", ())
    return Claim(obj["metadata"]["name"], obj["spec"]["createdAt"], ready, frozenset(listed), frozenset(shown))


class Watched:
    """What a watch of the versions told, in order, played back one event at a time.

    It counts from the first holder on: kubectl may begin to watch after it.
    """

    def __init__(self, text: str) -> None:
        self.holders: list[str | None] = []
        self.shown: list[tuple[str, ...]] = []
        versions: dict[str, Claim] = {}
        for event in _documents(text):
            claim = _claim(event["object"])
            versions[claim.name] = claim
            found = holder("champion", versions.values())
            if found or self.holders:
                _note(self.holders, found.name if found else None)
            _note(self.shown, tuple(sorted(c.name for c in versions.values() if "champion" in c.holds)))


def _watched(file: Path) -> Watched:
    return Watched(file.read_text())


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """Read JSON documents that follow each other; the last one may be cut off."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text.rstrip()):
        found, end = decoder.raw_decode(text, at)
        yield found
        at = end + 1


def _note(changes: list[Any], now: Any) -> None:
    if not changes or changes[-1] != now:
        changes.append(now)


class Versions:
    """Versions of `churn` with their artifacts, visited again and again by their room."""

    def __init__(self, rig: ApiServerRig, cluster: KubernetesCluster) -> None:
        self.rig, self.cluster = rig, cluster
        self.artifacts, self.metadata = FakeArtifacts(), FakeMetadata()
        systems = Systems(cluster, {}, self.artifacts, cast("Any", None), self.metadata, CONFIG)
        self.cycle = Cycle(ModelVersionRoom(), systems, cluster, self._record)

    async def _record(self, rows: Any) -> bool:
        await self.metadata.record(rows)
        return True

    async def add(self, name: str, minute: int, *aliases: str) -> None:
        """Publish an artifact and its version."""
        uri = f"s3://trainyard/{NAMESPACE}/churn/{name}/1/"
        self.artifacts.publish(uri, MANIFEST)
        artifact = {"uri": uri, "digest": MANIFEST.digest, "format": "SavedModel"}
        body = spec(artifact=artifact, createdAt=f"2026-03-01T11:{minute:02d}:00Z", aliases=list(aliases))
        meta = {"name": name, "namespace": NAMESPACE}
        await self.cluster.create(
            {"apiVersion": naming.API_VERSION, "kind": "ModelVersion", "metadata": meta, "spec": body}
        )

    @asynccontextmanager
    async def visited(self) -> AsyncIterator[None]:
        """Let the room visit every version all the time."""
        task = asyncio.create_task(self._visit())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.result()

    async def _visit(self) -> None:
        while True:
            for obj in await self.cluster.list(MODEL_VERSION, NAMESPACE):
                try:
                    await self.cycle.run(
                        Ref(MODEL_VERSION, NAMESPACE, obj["metadata"]["name"]),
                        datetime.now(UTC),  # noqa: TID251 - as the worker
                    )
                except Conflict:
                    continue
            await asyncio.sleep(0.01)

    async def until(self, what: Callable[[], str], wanted: str) -> None:
        """Wait until something is told."""
        async with asyncio.timeout(SECONDS):
            while await asyncio.to_thread(what) != wanted:  # noqa: ASYNC110 - another process makes it true
                await asyncio.sleep(0.05)

    def showing(self) -> str:
        """Who shows the alias, by kubectl's column."""
        lines = _kubectl(self.rig, "get", "modelversions", "-n", NAMESPACE, "--no-headers").splitlines()
        return " ".join(line.split()[0] for line in lines if '"champion"' in line)

    async def trainyard(self, *arguments: str) -> str:
        """Run the command line to its end; what it tells people."""
        environment = {**os.environ, "KUBECONFIG": str(self.rig.kubeconfig), "NO_COLOR": "1"}
        command = [sys.executable, "-m", "trainyard.cli", *arguments, "-n", NAMESPACE]
        done = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, check=False, timeout=90
        )
        assert done.returncode == 0, done.stderr
        return (done.stderr + done.stdout).strip()


@pytest.fixture
async def versions(rig: ApiServerRig) -> AsyncIterator[Versions]:
    cluster, transport = await connect(rig.kubeconfig)
    yield Versions(rig, cluster)
    await transport.close()


@pytest.fixture
def told(rig: ApiServerRig, tmp_path: Path) -> Iterator[Path]:
    """Return the file into which a watch of the versions writes all that it hears."""
    file = tmp_path / "watch.json"
    watch = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig), "get", "modelversions", "-n", NAMESPACE, "--watch"]
    with file.open("w") as out:
        watching = subprocess.Popen([*watch, "--output-watch-events", "-o", "json"], stdout=out)
    yield file
    watching.terminate()
    watching.wait()


@pytest.fixture
async def place(rig: ApiServerRig) -> AsyncIterator[Place]:
    cluster, transport = await connect(rig.kubeconfig)
    yield Place(rig, cluster, cluster, NAMESPACE)
    await transport.close()


async def test_one_holder_at_every_moment_and_the_rollout_follows(versions: Versions, place: Place, told: Path) -> None:
    async with versions.visited():
        await versions.add("v1", 1, "champion")
        await versions.until(versions.showing, "v1")
        await place.rollout(version={"alias": "champion"}, rollbackWindow=3)
        await place.settle()
        for n in (2, 3):
            await versions.add(f"v{n}", n)
        said = await versions.trainyard("alias", "set", "v2", "champion")
        assert said.startswith("Alias 'champion' of model 'churn' ")
        await versions.until(versions.showing, "v2")
        assert "held by v3 now, before by v2" in await versions.trainyard("alias", "set", "v3", "champion")
        await versions.until(versions.showing, "v3")
        await place.settle()
        assert await place.shares() == {"v1": 80, "v3": 20}
        said = await versions.trainyard("alias", "set", "v1", "champion")
        assert said.endswith("is held by v1 now, before by v3; taken from v2, v3.")
        await versions.until(versions.showing, "v1")
        await place.settle(60)
        assert await place.shares() == {"v1": 100}
        assert "champion  churn  v1" in await versions.trainyard("alias", "list")
    await versions.until(lambda: str(_watched(told).shown[-1:]), "[('v1',)]")
    seen = _watched(told)
    assert seen.holders == ["v1", "v2", "v3", "v1"]
    assert [names for names in seen.shown if names] == [("v1",), ("v2",), ("v3",), ("v1",)]
    rows = sorted((r for r in versions.metadata.rows.values() if "alias" in r.data), key=lambda r: r.at)
    ways = [(r.name, r.data["event"]) for r in rows]
    lost, taken = ([name for name, event in sorted(ways) if event == f"Alias{what}"] for what in ("Lost", "Taken"))
    assert (lost, taken) == (["v1", "v2", "v3"], ["v1", "v1", "v2", "v3"])
    assert (await place.object())["status"]["history"][0]["outcome"] == "RolledBack"

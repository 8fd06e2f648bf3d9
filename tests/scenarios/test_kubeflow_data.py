"""Every run on the real Kubeflow tells which data it was made from, with versions; nothing starts without."""

import asyncio
import uuid

import pytest

from tests.scenarios.cluster import Cluster, Obj, condition, wait_until
from tests.scenarios.kubeflow import two_steps
from tests.scenarios.test_kubeflow import Door
from trainyard.systems.artifacts.client import ObstoreArtifacts
from trainyard.systems.artifacts.datasets import listing

pytestmark = pytest.mark.cluster


@pytest.fixture
def door(kubeflow_ns: Cluster) -> Door:
    return Door(kubeflow_ns)


@pytest.fixture
def artifacts(store: dict[str, str]) -> ObstoreArtifacts:
    user, password = store["MINIO_ROOT_USER"], store["MINIO_ROOT_PASSWORD"]
    return ObstoreArtifacts(store["TRAINYARD_STORE_ENDPOINT"], "us-east-1", user, password)


def put(artifacts: ObstoreArtifacts, uri: str, data: bytes) -> None:
    asyncio.run(artifacts.put(uri, data))


def version(artifacts: ObstoreArtifacts, uri: str) -> str:
    found = asyncio.run(listing(artifacts, uri))
    assert found is not None
    return found.digest


def failing() -> Obj:
    """Return the package whose second step ends with exit code 3."""
    package = two_steps()
    package["deploymentSpec"]["executors"]["exec-shout"]["container"]["command"] = ["sh", "-ec", "exit 3"]
    return package


def test_every_run_tells_the_version_of_its_data(door: Door, artifacts: ObstoreArtifacts) -> None:
    uri = f"s3://trainyard/{door.ns.namespace}/sets/rows-{uuid.uuid4().hex}/"  # namespaces come again, objects stay
    data = {"datasets": [{"name": "rows", "uri": uri}]}
    outputs = {"modelOutput": {"task": "shout", "artifact": "model"}}
    door.pipeline("tells", two_steps(), kubeflow=outputs, data=data)
    door.pipeline("fails", failing(), data=data)
    text = {"text": uuid.uuid4().hex}
    first, again = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("tells", "again"))  # their outputs stay as well
    door.run("tells", first, parameters=text)
    waiting = door.ns.wait("trainingrun", first, "Accepted", "False", "DatasetEmpty")
    assert uri in condition(waiting, "Accepted")["message"]
    assert "trainyard.dev/engine-id" not in waiting["metadata"].get("annotations", {})
    put(artifacts, f"{uri}a/1.csv", b"1,2\n")
    put(artifacts, f"{uri}2.csv", b"3,4\n")
    ended = door.ended(first, "Succeeded")
    told = [{"name": "rows", "uri": uri, "digest": version(artifacts, uri)}]
    assert ended["status"]["datasets"] == told
    made = door.ns.wait("modelversion", first, "Verified")
    assert made["spec"]["source"]["datasets"] == told
    door.run("fails", "fails", parameters=text)
    assert door.ended("fails", "StepFailed")["status"]["datasets"] == told
    put(artifacts, f"{uri}2.csv", b"5,6\n")
    door.run("tells", again, parameters=text)
    later = wait_until("it starts", lambda: (door.ns.get("trainingrun", again) or {}).get("status", {}).get("datasets"))
    assert later == [{**told[0], "digest": version(artifacts, uri)}]
    assert later != told


def test_another_namespace_s_data_is_not_even_looked_for(door: Door, artifacts: ObstoreArtifacts) -> None:
    put(artifacts, "s3://trainyard/somebody-else/secret.csv", b"1\n")
    for name, uri in (("there", "s3://trainyard/somebody-else/"), ("not-there", "s3://trainyard/nobody/")):
        door.pipeline(name, two_steps(), data={"datasets": [{"name": "rows", "uri": uri}]})
        door.run(name, name, parameters={"text": uuid.uuid4().hex})
    told = [door.ns.wait("trainingrun", n, "Accepted", "False", "DatasetNotAllowed") for n in ("there", "not-there")]
    messages = [condition(run, "Accepted")["message"] for run in told]
    assert messages[0].replace("somebody-else", "nobody") == messages[1], "whether it exists is not told"
    assert all("engine" not in run["status"] for run in told)

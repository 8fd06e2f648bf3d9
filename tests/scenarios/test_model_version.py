"""Scenarios 46 and 47 (value thresholds): what lies in the real store decides, through the front door."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.scenarios.cluster import Cluster, Obj, condition, wait_until
from trainyard.systems.artifacts.client import ObstoreArtifacts
from trainyard.systems.artifacts.port import Manifest, ManifestFile

pytestmark = pytest.mark.cluster

BYTES = {"model/saved_model.pb": b"graph" * 20, "model/variables/variables.data-00000-of-00001": b"weights" * 50}
ENOUGH = ({"name": "auc", "min": "0.90"},)


@dataclass
class Imports:
    """A person who imports models into one namespace."""

    ns: Cluster
    store: Mapping[str, str]

    def uri(self, name: str) -> str:
        """Return the folder of a version."""
        return f"s3://{self.store['TRAINYARD_STORE_BUCKET']}/{self.ns.namespace}/churn/{name}/1/"

    def put(self, name: str, objects: Mapping[str, bytes]) -> None:
        """Write objects into a version's folder."""
        store = ObstoreArtifacts(
            self.store["TRAINYARD_STORE_ENDPOINT"],
            "us-east-1",
            self.store["MINIO_ROOT_USER"],
            self.store["MINIO_ROOT_PASSWORD"],
        )

        async def write() -> None:
            for path, data in objects.items():
                await store.put(self.uri(name) + path, data)

        asyncio.run(write())

    def declare(
        self, name: str, rules: tuple[Mapping[str, str], ...] = ENOUGH, digest: str = "", **evaluation: Any
    ) -> None:
        """Apply the ModelVersion."""
        artifact = {"uri": self.uri(name), "digest": digest or manifest().digest, "format": "SavedModel"}
        self.ns.apply(
            {
                "apiVersion": "trainyard.dev/v1alpha1",
                "kind": "ModelVersion",
                "metadata": {"name": name},
                "spec": {
                    "model": "churn",
                    "artifact": artifact,
                    "evaluation": {"metrics": [dict(rule) for rule in rules], **evaluation},
                    "createdAt": "2026-11-24T09:00:00.000001Z",
                },
            }
        )

    def wait(self, name: str, kind: str, status: str, reason: str) -> tuple[Obj, str]:
        """Wait for a condition; return the object and the condition's message."""
        obj = self.ns.wait("modelversion", name, kind, status, reason)
        return obj, condition(obj, kind).get("message", "")


def manifest(**metrics: str) -> Manifest:
    files = tuple(ManifestFile(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in BYTES.items())
    return Manifest("SavedModel", files, metrics)


def objects(**metrics: str) -> dict[str, bytes]:
    """Return what a publisher leaves: the files and the manifest."""
    return {**BYTES, "manifest.json": manifest(**metrics).to_json().encode()}


@pytest.fixture
def imports(ns: Cluster, store: dict[str, str]) -> Imports:
    return Imports(ns, store)


def test_46_wrong_digest_missing_and_truncated_object(imports: Imports) -> None:
    whole = objects(auc="0.93")
    wrong = "sha256:" + "0" * 64
    imports.put("digest", whole)
    imports.declare("digest", digest=wrong)
    imports.put("missing", {path: data for path, data in whole.items() if path != "model/saved_model.pb"})
    imports.declare("missing")
    imports.put("truncated", {**whole, "model/saved_model.pb": b"gra"})
    imports.declare("truncated")
    imports.declare("nothing")

    _, message = imports.wait("digest", "Verified", "False", "DigestMismatch")
    assert wrong in message
    assert manifest().digest in message
    _, message = imports.wait("missing", "Verified", "False", "ObjectMissing")
    assert message == "the store lacks model/saved_model.pb"
    _, message = imports.wait("truncated", "Verified", "False", "SizeMismatch")
    assert "model/saved_model.pb (3 bytes, not 100)" in message
    _, message = imports.wait("nothing", "Verified", "False", "ManifestMissing")
    assert message == f"{imports.uri('nothing')}manifest.json does not exist"
    for name in ("digest", "missing", "truncated", "nothing"):
        obj, _ = imports.wait(
            name, "Ready", "False", condition(imports.ns.get("modelversion", name) or {}, "Verified")["reason"]
        )
        assert "decision" not in obj["status"]


def test_46_a_missing_object_that_appears_heals(imports: Imports) -> None:
    whole = objects(auc="0.93")
    imports.put("late", {path: data for path, data in whole.items() if path != "model/saved_model.pb"})
    imports.declare("late")
    imports.wait("late", "Verified", "False", "ObjectMissing")
    imports.put("late", whole)
    imports.wait("late", "Ready", "True", "Ready")


def test_47_bounds_missing_metrics_and_no_rules(imports: Imports) -> None:
    for name, metrics in {
        "good": {"auc": "0.90", "loss": "0.3"},
        "weak": {"auc": "0.84", "loss": "0.3"},
        "lossy": {"auc": "0.95", "loss": "0.31"},
        "silent": {"loss": "0.1"},
        "nan": {"auc": "NaN", "loss": "0.1"},
    }.items():
        imports.put(name, objects(**metrics))
        imports.declare(name, ({"name": "auc", "min": "0.90"}, {"name": "loss", "max": "0.30"}))
    for name, accept in (("unruled", "Reject"), ("trusted", "Accept")):
        imports.put(name, objects(auc="0.1"))
        imports.declare(name, (), noRules=accept)

    good, _ = imports.wait("good", "Ready", "True", "Ready")
    assert good["status"]["decision"]["verdict"] == "Accepted"
    assert [rule["passed"] for rule in good["status"]["decision"]["rules"]] == [True, True]
    imports.wait("trusted", "Ready", "True", "Ready")
    for name, sentence in {
        "weak": "auc 0.84 is below min 0.90",
        "lossy": "loss 0.31 is above max 0.30",
        "silent": "auc is missing from the manifest's metrics",
        "nan": "auc is NaN, which passes no limit",
    }.items():
        _, message = imports.wait(name, "Rejected", "True", "ThresholdMissed")
        assert message == sentence
        imports.wait(name, "Ready", "False", "Rejected")
    imports.wait("unruled", "Rejected", "True", "NoRules")
    assert wait_until("an event tells it", lambda: _told(imports.ns, "weak"), 30) == "auc 0.84 is below min 0.90"


def test_47_the_decision_is_frozen(imports: Imports, kubectl: Callable[..., str]) -> None:
    imports.put("weak", objects(auc="0.84"))
    imports.declare("weak")
    decided, _ = imports.wait("weak", "Ready", "False", "Rejected")
    imports.put("weak", objects(auc="0.99"))
    kubectl("annotate", "modelversion", "weak", "example.com/touched=yes")
    imports.put("probe", objects(auc="0.99"))
    imports.declare("probe")
    imports.wait("probe", "Ready", "True", "Ready")  # the operator has been here since
    after = imports.ns.get("modelversion", "weak")
    assert after
    assert after["status"] == decided["status"]


def _told(ns: Cluster, name: str) -> str:
    return next((e["message"] for e in ns.events("ModelVersion", name) if e["reason"] == "Rejected"), "")

"""The objects of the benchmark are what the operator takes, and its routes are read rightly."""

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import objects
from bench.store import BUCKET, digest, listing, manifest, value
from trainyard import naming
from trainyard.resources.model_version import ModelVersion
from trainyard.resources.rollout import Rollout
from trainyard.rollout.weights import canary_size
from trainyard.systems.artifacts.port import parse_manifest


def route(shares: dict[str, int], canary: str = "") -> dict[str, Any]:
    annotations = {naming.ANNOTATION_CANARY_REVISION: canary}
    backends = [{"name": naming.revision_object("model-0000", r), "weight": w} for r, w in shares.items()]
    return {
        "metadata": {"name": "model-0000", "generation": 3, "annotations": annotations},
        "spec": {"parentRefs": list(objects.PARENTS), "rules": [{"backendRefs": backends}]},
    }


@pytest.mark.parametrize(
    ("shares", "canary", "weight"),
    [({"aaa": 100}, "", 0), ({"aaa": 90, "bbb": 10}, "bbb", 10), ({"aaa": 100}, "bbb", 0), ({"bbb": 100}, "bbb", 100)],
)
def test_the_weight_is_the_canarys(shares: dict[str, int], canary: str, weight: int) -> None:
    assert objects.canary_weight(route(shares, canary)) == weight


def test_the_gateway_takes_the_present_generation() -> None:
    (parent,) = objects.accepted(route({"aaa": 100}))["parents"]
    assert parent["parentRef"] == objects.PARENTS[0]
    assert {c["type"]: (c["status"], c["observedGeneration"]) for c in parent["conditions"]} == {
        "Accepted": ("True", 3),
        "ResolvedRefs": ("True", 3),
    }


def test_every_pod_is_ready() -> None:
    told = objects.ready({"metadata": {"generation": 2}, "spec": {"replicas": 3}})
    assert (told["observedGeneration"], told["availableReplicas"], told["updatedReplicas"]) == (2, 3, 3)


def test_the_kinds_take_the_objects() -> None:
    made = Rollout.model_validate(objects.rollout("model-0000"))
    assert made.spec.version.name == objects.version_name("model-0000", 1)
    version = ModelVersion.model_validate(objects.model_version("model-0000", 2))
    assert version.spec.model == "model-0000"


def test_a_step_changes_the_weight_alone() -> None:
    spec = Rollout.model_validate(objects.rollout("model-0000")).spec
    assert {canary_size(spec, 2, weight) for weight in objects.LADDER} == {1}


def test_names_are_distinct_and_sorted() -> None:
    made = objects.names(1000)
    assert len(set(made)) == 1000
    assert made == sorted(made)


def test_the_store_shows_what_the_version_says() -> None:
    artifact = objects.model_version("model-0000", 1)["spec"]["artifact"]
    prefix = artifact["uri"].removeprefix(f"s3://{BUCKET}/")
    shown = parse_manifest(manifest(prefix).to_json().encode())
    assert shown.digest == artifact["digest"] == digest(prefix)
    assert digest(prefix) != digest(prefix + "other/")
    rows = ElementTree.fromstring(listing(prefix)).iter("Contents")  # noqa: S314 - our own text
    keys = {row.findtext("Key"): row.findtext("Size") for row in rows}
    assert keys[f"{prefix}{shown.files[0].path}"] == str(shown.files[0].size)
    assert json.loads(manifest(prefix).to_json())["digest"] == artifact["digest"]


def test_prometheus_sees_requests_and_no_errors() -> None:
    assert value("sum by (revision) (increase(requests[5s]))", 10) == 100.0
    assert value("errors / total", 10) == 0.0

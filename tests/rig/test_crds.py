"""The CRDs on a real API server: structural, explained, and true to what is written."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rig.kinds import CRDS, Api, Obj, full
from trainyard.resources import model_version, rollout, training_pipeline, training_run
from trainyard.resources.crd import KINDS, Kind

pytestmark = pytest.mark.rig

MODELS: dict[str, Any] = {
    "TrainingPipeline": training_pipeline.TrainingPipeline,
    "TrainingRun": training_run.TrainingRun,
    "ModelVersion": model_version.ModelVersion,
    "Rollout": rollout.Rollout,
}
QUICKSTART = Path(__file__).parents[2] / "examples/quickstart"
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


def crd(kind: Kind) -> Obj:
    loaded: Obj = yaml.safe_load((CRDS / f"trainyard.dev_{kind.plural}.yaml").read_text())
    return loaded


def paths(schema: Mapping[str, Any], at: str) -> Iterator[str]:
    """Yield every field that a schema declares."""
    for name, child in schema.get("properties", {}).items():
        yield f"{at}.{name}"
        yield from paths(child, f"{at}.{name}")
    if "items" in schema:
        yield from paths(schema["items"], at)


def used(value: Any, at: str) -> Iterator[str]:
    """Yield every field that an object sets."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield f"{at}.{name}"
            yield from used(child, f"{at}.{name}")
    elif isinstance(value, list):
        for child in value:
            yield from used(child, at)


@each_kind
def test_established_and_structural(kind: Kind, crds: None, kubectl: Callable[..., str]) -> None:
    live = json.loads(kubectl("get", "crd", f"{kind.plural}.trainyard.dev", "-o", "json"))
    conditions = {c["type"]: c["status"] for c in live["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions


@each_kind
def test_the_api_server_keeps_the_crd_as_it_is_written(kind: Kind, crds: None, kubectl: Callable[..., str]) -> None:
    live = json.loads(kubectl("get", "crd", f"{kind.plural}.trainyard.dev", "-o", "json"))
    written = crd(kind)["spec"]["versions"][0]
    assert live["spec"]["versions"][0]["schema"] == written["schema"]
    assert live["spec"]["versions"][0]["additionalPrinterColumns"] == written["additionalPrinterColumns"]


@each_kind
def test_explain_describes_every_field(kind: Kind, crds: None, kubectl: Callable[..., str]) -> None:
    schema = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    # The root's own fields are described by Kubernetes; items and map values by the field that holds them.
    undescribed = [
        at
        for at, node in _nodes({"properties": {k: schema["properties"][k] for k in ("spec", "status")}}, kind.kind)
        if not node.get("description")
    ]
    assert undescribed == []
    assert kind.description.split(":")[0] in " ".join(kubectl("explain", f"{kind.plural}.trainyard.dev").split())


def _nodes(schema: Mapping[str, Any], at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, child in schema.get("properties", {}).items():
        yield f"{at}.{name}", child
        yield from _nodes(child, f"{at}.{name}")
    if "items" in schema:
        yield from _nodes(schema["items"], at)


@each_kind
def test_the_full_examples_use_every_field(kind: Kind) -> None:
    schema = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    declared = {path for part in ("spec", "status") for path in paths(schema[part], part)}
    set_somewhere = {
        path for obj in full(kind.kind) for part in ("spec", "status") for path in used(obj.get(part), part)
    }
    assert declared - set_somewhere == set()


@each_kind
def test_round_trip_loses_and_adds_nothing(kind: Kind, api: Api) -> None:
    for obj in full(kind.kind):
        api.create(obj)
        try:
            if "status" in obj:
                api.put_status(obj)
            back = api.get(obj)
        finally:
            api.delete(obj)
        assert back["spec"] == obj["spec"]
        assert back.get("status") == obj.get("status")
        parsed = MODELS[kind.kind].model_validate(back)
        assert _without_empty(parsed.spec.to_wire()) == _without_empty(obj["spec"])


def _without_empty(value: Any) -> Any:
    """Leave out what says nothing: an empty map or list, an empty text, a false that stands for absent."""
    if isinstance(value, dict):
        cleaned = {key: _without_empty(child) for key, child in value.items()}
        return {key: child for key, child in cleaned.items() if child not in ({}, [], "")}
    if isinstance(value, list):
        return [_without_empty(child) for child in value]
    return value


@each_kind
def test_what_the_operator_writes_is_accepted(kind: Kind, api: Api) -> None:
    """The models' own JSON form, empty lists and all, passes the API server unchanged."""
    obj = full(kind.kind)[0]
    wire = {**obj, "spec": MODELS[kind.kind].model_validate(obj).spec.to_wire()}
    assert api.create(wire, dry=True)["spec"] == wire["spec"]


def test_a_list_shows_the_reason_and_not_a_phase(api: Api, kubectl: Callable[..., str]) -> None:
    run = full("TrainingRun")[0]
    api.create(run)
    try:
        api.put_status(run)
        header, row = kubectl("get", "trainingruns").splitlines()
    finally:
        api.delete(run)
    assert header.split() == ["NAME", "PIPELINE", "SUCCEEDED", "REASON", "VERSION", "AGE"]
    assert row.split()[:5] == ["full", "churn", "False", "OutOfMemory", "full"]


def test_the_category_lists_all_kinds(api: Api, kubectl: Callable[..., str]) -> None:
    made = [full(kind.kind)[0] for kind in KINDS]
    for obj in made:
        api.create(obj)
    try:
        listed = kubectl("get", "trainyard", "-o", "name").split()
    finally:
        for obj in made:
            api.delete(obj)
    assert sorted(listed) == sorted(f"{kind.kind.lower()}.trainyard.dev/full" for kind in KINDS)


def test_a_minimal_rollout_gets_its_defaults(api: Api) -> None:
    minimal = {
        "apiVersion": "trainyard.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "minimal"},
        "spec": {
            "model": "churn",
            "version": {"latest": {}},
            "target": {"kubernetes": {"traffic": {"parentRefs": [{"name": "public"}]}}},
            "strategy": {"canary": {}},
        },
    }
    made = api.create(minimal, dry=True)["spec"]
    assert made["version"] == {"latest": {}}  # base.ATOMIC
    assert made["analysis"]["intervalSeconds"] == 30
    assert made["target"]["kubernetes"]["serving"]["replicas"] == 1
    assert made["scaleDownDelaySeconds"] == 30
    parsed = rollout.RolloutSpec.model_validate(minimal["spec"])
    assert rollout.RolloutSpec.model_validate(made) == parsed, "the API server's defaults are the models' defaults"


@pytest.mark.parametrize("file", sorted(QUICKSTART.glob("*.yaml")), ids=lambda file: file.name)
def test_the_quickstart_is_accepted(file: Path, api: Api) -> None:
    ours = [obj for obj in yaml.safe_load_all(file.read_text()) if obj["apiVersion"].startswith("trainyard.dev/")]
    for obj in ours:
        api.create({**obj, "metadata": {**obj["metadata"], "namespace": "default"}}, dry=True)


def test_the_quickstart_has_manifests_of_ours() -> None:
    texts = [file.read_text() for file in QUICKSTART.glob("*.yaml")]
    assert any("apiVersion: trainyard.dev/" in text for text in texts)

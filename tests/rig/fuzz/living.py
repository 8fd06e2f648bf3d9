"""Mutations that a running operator meets: each example is made to live, so that what was changed has an effect.

The examples are paused, suspended, cancelled and frozen, and name what is not there. Here they serve a version that
is in the store and train on data that is there: unless that very field is the one that was changed. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.rig.fuzz.values import GONE
from tests.rig.fuzz.walking import Mutation, Path, put
from tests.rig.kinds import Obj

MODEL = "churn"
FIRST, SECOND = "churn-v1", "churn-v2"
PIPELINE = "churn"
TRAFFIC: Path = ("spec", "target", "kubernetes", "traffic")
Edits = Sequence[tuple[Path, Any]]


def alive(mutation: Mutation, name: str, artifact: Mapping[str, Any]) -> Obj:
    """Return the mutated object under this name, made to live. artifact: what is in the store."""
    body = mutation.body()
    for path, value in _edits(mutation.base, name, artifact):
        if not _meets(path, mutation.path) and _has(body, path[:-1]):
            put(body, path, value)
    return {**body, "metadata": {**body["metadata"], "name": name}}


def _edits(base: Obj, name: str, artifact: Mapping[str, Any]) -> Edits:
    match base["kind"]:
        case "Rollout":
            return (
                (("spec", "paused"), False),
                (("spec", "action"), GONE),
                (("spec", "freeze"), GONE),
                (("spec", "deletionPolicy"), "Delete"),
                (("spec", "version"), {"name": FIRST}),
                ((*TRAFFIC, "hostnames"), [f"{name}.test"]),
                ((*TRAFFIC, "path"), f"/{name}"),
            )
        case "TrainingPipeline":
            return ((("spec", "suspend"), False), (("spec", "triggers", "onChange"), True))
        case "TrainingRun":
            return (
                (("spec", "cancel"), False),
                (("spec", "cancelledBy"), GONE),
                (("spec", "revision"), GONE),
                (("spec", "pipeline"), PIPELINE),
            )
        case _:
            return ((("spec", "model"), f"model-{name}"), (("spec", "artifact"), dict(artifact)))


def _meets(one: Path, other: Path) -> bool:
    """Whether one of two paths holds the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _has(obj: Any, path: Path) -> bool:
    """Whether there are maps all the way."""
    for step in path:
        if not isinstance(obj, dict) or step not in obj:
            return False
        obj = obj[step]
    return isinstance(obj, dict)


def version(name: str, artifact: Mapping[str, Any], created: str) -> Obj:
    """A ModelVersion that may serve."""
    spec = {"model": MODEL, "artifact": dict(artifact), "metrics": {"auc": "0.91"}, "createdAt": created}
    spec |= {"evaluation": {"noRules": "Accept"}}
    return _object("ModelVersion", name, spec)


def pipeline(name: str) -> Obj:
    """A pipeline with the parameters that the runs give."""
    types = {"epochs": "Integer", "rate": "Double", "layers": "List", "extra": "Struct", "word": "String"}
    spec = {
        "model": MODEL,
        "engine": {"job": {"template": {"image": "registry.example/trainer:1"}}},
        "parameters": [{"name": name, "type": kind} for name, kind in types.items()],
        "history": {"succeeded": 1000, "failed": 1000},  # a run that is pruned cannot be told of
    }
    return _object("TrainingPipeline", name, spec)


def run(name: str) -> Obj:
    """A run of a pipeline that is not there: it says so."""
    return _object("TrainingRun", name, {"pipeline": "none"})


def rollout(name: str) -> Obj:
    """A Rollout of the first version."""
    traffic = {"parentRefs": [{"name": "public"}], "hostnames": [f"{name}.test"]}
    spec = {
        "model": MODEL,
        "version": {"name": FIRST},
        "target": {"kubernetes": {"traffic": traffic}},
        "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}},
    }
    return _object("Rollout", name, spec)


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> Obj:
    return {"apiVersion": "trainyard.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}

"""Every mutation of the full examples, by walking the CRDs' structural schemas beside them. Pure.

for mutation in mutations("Rollout"):
    mutation.body()          # the whole object with the one thing changed
touching_each_property(all_of_them, seed)    # a sample that leaves no property out
"""

import copy
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.rig.fuzz.values import GONE, HUGE_COUNT, MANY, TEXTS, Schema, changes, made
from tests.rig.kinds import CRDS, Obj, full

KINDS = ("TrainingPipeline", "TrainingRun", "ModelVersion", "Rollout")
PARTS = ("spec", "status")
STEPS = "spec.strategy.canary.steps"
Path = tuple[str | int, ...]


def put(obj: Obj, path: Path, value: Any) -> Obj:
    """Put a value there, or take away what is there (GONE); the object itself, changed."""
    at: Any = obj
    for step in path[:-1]:
        at = at.setdefault(step, {}) if isinstance(at, dict) else at[step]
    if value is not GONE:
        at[path[-1]] = value
    elif not isinstance(at, dict) or path[-1] in at:
        del at[path[-1]]
    return obj


@dataclass(frozen=True)
class Mutation:
    """One change to one full example. `place`: where the schema declares it, items and map values as `[]`."""

    base: Obj
    path: Path
    place: str
    what: str
    value: Any

    @property
    def kind(self) -> str:
        return str(self.base["kind"])

    @property
    def is_status(self) -> bool:
        """Whether it is the status that is changed: another door of the API server."""
        return self.path[0] == "status"

    @property
    def field(self) -> str:
        """The path as the API server writes it."""
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path).lstrip(".")

    def body(self) -> Obj:
        """The whole object, changed."""
        return put(copy.deepcopy(self.base), self.path, made(self.value))

    def __str__(self) -> str:
        return f"{self.kind} {self.base['metadata']['name']} {self.field}: {self.what}"


def schema_of(kind: str) -> Schema:
    """Return the structural schema of a kind, from crds/."""
    text = (CRDS / f"trainyard.dev_{kind.lower()}s.yaml").read_text()
    found: Schema = yaml.load(text, yaml.CSafeLoader)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def declared(kind: str) -> set[str]:
    """Return every property that a kind's schema declares, items and values of maps too."""
    schema = schema_of(kind)["properties"]
    return {name for part in PARTS for name in _declared(schema[part], part)}


def _declared(schema: Schema, at: str) -> Iterator[str]:
    yield at
    for name, child in schema.get("properties", {}).items():
        yield from _declared(child, f"{at}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from _declared(schema[word], f"{at}[]")


def mutations(kind: str, *, everywhere: bool = True) -> Iterator[Mutation]:
    """Yield every mutation of a kind's full examples.

    everywhere: also where a property stands a second time in the same example, as another item of its list does.
    """
    schema = schema_of(kind)["properties"]
    for base in full(kind):
        seen: set[str] = set()
        for part in PARTS:
            if part not in base:
                continue
            for path, name, node, value in _walk(schema[part], base[part], (part,), part):
                if everywhere or name not in seen:
                    seen.add(name)
                    yield from (Mutation(base, path, name, what, new) for what, new in changes(node, value))
    yield from _of_the_whole(full(kind)[0])


def _walk(schema: Schema, value: Any, path: Path, name: str) -> Iterator[tuple[Path, str, Schema, Any]]:
    """Yield (path, property, schema, value) of every declared place that the value fills."""
    yield path, name, schema, value
    if isinstance(value, dict):
        of_values = schema.get("additionalProperties")
        for key, child in value.items():
            if key in schema.get("properties", {}):
                yield from _walk(schema["properties"][key], child, (*path, key), f"{name}.{key}")
            elif isinstance(of_values, dict):
                yield from _walk(of_values, child, (*path, key), f"{name}[]")
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for number, child in enumerate(value):
            yield from _walk(schema["items"], child, (*path, number), f"{name}[]")


def _of_the_whole(base: Obj) -> Iterator[Mutation]:
    """What stands beside spec and status."""
    annotation = {"trainyard.dev/note": "x"}
    metadata: Mapping[str, Any] = {
        "annotations": {
            "a megabyte": {"a": "x" * 2**20},
            "nearly too much": {"a": "x" * (2**18 - 100)},
            "unicode": {"a": TEXTS["unicode"]},
            "PromQL": {"a": TEXTS["PromQL"]},
            "of ours": {f"trainyard.dev/{word}": TEXTS["unicode"] for word in ("engine-id", "outcome", "data")},
            "many": {f"a{number}": "x" for number in range(HUGE_COUNT)} | annotation,
        },
        "labels": {
            "unicode": {"a": TEXTS["unicode"]},
            "longest": {"a" * 63: "b" * 63},
            "too long": {"a": "b" * 64},
            "of ours": {"app.kubernetes.io/managed-by": "trainyard", "trainyard.dev/rollout": "witness"},
        },
        "finalizers": {"of another": ["example.com/none"], "wrong": ["none"]},
        "ownerReferences": {"of nothing": [{"apiVersion": "v1", "kind": "Pod", "name": "none", "uid": "none"}]},
    }
    for name, found in metadata.items():
        for what, value in found.items():
            yield Mutation(base, ("metadata", name), f"metadata.{name}", what, value)


def touching_each_property(found: Iterable[Mutation], seed: int, each: int = 1) -> list[Mutation]:
    """Return a sample, the same for the same seed: of every property as many mutations, of every name at least one.

    10,000 entries cost the API server so much that the steps of a Rollout alone get them.
    """
    chance = random.Random(seed)
    shuffled = [m for m in found if m.what != MANY or m.place == STEPS]
    chance.shuffle(shuffled)
    properties: dict[str, int] = {}
    names: set[str] = set()
    chosen = []
    for mutation in shuffled:
        place = f"{mutation.kind} {mutation.place}"
        if properties.get(place, 0) < each or mutation.what not in names:
            properties[place] = properties.get(place, 0) + 1
            names.add(mutation.what)
            chosen.append(mutation)
    return chosen

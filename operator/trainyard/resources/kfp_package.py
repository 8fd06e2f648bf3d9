"""A compiled Kubeflow pipeline: IR YAML of KFP v2, with or without its `platforms` document. Pure.

TrainingPipelines read and check one, TrainingRuns check parameters against it, the engine submits it. The canonical
text is JSON (which is YAML), so that equal packages have equal digests whoever wrote them.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from trainyard import naming
from trainyard.resources.parameters import mismatch
from trainyard.resources.training_pipeline import Parameter

Spec = Mapping[str, Any]

LIMIT = 524_288  # characters of the canonical text; a ControllerRevision has to hold it
KEYS = frozenset(
    {"pipelineInfo", "deploymentSpec", "schemaVersion", "sdkVersion", "components", "root", "defaultPipelineRoot"}
)
SCHEMA = "2.1.0"
MOST_DEPTH = 100
STUB = "argostub/"  # images that stand for something the driver does itself
TYPES: Mapping[str, str] = {
    "STRING": "String",
    "NUMBER_INTEGER": "Integer",
    "NUMBER_DOUBLE": "Double",
    "BOOLEAN": "Boolean",
    "LIST": "List",
    "STRUCT": "Struct",
}
MOST_EXACT = 2**53  # Kubeflow carries numbers as doubles: a larger integer arrives as another one
_NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9/]*(\.[-A-Za-z0-9/]+)*")


class Malformed(ValueError):
    """The text is no package that can be run; `str()` is the sentence."""


@dataclass(frozen=True)
class Task:
    """One step that has a pod: its path in the pipeline (`/` between), its component's executor, what it needs."""

    path: tuple[str, ...]
    executor: str

    @property
    def name(self) -> str:
        """What people call it: `train`, or `nested/train`."""
        return "/".join(self.path)


@dataclass(frozen=True)
class KfpPackage:
    """The pipeline spec and the platform spec ({} where there is none), as plain JSON."""

    spec: Spec
    platforms: Spec

    @property
    def text(self) -> str:
        """The canonical text."""
        documents = [self.spec] + ([{"platforms": self.platforms}] if self.platforms else [])
        return "\n---\n".join(naming.canonical(document) for document in documents)

    @property
    def digest(self) -> str:
        """`sha256:` over the canonical text."""
        return "sha256:" + hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def name(self) -> str:
        """The pipeline's own name: a part of where its outputs lie."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Every step with a pod, in an order in which each follows what it depends on."""
        return tuple(_tasks(self.spec, self.spec["root"], (), ()))

    @property
    def executors(self) -> Mapping[str, Any]:
        """The executors by label."""
        return _map(_map(self.spec.get("deploymentSpec")).get("executors"))


class PackageParameter(Parameter):
    """A parameter as the package declares it; an optional one may stay without any value."""

    optional: bool = False

    @property
    def required(self) -> bool:
        """Whether a run has to give it."""
        return self.default is None and not self.optional


@lru_cache(maxsize=64)
def parse(text: str) -> KfpPackage:
    """Read a package. Raises Malformed; the result is shared, so never change it."""
    specs: list[Spec] = []
    platforms: list[Spec] = []
    for document in _documents(text):
        (specs if "root" in document or "pipelineInfo" in document else platforms).append(document)
    if len(specs) != 1 or len(platforms) > 1:
        counted = f"{len(specs)} and {len(platforms)}"
        raise Malformed(f"a package is one pipeline spec and at most one platforms document, not {counted}")
    package = KfpPackage(specs[0], _platforms(platforms[0]) if platforms else {})
    _check(package)
    if len(package.text) > LIMIT:
        raise Malformed(f"the package has {len(package.text)} characters, more than {LIMIT}")
    return package


def parameters(package: KfpPackage, declared: Sequence[Parameter] = ()) -> tuple[PackageParameter, ...]:
    """Return the package's parameters by name; a declaration of the pipeline's replaces default and description.

    Raises Malformed where a declaration does not fit the package.
    """
    own = {name: _parameter(name, _map(one)) for name, one in sorted(_inputs(package).items())}
    for theirs in declared:
        if theirs.name not in own:
            raise Malformed(f"parameter {theirs.name} is declared, and the package has no such input")
        mine = own[theirs.name]
        if mine.type != theirs.type:
            raise Malformed(f"parameter {theirs.name} is declared {theirs.type}; in the package it is {mine.type}")
        update = {"default": mine.default if theirs.default is None else theirs.default}
        update |= {"description": theirs.description or mine.description}
        own[theirs.name] = mine.model_copy(update=update)
    return tuple(own.values())


def inexact(values: Mapping[str, Any]) -> str:
    """Return the sentence about integers that Kubeflow would change on their way, "" where there are none."""
    wrong = sorted(name for name, value in values.items() if _too_large(value))
    if not wrong:
        return ""
    return f"Parameters: {', '.join(wrong)}: Kubeflow carries no integer beyond 2^53 exactly; pass it as a String."


# ---- reading ----


class _Loader(yaml.CSafeLoader):
    """YAML as JSON has it: no dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _documents(text: str) -> Iterator[dict[str, Any]]:
    try:
        _check_events(text)
        documents = [d for d in yaml.load_all(text, _Loader) if d is not None]
    except yaml.YAMLError as error:
        raise Malformed(f"it is no YAML: {_where(error)}") from error
    for document in documents:
        if not isinstance(document, dict) or not _is_json(document):
            raise Malformed("a package is made of maps with texts as keys, lists, texts, numbers and booleans")
        yield document


def _check_events(text: str) -> None:
    """Refuse aliases, by which a small text becomes a huge one, and a depth that no package has."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            raise Malformed("YAML aliases (*name) are not taken: write the values out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise Malformed(f"it is nested more than {MOST_DEPTH} deep")


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or "it cannot be read")
    return f"{problem} (line {mark.line + 1})" if mark is not None else problem


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(_is_json(inner) for inner in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | bool | int)


def _platforms(document: Spec) -> Spec:
    if document.keys() != {"platforms"} or not isinstance(document["platforms"], dict):
        raise Malformed(f"a document with the keys {', '.join(sorted(document))[:200]} is no part of a package")
    return document["platforms"]


def _check(package: KfpPackage) -> None:
    """Check what is read later on, so that nothing after this can fail by the package's shape."""
    unknown = sorted(package.spec.keys() - KEYS)
    if unknown:
        raise Malformed(f"a pipeline spec has no {', '.join(unknown)[:200]}")
    if str(package.spec.get("schemaVersion")) != SCHEMA:
        raise Malformed(f"schemaVersion is {package.spec.get('schemaVersion')!r}; Kubeflow takes {SCHEMA}")
    name = _map(package.spec.get("pipelineInfo")).get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 128:
        raise Malformed("pipelineInfo.name is not made of letters, digits, '-', '.' and '/'")
    if not _map(_map(package.spec.get("root")).get("dag")).get("tasks"):
        raise Malformed("root.dag has no tasks")
    for task in package.tasks:
        if not _map(package.executors.get(task.executor)):
            raise Malformed(f"task {task.name}: there is no executor {task.executor}")
    artifacts = _map(_map(_map(package.spec["root"]).get("inputDefinitions")).get("artifacts"))
    needed = sorted(key for key, one in artifacts.items() if not _map(one).get("isOptional"))
    if needed:
        raise Malformed(f"the pipeline wants input artifacts, which a run cannot give: {', '.join(needed)[:200]}")
    parameters(package)


def _tasks(spec: Spec, component: Spec, path: tuple[str, ...], inside: tuple[str, ...]) -> Iterator[Task]:
    tasks = _map(_map(component.get("dag")).get("tasks"))
    for key in _in_order(tasks):
        reference = str(_map(_map(tasks[key]).get("componentRef")).get("name"))
        found = _map(_map(spec.get("components")).get(reference))
        if not found or reference in inside:
            raise Malformed(f"task {'/'.join((*path, key))}: component {reference} is missing or contains itself")
        if "dag" in found:
            yield from _tasks(spec, found, (*path, key), (*inside, reference))
        else:
            yield Task((*path, key), str(found.get("executorLabel")))


def _in_order(tasks: Mapping[str, Any]) -> list[str]:
    """Return the tasks so that each follows those it depends on, else by name. Raises Malformed on a circle."""
    left = {key: {str(d) for d in _map(task).get("dependentTasks") or ()} for key, task in sorted(tasks.items())}
    done: list[str] = []
    while left:
        free = [key for key, needs in left.items() if not needs & left.keys()]
        if not free:
            raise Malformed(f"the tasks {', '.join(left)[:200]} depend on each other")
        done += free
        left = {key: needs for key, needs in left.items() if key not in free}
    return done


def _inputs(package: KfpPackage) -> Mapping[str, Any]:
    return _map(_map(_map(package.spec["root"]).get("inputDefinitions")).get("parameters"))


def _parameter(name: str, one: Spec) -> PackageParameter:
    kind = TYPES.get(str(one.get("parameterType")))
    if kind is None:
        raise Malformed(f"parameter {name} is of type {one.get('parameterType')}, which a pipeline cannot take")
    default = one.get("defaultValue")
    if kind == "Integer" and isinstance(default, float) and default.is_integer():
        default = int(default)  # the compiler writes every number as a double
    if default is not None and (found := mismatch(kind, default)):
        raise Malformed(f"the default of parameter {name} is of type {found}, not {kind}")
    optional = bool(one.get("isOptional"))
    description = str(one.get("description") or "")[:1024]
    return PackageParameter(name=name, type=kind, default=default, description=description, optional=optional)


def _too_large(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_too_large(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(_too_large(inner) for inner in value)
    return isinstance(value, int) and abs(value) > MOST_EXACT


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

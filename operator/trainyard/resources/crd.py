"""The CustomResourceDefinitions: `python -m trainyard.resources.crd [--check]`.

Writes `crds/` and the chart's copies from the models; `--check` only compares, and exits 1 where they differ.
Called by `make generate`, `make verify`, the commit hook and the tests.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from trainyard.naming import GROUP, VERSION
from trainyard.resources.base import MAX_NAME, MAX_PIPELINE_NAME
from trainyard.resources.model_version import ModelVersionSpec, ModelVersionStatus
from trainyard.resources.rollout import RolloutSpec, RolloutStatus
from trainyard.resources.schema import Schema, structural
from trainyard.resources.training_pipeline import TrainingPipelineSpec, TrainingPipelineStatus
from trainyard.resources.training_run import TrainingRunSpec, TrainingRunStatus

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("crds", "charts/trainyard/files/crds")
NAME_RULE = "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')"
NAME_SENTENCE = (
    "metadata.name must begin with a lower case letter, go on with lower case letters, digits and '-', "
    "and not end with '-' (Services are named after it)"
)


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; `wide` ones only show with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Kind:
    """What a CustomResourceDefinition says beside the schema of its models; `scale`: paths of that subresource."""

    kind: str
    short: str
    description: str
    spec: type[BaseModel]
    status: type[BaseModel]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = (".spec.model",)
    max_name: int = MAX_NAME
    scale: Mapping[str, str] = field(default_factory=dict)

    @property
    def plural(self) -> str:
        """Name of the collection, as kubectl and RBAC have it."""
        return f"{self.kind.lower()}s"


def _condition(type_: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{type_}")].{field}'


MODEL = Column("Model", ".spec.model", description="The model.")
READY = Column("Ready", _condition("Ready", "status"), description="Whether it is ready.")
REASON = Column("Reason", _condition("Ready", "reason"), description="Why, in one word.")
MESSAGE = Column("Message", _condition("Ready", "message"), description="Why, in a sentence.", wide=True)
AGE = Column("Age", ".metadata.creationTimestamp", "date", "How long it has been there.")

KINDS = (
    Kind(
        kind="TrainingPipeline",
        short="typ",
        description="How and when a model is trained: engine, parameters, data, compute, triggers and gate.",
        spec=TrainingPipelineSpec,
        status=TrainingPipelineStatus,
        columns=(
            MODEL,
            READY,
            REASON,
            Column("Last Run", ".status.lastRun", description="The newest TrainingRun."),
            Column("Latest Version", ".status.latestVersion", description="The newest Ready ModelVersion."),
            Column("Next Slot", ".status.schedules[*].next", description="When a schedule is due next, in UTC."),
            Column("Suspend", ".spec.suspend", "boolean", "Whether triggers are off.", wide=True),
            MESSAGE,
            AGE,
        ),
        max_name=MAX_PIPELINE_NAME,
    ),
    Kind(
        kind="TrainingRun",
        short="tyrun",
        description="One execution of a TrainingPipeline, and the audit record of it.",
        spec=TrainingRunSpec,
        status=TrainingRunStatus,
        columns=(
            Column("Pipeline", ".spec.pipeline", description="The TrainingPipeline."),
            Column("Succeeded", _condition("Succeeded", "status"), description="Unknown while it runs."),
            Column("Reason", _condition("Succeeded", "reason"), description="How it ended, or where it is."),
            Column("Version", ".status.modelVersion", description="The ModelVersion made from it."),
            Column("Trigger", ".spec.trigger.type", description="Why it exists.", wide=True),
            Column("Attempt", ".status.attempt", "integer", "Which attempt.", wide=True),
            Column("Message", _condition("Succeeded", "message"), description="Why, in a sentence.", wide=True),
            AGE,
        ),
        selectable=(".spec.pipeline",),
    ),
    Kind(
        kind="ModelVersion",
        short="tyv",
        description="One immutable model: its bytes, where it came from, and whether it may serve.",
        spec=ModelVersionSpec,
        status=ModelVersionStatus,
        columns=(
            MODEL,
            READY,
            REASON,
            Column("Run", ".spec.source.run", description="The TrainingRun that made it."),
            Column("Served By", ".status.servedBy", description="Rollouts that send it traffic."),
            Column("Holds", ".status.holds", description="The aliases that it holds."),
            Column("Digest", ".spec.artifact.digest", description="The artifact's digest.", wide=True),
            MESSAGE,
            AGE,
        ),
    ),
    Kind(
        kind="Rollout",
        short="tyro",
        description="How a model's versions take traffic: serving, canary, analysis, promotion and rollback.",
        spec=RolloutSpec,
        status=RolloutStatus,
        columns=(
            Column("Stable", ".status.stable.version", description="What serves all other traffic."),
            Column("Canary", ".status.canary.version", description="What is being tried."),
            Column("Weight", ".status.weight", "integer", "The canary's share in percent."),
            READY,
            REASON,
            Column("Waiting For", ".status.waitingFor", description="What it waits for.", wide=True),
            Column("Step", ".status.step", "integer", "The running step, counted from 0.", wide=True),
            MESSAGE,
            AGE,
        ),
        scale={
            "specReplicasPath": ".spec.target.kubernetes.serving.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    ),
)


def manifest(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind."""
    singular = kind.kind.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "trainyard"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": singular,
                "shortNames": [kind.short],
                "categories": ["trainyard"],
            },
            "versions": [_version(kind)],
        },
    }


def _version(kind: Kind) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}, **({"scale": dict(kind.scale)} if kind.scale else {})},
        "selectableFields": [{"jsonPath": path} for path in kind.selectable],
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": _root(kind)},
    }


def _column(column: Column) -> dict[str, Any]:
    drawn = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    return {**drawn, "priority": 1} if column.wide else drawn


def _root(kind: Kind) -> Schema:
    """Return the schema of a whole object. The bound on `metadata.name` keeps the cost of its CEL rules finite."""
    return {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
            "kind": {"type": "string", "description": kind.kind},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": structural(kind.spec),
            "status": structural(kind.status, defaults=False),
        },
        "x-kubernetes-validations": [
            {"rule": NAME_RULE, "message": NAME_SENTENCE, "fieldPath": ".metadata.name"},
            {
                "rule": f"self.metadata.name.size() <= {kind.max_name}",
                "message": f"metadata.name may be at most {kind.max_name} characters long (children add to it)",
                "fieldPath": ".metadata.name",
            },
        ],
    }


class _Plain(yaml.SafeDumper):
    """YAML without anchors: a schema that is used twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the parent's signature
        return True


@cache
def _texts() -> Mapping[str, str]:
    """Return file name -> text; to write YAML takes half a second a kind, so it is done once."""
    return {
        f"{GROUP}_{kind.plural}.yaml": "# Made by `make generate` from operator/trainyard/resources: edit the models.\n"
        + yaml.dump(manifest(kind), Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)
        for kind in KINDS
    }


def rendered() -> dict[Path, str]:
    """Return what belongs into each generated file."""
    return {ROOT / folder / name: text for folder in FOLDERS for name, text in _texts().items()}


def stale() -> list[Path]:
    """Return the generated files that differ from the models, and those that no model makes."""
    wanted = rendered()
    differing = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    present = (path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*")))
    return differing + [path for path in present if path not in wanted]


def main() -> int:
    """Write the files, or compare them; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args().check
    for path in stale():
        print(f"{'differs' if check else 'written'}: {path.relative_to(ROOT)}")
        if not check:
            _put(path)
    return 1 if check and stale() else 0


def _put(path: Path) -> None:
    text = rendered().get(path)
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    raise SystemExit(main())

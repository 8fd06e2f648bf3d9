"""Every piece of a manifest that the pages show is taken by the API server, and by the rooms that judge it after."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.golden.rollout.manifests import CONFIG, rollout
from tests.rig.kinds import Api, Obj, full
from trainyard.resources.rollout import Rollout
from trainyard.rollout import freeze, questions

pytestmark = pytest.mark.rig
ROOT = Path(__file__).parents[2]
# The first word of a piece: where it belongs in an object of which kind.
BELONGS = {
    "metrics": ("Rollout", ("spec", "analysis")),
    "freeze": ("Rollout", ("spec",)),
    "triggers": ("TrainingPipeline", ("spec",)),
    "engine": ("TrainingPipeline", ("spec",)),
    "spec": ("TrainingPipeline", ()),
    "modelOutput": ("TrainingPipeline", ("spec", "engine", "kubeflow")),
}


def pieces() -> Iterator[Any]:
    """Yield each YAML block of the pages."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)):
            yield pytest.param(block, id=f"{page.stem}-{number}")


PIECES = list(pieces())


def placed(piece: Mapping[str, Any]) -> Obj:
    """Return a whole object around a piece of one."""
    kind, path = BELONGS[next(iter(piece))]
    obj = rollout() if kind == "Rollout" else full(kind)[0]
    made: Obj = {**obj, "metadata": {"name": "documented", "namespace": "default"}}
    made.pop("status", None)
    at = made
    if "kubeflow" in path:
        made["spec"] = {
            **made["spec"],
            "engine": {"kubeflow": {"package": {"artifact": "s3://trainyard/data/churn.yaml"}}},
        }
    for word in path:
        at[word] = dict(at.get(word, {}))
        at = at[word]
    for word, value in piece.items():
        at[word] = {**at[word], **value} if word == "spec" else value
    return made


def test_there_are_some() -> None:
    assert len(PIECES) >= 4


@pytest.mark.parametrize("block", PIECES)
def test_it_is_taken(block: str, api: Api) -> None:
    obj = placed(yaml.safe_load(block))
    api.create(obj, dry=True)
    if obj["kind"] == "Rollout":
        spec = Rollout.model_validate(obj).spec
        assert questions.problem(spec.analysis, CONFIG) is None
        assert freeze.problem(spec.freeze) == ""

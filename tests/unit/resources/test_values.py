"""Values that are nested too deeply are refused with a sentence, by every kind that takes values."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tests.golden.training.world import SPEC
from tests.rig.fuzz.values import deep
from trainyard.resources.training_run import TrainingRunStatus
from trainyard.resources.values import MOST_LEVELS, AnyJson, is_too_deep
from trainyard.systems.cluster.reading import DEEPEST
from trainyard.training_pipeline import observe as pipelines
from trainyard.training_run import observe as runs

META = {"name": "it", "namespace": "ns", "uid": "u"}
TOLD = f"is nested too deeply: at most {MOST_LEVELS} levels are taken."


def lists(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [0, value]
    return value


@pytest.mark.parametrize("made", [deep, lists])
def test_levels_are_counted(made: Any) -> None:
    assert not is_too_deep(made(0))
    assert not is_too_deep(made(MOST_LEVELS))
    assert is_too_deep(made(MOST_LEVELS + 1))
    assert is_too_deep(made(9_000))
    assert not is_too_deep("x" * 1_000)
    assert TypeAdapter(AnyJson).validate_python(made(MOST_LEVELS)) == made(MOST_LEVELS)
    with pytest.raises(ValidationError):
        TypeAdapter(AnyJson).validate_python(made(MOST_LEVELS + 1))


@pytest.mark.parametrize("levels", [MOST_LEVELS + 1, DEEPEST])
def test_a_run_says_that_a_parameter_is_too_deep(levels: int) -> None:
    spec = {"pipeline": "churn", "parameters": {"epochs": 1, "shape": deep(levels)}}
    assert runs.read({"metadata": META, "spec": spec}).problem == f"spec.parameters: Value error, shape {TOLD}"


@pytest.mark.parametrize(
    ("more", "place"),
    [
        (
            {"parameters": [{"name": "a", "type": "Struct", "default": deep(100)}]},
            "parameters.0.default: Value error, it",
        ),
        (
            {"triggers": {"schedules": [{"name": "a", "cron": "@daily", "parameters": {"b": deep(100)}}]}},
            "triggers.schedules.0.parameters: Value error, b",
        ),
    ],
)
def test_a_pipeline_says_that_a_value_is_too_deep(more: dict[str, Any], place: str) -> None:
    assert pipelines.read({"metadata": META, "spec": {**SPEC, **more}}).problem == f"spec.{place} {TOLD}"


def test_a_status_that_holds_a_deep_value_is_not_lost() -> None:
    """Older operators took more levels; and a row that waits holds the parameters some levels deeper."""
    kept = {"parameters": {"shape": deep(100)}, "unrecorded": [{"data": {"shape": deep(100)}}]}
    assert TrainingRunStatus.model_validate(kept).parameters == kept["parameters"]

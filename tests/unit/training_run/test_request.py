"""What a run asks an engine for: the parameters it is given, and the revision of its pipeline."""

from typing import Any

import pytest

from tests.golden.training.world import SPEC
from tests.unit.training_run.making import STATE
from trainyard import naming
from trainyard.resources.pipeline_revision import state_of
from trainyard.resources.training_pipeline import Parameter, TrainingPipelineSpec
from trainyard.resources.training_run import TrainingRunSpec, TrainingRunStatus
from trainyard.training_run import parameters, reasons, sources

DECLARED = tuple(
    Parameter.model_validate(p)
    for p in (
        {"name": "epochs", "type": "Integer"},
        {"name": "rate", "type": "Double", "default": 0.5},
        {"name": "off", "type": "Boolean", "default": False},
    )
)


def test_parameters_are_completed_with_defaults() -> None:
    assert parameters.problem(DECLARED, {"epochs": 3}) == ""
    assert parameters.complete(DECLARED, {"epochs": 3}) == {"epochs": 3, "rate": 0.5, "off": False}


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ({}, "epochs has no default and no value"),
        ({"epochs": None}, "epochs is null, not an Integer"),
        ({"epochs": True}, "epochs is a Boolean, not an Integer"),
        ({"epochs": 1.5}, "epochs is a Double, not an Integer"),
        ({"epochs": 1, "rate": True}, "rate is a Boolean, not a Double"),
        ({"epochs": 1, "off": 0}, "off is an Integer, not a Boolean"),
    ],
)
def test_wrong_parameters(given_: Any, sentence: str) -> None:
    assert parameters.problem(DECLARED, given_) == f"Parameters: {sentence}."


def pipeline(generation: int = 1, **status: Any) -> dict[str, Any]:
    return {"metadata": {"generation": generation}, "status": status}


def conditions(status: str) -> list[dict[str, str]]:
    return [{"type": "Accepted", "status": status}]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, reasons.PIPELINE_NOT_FOUND),
        (pipeline(), reasons.PIPELINE_NOT_SEEN),
        (pipeline(2, observedGeneration=1, conditions=conditions("True"), revision="r"), reasons.PIPELINE_NOT_SEEN),
        (pipeline(1, observedGeneration=1, conditions=conditions("False")), reasons.PIPELINE_NOT_ACCEPTED),
        (pipeline(1, observedGeneration=1, conditions=conditions("True")), reasons.PIPELINE_NOT_SEEN),
        (pipeline(1, observedGeneration=1, conditions=conditions("True"), revision="r"), ""),
    ],
)
def test_the_present_revision(found: Any, reason: str) -> None:
    named = sources.revision_name(TrainingRunSpec(pipeline="churn"), TrainingRunStatus(), found)
    assert (named.reason, named.revision) == (reason, None if reason else "r")


def test_a_revision_that_was_asked_for_or_resolved_stays() -> None:
    asked = TrainingRunSpec(pipeline="churn", revision="churn-a")
    assert sources.revision_name(asked, TrainingRunStatus(revision="churn-b"), None).revision == "churn-a"
    resolved = TrainingRunStatus(revision="churn-b")
    assert sources.revision_name(TrainingRunSpec(pipeline="churn"), resolved, None).revision == "churn-b"


def test_a_revision_is_read_only_where_it_is_what_its_name_says() -> None:
    assert sources.read("churn", "churn-x", None).reason == reasons.REVISION_NOT_FOUND
    assert sources.read("churn", "churn-x", {"data": {"model": "m"}}).reason == reasons.REVISION_UNREADABLE
    odd = {"model": "m", "engine": {"airflow": {}}}
    told = sources.read("churn", naming.pipeline_revision("churn", odd), {"data": odd})
    assert (told.reason, told.state) == (reasons.REVISION_UNREADABLE, None)
    state = state_of(TrainingPipelineSpec.model_validate(SPEC))
    assert sources.read("churn", naming.pipeline_revision("churn", state), {"data": state}).state == STATE

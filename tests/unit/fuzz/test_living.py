"""Mutations that are made to live keep what was changed."""

from typing import Any

import pytest

from tests.rig.fuzz.doors import Answer, Tally, problem
from tests.rig.fuzz.living import FIRST, PIPELINE, alive
from tests.rig.fuzz.values import MANY
from tests.rig.fuzz.walking import KINDS, Mutation, mutations
from tests.rig.kinds import full

ARTIFACT = {"uri": "s3://trainyard/fuzz/churn/1/", "digest": "sha256:0", "format": "SavedModel"}


def change(kind: str, *path: str | int, value: Any = 1, what: str = "") -> Mutation:
    return Mutation(full(kind)[0], path, ".".join(map(str, path)), what, value)


def test_a_rollout_serves_a_version_that_is_there_under_a_host_of_its_own() -> None:
    spec = alive(change("Rollout", "spec", "rollbackWindow"), "f1", ARTIFACT)["spec"]
    assert spec["version"] == {"name": FIRST}
    assert spec["target"]["kubernetes"]["traffic"]["hostnames"] == ["f1.test"]
    assert (spec["paused"], spec["rollbackWindow"]) == (False, 1)
    assert "freeze" not in spec
    assert "action" not in spec


def test_a_run_is_of_a_pipeline_that_is_there_and_is_not_cancelled() -> None:
    spec = alive(change("TrainingRun", "spec", "description", value="x"), "f1", ARTIFACT)["spec"]
    assert (spec["pipeline"], spec["cancel"], spec["description"]) == (PIPELINE, False, "x")
    assert "cancelledBy" not in spec


def test_a_version_lies_in_the_store_and_is_of_a_model_of_its_own() -> None:
    spec = alive(change("ModelVersion", "spec", "createdAt"), "f1", ARTIFACT)["spec"]
    assert (spec["model"], spec["artifact"]) == ("model-f1", ARTIFACT)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_changed_stays_changed(kind: str) -> None:
    """Where an edit meets the mutation the mutation wins; on spec as a whole too."""
    for mutation in list(mutations(kind, everywhere=False))[::41]:
        if mutation.what == MANY:
            continue
        lived: Any = alive(mutation, "f1", ARTIFACT)
        meant: Any = mutation.body()
        for step in mutation.path[:-1]:
            lived, meant = lived[step], meant[step]
        last = mutation.path[-1]
        missing = isinstance(meant, dict) and last not in meant
        assert (last not in lived) if missing else isinstance(meant, list) or lived[last] == meant[last], str(mutation)


def answered(code: int, message: str = "a sentence that is long enough", *fields: str) -> Answer:
    return Answer(code, message, fields, {})


def test_answers_are_judged() -> None:
    steps = change("Rollout", "spec", "strategy", "canary", "steps", 0, "setWeight")
    many = change("Rollout", "spec", "strategy", what=MANY)
    assert steps.field == "spec.strategy.canary.steps[0].setWeight"
    assert problem(steps, answered(201, "")) == ""
    assert problem(steps, answered(422, "says so", "spec.strategy.canary.steps[0]")) == ""
    assert problem(steps, answered(422, "says so", "spec.model")) != ""
    assert problem(steps, answered(422, "rule evaluation error: no such key", "spec.strategy")) != ""
    assert problem(steps, answered(400)) == problem(steps, answered(413)) == ""
    assert problem(steps, answered(400, "")) != ""
    assert problem(steps, answered(500)) != ""
    assert problem(steps, answered(504)) != ""
    assert problem(many, answered(504)) == ""


def test_a_tally_tells_by_kind() -> None:
    tally = Tally()
    for what in ("taken", "taken", "refused"):
        tally.count("Rollout", what)
    assert str(tally) == "  Rollout: 1 refused, 2 taken"

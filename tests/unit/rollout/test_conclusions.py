"""What an experiment's verdict does with the canary, and what it waits for meanwhile."""

from dataclasses import replace
from typing import Any

import pytest

from tests.golden.rollout.stories import ERRORS, MEASURED
from tests.unit.rollout.making import NOW, revision, situation
from trainyard.resources.rollout import Freeze
from trainyard.rollout import decide, measured, status, steps
from trainyard.rollout.experiment import Verdict
from trainyard.rollout.situation import Situation
from trainyard.rollout.times import stamp

GUARDED: dict[str, Any] = MEASURED | {
    "metrics": [
        {"name": "slow", "builtin": "SlowShare", "slowerThanSeconds": "1", "margin": "0.1", "sequential": {}},
        ERRORS[0],
    ]
}


def under_way(verdict: Verdict | None, passing: bool = True, **experiment: Any) -> Situation:
    """An experiment that runs, with this verdict."""
    strategy = {"experiment": {"share": 20, "durationSeconds": 600, "decideOn": "slow", **experiment}}
    at = stamp(NOW)
    told = {
        "stable": revision("v1"), "canary": revision("v2"), "weight": 20, "routed_weight": 20, "step": 1,
        "step_started_time": at, "canary_started_time": at,
    }  # fmt: skip
    s = situation(told, spec={"strategy": strategy, "analysis": GUARDED})
    s = s.thinking_of(ladder=steps.ladder(s.steps))
    return replace(s, progress=replace(s.progress, decision=verdict, passing=passing))


SHOWN = Verdict("Shown", "HypothesisShown", "slow is better")
HARMFUL = Verdict("Harmful", "Harmful", "slow is worse")
NOT_SHOWN = Verdict("NotShown", "TimeOver", "600 s are over")
OPEN = Verdict("Undecided", "TooFewPerArm", "1000 in each arm")


@pytest.mark.parametrize(
    ("verdict", "passing", "spec", "outcome"),
    [
        (SHOWN, True, {}, "Promoted"),
        (SHOWN, False, {}, None),
        (SHOWN, True, {"then": "Hold"}, None),
        (HARMFUL, False, {"then": "Hold", "otherwise": "Hold"}, "Aborted"),
        (NOT_SHOWN, True, {}, "Aborted"),
        (NOT_SHOWN, True, {"otherwise": "Hold"}, None),
        (OPEN, True, {}, None),
        (None, True, {}, None),
    ],
)
def test_what_a_verdict_does(verdict: Verdict | None, passing: bool, spec: dict[str, Any], outcome: str | None) -> None:
    move = measured.conclude_experiment(under_way(verdict, passing, **spec))
    ending = move.status.ending if move else None
    assert (ending.outcome if ending else None) == outcome
    if move and outcome == "Promoted":
        assert move.status.weight == 100
    assert decide.advance(under_way(verdict, passing, **spec)) is None, "it never ends like a pause"


@pytest.mark.parametrize(
    ("verdict", "spec", "reason", "words"),
    [
        (None, {}, "Experiment", "the first measurements"),
        (OPEN, {}, "TooFewPerArm", "1000 in each arm"),
        (SHOWN, {}, "HypothesisShown", "the other metrics to pass"),
        (SHOWN, {"then": "Hold"}, "HypothesisShown", "a person: slow is better; trainyard promote churn, or abort"),
        (NOT_SHOWN, {"otherwise": "Hold"}, "TimeOver", "a person: 600 s are over"),
    ],
)
def test_what_it_waits_for(verdict: Verdict | None, spec: dict[str, Any], reason: str, words: str) -> None:
    s = under_way(verdict, **spec)
    waits = status._for_experiment(s)
    assert waits.reason == reason
    assert waits.sentence.startswith(words)


# All day, every day.
ALWAYS = {"name": "always", "cron": "0 0 * * *", "durationSeconds": 86_400}


@pytest.mark.parametrize(
    ("verdict", "outcome"), [(SHOWN, None), (HARMFUL, "Aborted"), (NOT_SHOWN, "Aborted"), (OPEN, None)]
)
def test_in_a_freeze_window_it_only_goes_back(verdict: Verdict, outcome: str | None) -> None:
    s = under_way(verdict)
    spec = s.rollout.spec.model_copy(update={"freeze": (Freeze.model_validate(ALWAYS),)})
    frozen = replace(s, rollout=s.rollout.model_copy(update={"spec": spec}))
    assert frozen.frozen == "always"
    move = measured.conclude_experiment(frozen)
    assert (move.status.ending.outcome if move and move.status.ending else None) == outcome


@pytest.mark.parametrize(("verdict", "outcome"), [(SHOWN, None), (HARMFUL, "Aborted"), (NOT_SHOWN, None), (OPEN, None)])
def test_one_that_a_freeze_window_keeps_from_beginning_is_not_over(verdict: Verdict, outcome: str | None) -> None:
    s = under_way(verdict).thinking_of(ladder=("setWeight 20", "pause"))
    spec = s.rollout.spec.model_copy(update={"freeze": (Freeze.model_validate(ALWAYS),)})
    move = measured.conclude_experiment(replace(s, rollout=s.rollout.model_copy(update={"spec": spec})))
    assert (move.status.ending.outcome if move and move.status.ending else None) == outcome


def test_a_verdict_says_nothing_once_the_end_is_decided() -> None:
    s = under_way(HARMFUL).thinking_of(routed_weight=0)
    assert measured.conclude_experiment(s) is None, "the share is not on the route"

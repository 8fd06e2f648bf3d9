"""What an experiment says: shown, harmful, not shown, undecided; and when nothing may be said."""

from typing import Any

import pytest

from tests.unit.rollout.making import NOW
from tests.unit.rollout.making_blocks import Pattern, blocks, metric, ratio
from trainyard.resources.rollout import Analysis
from trainyard.resources.rollout_strategy import Experiment
from trainyard.rollout import analysis, experiment
from trainyard.rollout.blocks import Blocks
from trainyard.rollout.experiment import Verdict
from trainyard.rollout.state import Measurement
from trainyard.systems.prometheus.port import Answer

SAME: Pattern = ((15, 150), (13, 150), (17, 150))
BETTER: Pattern = ((25, 150), (23, 150), (27, 150))
POORER: Pattern = ((5, 150), (3, 150), (7, 150))
CONTROL: Pattern = ((85, 850), (80, 850), (90, 850))
CLICKS = ratio(margin="0.01")
SPEC = Analysis(interval_seconds=30, metrics=(CLICKS,))


def told(**fields: Any) -> Experiment:
    base = {"share": 15, "durationSeconds": 3600, "minPerArm": 1000, "decideOn": "clicks"}
    return Experiment.model_validate(base | fields)


def verdict(canary: Pattern, count: int = 60, seconds: float = 600.0, **fields: Any) -> Verdict:
    return experiment.decide(told(**fields), SPEC, CLICKS, blocks(canary, CONTROL, count), seconds)


NON_INFERIOR = {"hypothesis": "NonInferior", "margin": "0.03"}


@pytest.mark.parametrize(
    ("canary", "fields", "wanted"),
    [
        (BETTER, {}, ("Shown", "HypothesisShown", "clicks is better than stable by more than 0")),
        (BETTER, {"margin": "0.01"}, ("Shown", "HypothesisShown", "clicks is better than stable by more than 0.01")),
        (BETTER, {"margin": "0.08"}, ("Undecided", "Undecided", "clicks to tell")),
        (SAME, {}, ("Undecided", "Undecided", "clicks to tell")),
        (POORER, {}, ("Harmful", "Harmful", "clicks is worse than stable by more than 0")),
        (POORER, {"margin": "0.02"}, ("Harmful", "Harmful", "clicks is worse than stable by more than 0")),
        (SAME, NON_INFERIOR, ("Shown", "HypothesisShown", "clicks is not worse than stable by as much as 0.03")),
        (POORER, NON_INFERIOR, ("Harmful", "Harmful", "clicks is worse than stable by more than 0.03")),
    ],
)
def test_the_hypothesis_is_held_against_the_bounds(
    canary: Pattern, fields: dict[str, Any], wanted: tuple[str, str, str]
) -> None:
    found = verdict(canary, 200 if fields else 60, **fields)
    assert (found.word, found.reason, found.sentence) == wanted


def test_when_time_is_over_nothing_was_shown() -> None:
    over = verdict(SAME, seconds=3600.0)
    assert (over.word, over.reason) == ("NotShown", experiment.TIME_OVER)
    assert over.sentence == "3600 s are over, and superior was not shown"
    assert verdict(SAME, seconds=3599.0).word == "Undecided"
    assert verdict(BETTER, seconds=3600.0).word == "Shown"
    assert "not inferior" in verdict(SAME, seconds=3600.0, hypothesis="NonInferior", margin="0.001").sentence


def test_nothing_is_said_before_each_arm_has_enough() -> None:
    few = verdict(BETTER, minPerArm=9001)
    assert (few.word, few.reason, few.sentence) == ("Undecided", experiment.TOO_FEW, "9001 in each arm")
    assert verdict(BETTER, minPerArm=9000).word == "Shown"
    assert verdict(POORER, minPerArm=9001).word == "Undecided"
    assert verdict(BETTER, minPerArm=9001, seconds=3600.0).word == "NotShown"


@pytest.mark.parametrize("found", [Blocks(failure="cannot be reached"), Blocks(unusable="x"), None])
def test_without_data_it_goes_on_whatever_the_time(found: Blocks | None) -> None:
    said = experiment.decide(told(), SPEC, CLICKS, found, 5000.0)
    assert (said.word, said.reason) == ("Undecided", experiment.NO_DATA)


def test_outcomes_that_nobody_counts_show_nothing() -> None:
    """A misspelt `good` is 0 in both arms: nothing would be less inferior."""
    none = blocks(((0, 100),), ((0, 1000),), 60, parts=(False, False))
    said = experiment.decide(told(**NON_INFERIOR), SPEC, CLICKS, none, 5000.0)
    assert (said.word, said.reason) == ("Undecided", experiment.NO_DATA)


def test_without_any_request_it_ends_by_its_time() -> None:
    nobody = blocks(((0, 0),), CONTROL, 60)
    assert experiment.decide(told(share=1), SPEC, CLICKS, nobody, 60.0).word == "Undecided"
    alone = blocks(SAME, ((0, 0),), 60, seen=None)
    assert experiment.decide(told(), SPEC, CLICKS, alone, 5000.0).reason == experiment.NO_DATA


def test_requests_that_are_split_otherwise_than_declared_prove_nothing() -> None:
    for seconds in (600.0, 5000.0):
        off = verdict(BETTER, share=2, seconds=seconds)
        assert (off.word, off.reason) == ("Undecided", "SampleRatioMismatch")
        assert off.sentence == "requests to be split as declared: 2 of a hundred for the new revision"
    assert not experiment.is_mismatched(blocks(((0, 0),), ((0, 0),), 60), 0.15)
    assert not experiment.is_mismatched(blocks(BETTER, CONTROL, 20), 0.5)  # too early to tell


@pytest.mark.parametrize(("share", "off"), [(0.5, 0.08), (0.15, 0.06), (0.02, 0.02)])
def test_the_luck_of_a_draw_of_few_people_is_no_mismatch(share: float, off: float) -> None:
    dealt = share + off
    assert not experiment.is_mismatched(blocks(((0, 1000 * dealt),), ((0, 1000 * (1 - dealt)),), 900), share)
    wrong = share + 2 * off
    assert experiment.is_mismatched(blocks(((0, 1000 * wrong),), ((0, 1000 * (1 - wrong)),), 900), share)


# ---- beside the guardrails ----


def measured(found: Blocks, running: Experiment | None) -> dict[str, tuple[str, str, int]]:
    guard = metric(name="errors", margin="0.01")
    spec = Analysis(interval_seconds=30, metrics=(CLICKS, guard))
    said = Measurement(1, NOW, Answer(), {}, blocks={"clicks": found, "errors": found})
    statuses = analysis.measured(spec, said, "c", "s", (), NOW, experiment=running)
    return {s.name: (s.verdict, s.reason, s.failures) for s in statuses}


def test_the_deciding_metric_never_fails_and_guardrails_do() -> None:
    harmful = measured(blocks(POORER, CONTROL, 60), told())
    assert harmful["clicks"] == ("Inconclusive", "WorseThanMargin", 0)
    assert measured(blocks(POORER, CONTROL, 60), None)["clicks"] == ("Fail", "WorseThanMargin", 1)
    assert measured(blocks(BETTER, CONTROL, 60), told())["clicks"][0] == "Pass"
    assert measured(blocks(BETTER, CONTROL, 60), told())["errors"] == ("Fail", "WorseThanMargin", 1)

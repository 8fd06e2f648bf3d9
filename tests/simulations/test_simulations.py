"""Controlled error (scenarios 22 and 23): a small form in seconds, and the full form of a thousand rollouts each.

The seeds are fixed, so a failure here is a change of the code. Bounds: alpha itself for a thousand equal
revisions; elsewhere alpha and three standard deviations of the binomial, as `studies.most` says.
"""

import math

import pytest

from tests.simulations import studies
from tests.simulations.traffic import KINDS
from trainyard.rollout import sequential

FEW, MANY = 8, 1000


@pytest.mark.parametrize("kind", KINDS)
def test_equal_revisions_are_rarely_told_apart(kind: str) -> None:
    assert studies.equal_revisions(kind, FEW).share("aborted") <= studies.most(studies.ALPHA, FEW)


@pytest.mark.parametrize("kind", ["independent", "users", "counter_resets"])
def test_a_worse_revision_is_found(kind: str) -> None:
    assert studies.worse_revision(kind, FEW).share("aborted") >= 0.9


def test_an_experiment_ends_as_it_should() -> None:
    better, worse, equal = (studies.experiment(effect, FEW // 2) for effect in (0.03, -0.03, 0.0))
    assert better.share("Shown") >= 0.75
    assert worse.share("Harmful") >= 0.75
    assert equal.share("NotShown") >= 0.75


def test_a_test_that_may_look_once_fails_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    """The studies can fail: 1.645 standard errors at every look tell equal revisions apart far too often."""
    monkeypatch.setattr(sequential, "reach", lambda told, alpha: 1.645 * math.sqrt(told.variance))
    assert studies.equal_revisions("independent", FEW).share("aborted") > studies.most(studies.ALPHA, FEW)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_equal_revisions(kind: str) -> None:
    assert studies.equal_revisions(kind, MANY).share("aborted") <= studies.ALPHA


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_two_hundred_ladders_of_equals(kind: str) -> None:
    assert studies.equal_on_a_ladder(kind, MANY // 5).share("aborted") <= studies.ALPHA


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_power_at_the_declared_effect(kind: str) -> None:
    assert studies.worse_revision(kind, MANY // 5).share("aborted") >= 0.9


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("effect", "hypothesis", "end"),
    [(0.03, "Superior", "Shown"), (-0.03, "Superior", "Harmful"), (0.0, "NonInferior", "Shown")],
)
def test_power_of_experiments(effect: float, hypothesis: str, end: str) -> None:
    assert studies.experiment(effect, MANY // 5, hypothesis).share(end) >= 0.9


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_experiments_with_equals() -> None:
    equal = studies.experiment(0.0, MANY)
    assert equal.share("Shown") <= studies.most(studies.ALPHA, MANY)
    assert equal.share("Harmful") <= studies.most(studies.ALPHA, MANY)

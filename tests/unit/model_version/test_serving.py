from tests.unit.model_version.making import rollout
from trainyard.model_version.serving import serving_of
from trainyard.model_version.state import Serving


def test_stable_and_canary_both_serve() -> None:
    rollouts = (
        rollout("web", stable="churn-1"),
        rollout("app", stable="churn-0", canary="churn-1"),
        rollout("other", stable="churn-0"),
    )
    assert serving_of("churn-1", rollouts) == Serving(served_by=("app", "web"))


def test_rejections_are_the_aborted_ones_of_this_version() -> None:
    aborted = (("churn-1", "errors 0.4 is above max 0.05"), ("churn-0", "slow"))
    found = serving_of("churn-1", (rollout("web", stable="churn-0", aborted=aborted),))
    assert found.served_by == ()
    assert [(r.rollout, r.revision, r.reason) for r in found.rejections] == [
        ("web", "0000000000", "errors 0.4 is above max 0.05")
    ]


def test_a_rollout_that_cannot_be_read_hurts_nobody() -> None:
    broken = {**rollout("bad", stable="churn-1"), "status": {"stable": "what"}}
    assert serving_of("churn-1", (broken, rollout("web", stable="churn-1"))).served_by == ("web",)
    assert serving_of("churn-1", ({"metadata": {"name": "new"}},)) == Serving()

"""An analysis step that nothing could ever pass is refused, not waited for."""

from typing import Any

import pytest

from tests.golden.rollout.stories import ERRORS, MEASURED
from tests.golden.rollout.stories_of_strategies import canary
from tests.unit.rollout.making import situation
from trainyard.rollout.admission import refusal

COMPARED = {"name": "compared", "builtin": "ErrorRate", "maxIncrease": "0.01"}
ALONE = ERRORS[0] | {"background": False}


@pytest.mark.parametrize(
    ("weight", "metrics", "named", "refused"),
    [
        (100, [COMPARED], [], "with all traffic on the canary"),
        (100, [COMPARED, ALONE], [], "with all traffic on the canary"),
        (100, [COMPARED, ALONE], ["errors"], ""),
        (99, [COMPARED], [], ""),
        (100, [ALONE], [], "there is no metric"),
    ],
)
def test_an_analysis_with_all_traffic_needs_a_metric_that_stands_alone(
    weight: int, metrics: list[dict[str, Any]], named: list[str], refused: str
) -> None:
    strategy = canary({"setWeight": weight}, {"analysis": {"count": 3, "metrics": named}})
    said = refusal(situation(spec={"strategy": strategy, "analysis": MEASURED | {"metrics": metrics}}))
    assert (said is not None) == bool(refused)
    assert said is None or (said[0] == "NothingToMeasure" and refused in said[1])

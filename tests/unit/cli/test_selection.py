"""Which runs `trainyard runs` shows."""

from datetime import UTC, datetime
from typing import Any

import pytest

from trainyard.cli import selection
from trainyard.cli.problem import Problem
from trainyard.cli.selection import Wanted

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def run(name: str, made: str, state: tuple[str, str] = ("Unknown", "Running"), **spec: Any) -> dict[str, Any]:
    conditions = [{"type": "Succeeded", "status": state[0], "reason": state[1]}] if state[1] else []
    return {
        "metadata": {"name": name, "creationTimestamp": made},
        "spec": {"pipeline": "churn", **spec},
        "status": {"conditions": conditions},
    }


RUNS = [
    run("a", "2026-03-01T11:00:00Z", ("True", "Succeeded"), trigger={"type": "Schedule", "name": "nightly"}),
    run("b", "2026-02-01T11:00:00Z", ("False", "OutOfMemory"), trigger={"type": "Event", "name": "new-data"}),
    run("c", "2026-02-28T11:00:00Z", requestedBy="ada"),
    run("d", "2026-03-01T11:59:00Z", ("", ""), pipeline="other", trigger={"type": "OneOff", "name": "eve"}),
    run("e", "2026-03-01T11:59:30Z", ("False", "Cancelled"), trigger={"type": "Change"}),
]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Wanted(), "abcde"),
        (Wanted(pipeline="other"), "d"),
        (Wanted(model="churn-model"), "abce"),
        (Wanted(model="nothing"), ""),
        (Wanted(trigger="schedule"), "a"),
        (Wanted(trigger="new-data"), "b"),
        (Wanted(trigger="Schedule nightly"), "a"),
        (Wanted(trigger="oneoff"), "cd"),
        (Wanted(state="running"), "cd"),
        (Wanted(state="Pending"), "d"),
        (Wanted(state="failed"), "be"),
        (Wanted(state="OutOfMemory"), "b"),
        (Wanted(state="succeeded"), "a"),
        (Wanted(by="ada"), "c"),
        (Wanted(by="eve"), "d"),
        (Wanted(since=selection.read_since("2h", NOW)), "ade"),
        (Wanted(since=selection.read_since("1w", NOW), state="running"), "cd"),
    ],
)
def test_filters(wanted: Wanted, names: str) -> None:
    models = {"churn": "churn-model", "other": "other-model"}
    assert "".join(r["metadata"]["name"] for r in selection.select(RUNS, wanted, models)) == names


def test_a_label_tells_the_model_of_a_run_whose_pipeline_is_gone() -> None:
    kept = run("k", "2026-03-01T11:00:00Z")
    kept["metadata"]["labels"] = {"trainyard.dev/model": "gone"}
    assert selection.select([kept], Wanted(model="gone"), {}) == [kept]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (None, None),
        ("90m", datetime(2026, 3, 1, 10, 30, tzinfo=UTC)),
        ("7d", datetime(2026, 2, 22, 12, 0, tzinfo=UTC)),
        ("2026-02-20", datetime(2026, 2, 20, tzinfo=UTC)),
        ("2026-02-20T06:00:00+02:00", datetime(2026, 2, 20, 4, 0, tzinfo=UTC)),
    ],
)
def test_since(text: str | None, moment: datetime | None) -> None:
    assert selection.read_since(text, NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "7", "-3h", "2026-13-01"])
def test_since_that_is_no_time(text: str) -> None:
    with pytest.raises(Problem, match="write a span"):
        selection.read_since(text, NOW)


def test_an_empty_list_tells_what_there_is() -> None:
    assert selection.none_of([], "in namespace 'shop'") == "No TrainingRun in namespace 'shop'."
    assert selection.none_of(RUNS, "in namespace 'shop'") == (
        "None of the 5 TrainingRuns in namespace 'shop' is meant. States: Cancelled, OutOfMemory, Pending, Running, "
        "Succeeded; triggers: Change, Event new-data, OneOff, Schedule nightly."
    )

"""The runner of parts: order, lanes, failures; and that the parts of a real start fit together."""

import threading
from pathlib import Path

import pytest

from local import up
from local.cluster import Cluster
from local.progress import Part, Runner


class Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def running(self, parts: dict[str, float]) -> None:
        pass


def test_a_part_runs_after_what_it_needs():
    ran: list[str] = []
    parts = [Part("b", lambda: ran.append("b"), needs=("a",)), Part("a", lambda: ran.append("a"))]
    assert not Runner(parts, Lines()).run().errors
    assert ran == ["a", "b"]


def test_what_stands_on_a_failed_part_is_skipped_and_the_rest_runs():
    def fail() -> None:
        raise RuntimeError("no disk")

    lines = Lines()
    parts = [
        Part("a", fail),
        Part("b", lambda: None, needs=("a",)),
        Part("c", lambda: None, needs=("b",)),
        Part("d", lambda: "fine"),
    ]
    outcome = Runner(parts, lines).run()
    assert list(outcome.errors) == ["a"]
    assert outcome.skipped == ["b", "c"]
    assert list(outcome.seconds) == ["d"]
    assert any(line.startswith("✗ a failed") and "no disk" in line for line in lines.lines)


def test_one_lane_runs_one_part_at_a_time_and_two_lanes_run_side_by_side():
    running: set[str] = set()
    together: list[set[str]] = []
    both = threading.Barrier(2)

    def work(name: str, meet: bool) -> None:
        running.add(name)
        together.append(set(running))
        if meet:
            both.wait(10)
        running.discard(name)

    parts = [
        Part("a1", lambda: work("a1", True), lane="a"),
        Part("a2", lambda: work("a2", False), lane="a"),
        Part("b1", lambda: work("b1", True), lane="b"),
    ]
    assert not Runner(parts, Lines()).run().errors
    assert not any({"a1", "a2"} <= seen for seen in together)


def test_a_need_that_nobody_makes_is_refused_and_not_waited_for():
    with pytest.raises(ValueError, match="nobody makes: ghost"):
        Runner([Part("a", lambda: None, needs=("ghost",))], Lines())


def test_the_parts_of_a_start_fit_together(tmp_path: Path):
    parts = up.parts(Cluster(tmp_path), up.available())
    names = [part.name for part in parts]
    assert len(names) == len(set(names))
    Runner(parts, Lines())
    reached: set[str] = set()
    while fresh := {part.name for part in parts if part.name not in reached and set(part.needs) <= reached}:
        reached |= fresh
    assert reached == set(names)

"""Conditions: what `merge` keeps and what it renews."""

import pytest

from trainyard.resources.conditions import condition, find, is_true, merge

BEFORE = "2026-11-24T02:00:00Z"
NOW = "2026-11-24T03:00:00Z"


@pytest.mark.parametrize(("given", "status"), [(True, "True"), (False, "False"), (None, "Unknown")])
def test_status_is_one_of_three_words(given: bool | None, status: str) -> None:
    assert condition("Ready", given, "Reason").status == status


def test_a_message_that_quotes_too_much_is_cut() -> None:
    assert len(condition("Accepted", False, "InvalidQuery", "x" * 5000).message) == 2048


def test_a_new_condition_gets_the_time_of_now() -> None:
    (made,) = merge([], [condition("Ready", True, "Up")], 3, NOW)
    assert (made.last_transition_time, made.observed_generation) == (NOW, 3)


def test_the_time_stays_while_the_status_does() -> None:
    first = merge([], [condition("Ready", True, "Up", "old words")], 1, BEFORE)
    (made,) = merge(first, [condition("Ready", True, "StillUp", "new words")], 2, NOW)
    assert (made.last_transition_time, made.reason, made.message) == (BEFORE, "StillUp", "new words")
    assert made.observed_generation == 2


def test_the_time_moves_with_the_status() -> None:
    first = merge([], [condition("Ready", True, "Up")], 1, BEFORE)
    (made,) = merge(first, [condition("Ready", None, "Up")], 1, NOW)
    assert made.last_transition_time == NOW


def test_what_is_not_said_any_more_is_gone() -> None:
    first = merge([], [condition("Ready", True, "Up"), condition("Paused", True, "Asked")], 1, BEFORE)
    merged = merge(first, [condition("Ready", True, "Up")], 1, NOW)
    assert find(merged, "Paused") is None


def test_merging_twice_changes_nothing() -> None:
    said = [condition("Ready", True, "Up"), condition("Stalled", False, "Fine")]
    once = merge([], said, 1, BEFORE)
    assert merge(once, said, 1, NOW) == once


def test_unknown_and_absent_are_not_true() -> None:
    said = merge([], [condition("A", True, "R"), condition("B", None, "R")], 1, NOW)
    assert [is_true(said, name) for name in ("A", "B", "C")] == [True, False, False]

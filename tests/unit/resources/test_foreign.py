"""Nothing that somebody else wrote makes these raise."""

import pytest

from trainyard.resources.foreign import condition_status, part, parts


@pytest.mark.parametrize("value", [None, "text", 7, [], {"a": "text"}, {"a": None}, {"a": [1]}])
def test_what_is_no_map_is_an_empty_one(value: object) -> None:
    assert part(value, "a") == {}
    assert part(value, "a", "b") == {}


def test_maps_and_the_maps_in_lists() -> None:
    assert part({"a": {"b": {"c": 1}}}, "a", "b") == {"c": 1}
    assert parts({"a": [{"b": 1}, "text", None, {"c": 2}]}, "a") == ({"b": 1}, {"c": 2})
    assert parts({"a": "text"}, "a") == parts("text", "a") == ()


@pytest.mark.parametrize("status", [None, "text", {"conditions": "Ready"}, {"conditions": ["Ready", {"type": 7}]}])
def test_a_condition_that_is_not_told_is_unknown(status: object) -> None:
    assert condition_status({"status": status}, "Ready") == "Unknown"


def test_a_condition_that_is_told() -> None:
    assert condition_status({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, "Ready") == "True"

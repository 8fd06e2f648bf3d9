from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.merging import merge_patch
from trainyard.reconciling.status import difference, normalised

values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
statuses = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)

# How long it takes to make up a status says how busy the machine is, no more.
busy = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


@busy
@given(statuses, statuses)
def test_the_patch_leads_to_what_is_wanted(live: dict[str, Any], wanted: dict[str, Any]) -> None:
    after = merge_patch(live, difference(live, wanted))
    assert normalised(after) == normalised(wanted)
    assert difference(after, wanted) == {}


@busy
@given(statuses)
def test_what_is_there_needs_no_patch(live: dict[str, Any]) -> None:
    assert difference(dict(reversed(live.items())), live) == {}


def test_absent_and_empty_are_the_same() -> None:
    assert difference({"a": [], "b": {"c": {}}}, {"d": None, "e": {}}) == {}
    assert difference(None, {"a": 0, "b": "", "c": False}) == {"a": 0, "b": "", "c": False}


def test_a_row_without_data_keeps_its_empty_field() -> None:
    assert difference({}, {"rows": [{"data": {}}]}) == {"rows": [{"data": {}}]}

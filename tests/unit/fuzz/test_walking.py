"""The generator of the schema fuzz itself: it reaches every property, changes one thing, and chooses the same again."""

from typing import Any

import pytest

from tests.rig.fuzz.values import GONE, HUGE_COUNT, HUGE_TEXT, MANY, changes, grown, made
from tests.rig.fuzz.walking import KINDS, Mutation, declared, mutations, touching_each_property
from tests.rig.kinds import full

ALL = {kind: list(mutations(kind, everywhere=False)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_every_property_is_reached(kind: str) -> None:
    reached = {m.place for m in ALL[kind]}
    assert declared(kind) - reached == set()
    assert {name for name in reached - declared(kind) if not name.startswith("metadata.")} == set()


@pytest.mark.parametrize("kind", KINDS)
def test_every_property_is_missing_once_and_of_a_wrong_type_once(kind: str) -> None:
    missing = {m.place for m in ALL[kind] if m.what == "missing"}
    wrong = {m.place for m in ALL[kind] if m.what in ("wrong type", "quantity -1", "value huge")}
    assert declared(kind) == missing == wrong


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_touches_each_property_and_is_the_same_again(kind: str) -> None:
    sample = touching_each_property(ALL[kind], 1)
    assert declared(kind) <= {m.place for m in sample}
    assert [str(m) for m in sample] == [str(m) for m in touching_each_property(ALL[kind], 1)]
    assert [str(m) for m in sample] != [str(m) for m in touching_each_property(ALL[kind], 2)]
    assert len(sample) < len(ALL[kind]) / 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutation_changes_one_thing_and_leaves_the_example_alone(kind: str) -> None:
    before = full(kind)
    for mutation in ALL[kind][::37]:
        body = mutation.body()
        assert body != mutation.base or mutation.what in ("minimum", "maximum", "zero"), str(mutation)
        others = {k: v for k, v in body.items() if k != mutation.path[0]}
        assert others == {k: v for k, v in mutation.base.items() if k != mutation.path[0]}
    assert all(m.base in before for m in ALL[kind])


def what(schema: dict[str, Any], value: Any) -> dict[str, Any]:
    return {name: made(new) for name, new in changes(schema, value)}


def test_numbers_meet_their_bounds_and_pass_them() -> None:
    found = what({"type": "integer", "minimum": 1, "maximum": 100}, 5)
    assert [found[name] for name in ("below the minimum", "minimum", "maximum", "above the maximum")] == [
        0,
        1,
        100,
        101,
    ]
    assert found["the largest"] == 2**63 - 1
    assert found["too large"] == 2**63
    assert found["missing"] is GONE


def test_texts_meet_their_lengths_and_pass_them() -> None:
    found = what({"type": "string", "minLength": 2, "maxLength": 10}, "abc")
    assert found["longest"] == "abxxxxxxxc"
    assert [len(found[name]) for name in ("too long", "too short", "empty", "huge")] == [11, 1, 0, HUGE_TEXT]
    assert grown("abcdef", 3) == "abc"


def test_an_enum_gets_each_other_word_and_an_unknown_one() -> None:
    found = what({"type": "string", "enum": ["Hold", "Abort"]}, "Hold")
    assert {name: word for name, word in found.items() if name.startswith("enum")} == {
        "enum Abort": "Abort",
        "enum unknown": "Sideways",
    }


def test_lists_have_names_of_their_own_where_names_matter() -> None:
    schema = {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    found = what(schema, [{"name": "a", "more": {"b": 1}}])
    assert [item["name"] for item in found["most"]] == ["a", "a1", "a2"]
    assert len(found["too many"]) == 4
    assert len({item["name"] for item in found[MANY]}) == HUGE_COUNT
    assert found["twice the same"] == [{"name": "a", "more": {"b": 1}}] * 2


def test_maps_get_strange_keys_and_too_many() -> None:
    found = what({"type": "object", "maxProperties": 2, "additionalProperties": {"type": "string"}}, {"a": "b"})
    assert [len(found[name]) for name in ("empty", "most", "too many", MANY)] == [0, 2, 3, HUGE_COUNT]
    assert found["key empty"] == {"": "b"}


def test_a_field_is_written_as_the_api_server_writes_it() -> None:
    base = {"kind": "Rollout", "metadata": {"name": "full"}, "spec": {"steps": [{"weight": 1}]}}
    mutation = Mutation(base, ("spec", "steps", 0, "weight"), "spec.steps[].weight", "missing", GONE)
    assert mutation.field == "spec.steps[0].weight"
    assert mutation.body()["spec"] == {"steps": [{}]}
    assert str(mutation) == "Rollout full spec.steps[0].weight: missing"

"""Pydantic models as structural schemas: what the API server refuses is translated, or stops the generator."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from trainyard.resources.base import ATOMIC, Model, Quantity, rules
from trainyard.resources.schema import UnsupportedSchemaError, structural


class Inner(Model):
    """An inner
    part.
    """

    model_config = ConfigDict(json_schema_extra=rules(("self.size > 0", "too small")))

    size: int = 3
    word: str = ""


def of(annotation: Any, field: Any = None) -> dict[str, Any]:
    """Return the schema of one field of that type."""
    made = type("Probe", (Model,), {"__annotations__": {"probe": annotation}, "probe": field or Field()})
    schema: dict[str, Any] = structural(made)["properties"]["probe"]
    return schema


def test_names_are_camel_case_and_required_is_what_has_no_default() -> None:
    class Probe(Model):
        must_be: str
        may_be: str = "x"

    schema = structural(Probe)
    assert schema["required"] == ["mustBe"]
    assert schema["properties"]["mayBe"] == {"type": "string", "default": "x"}


def test_no_word_of_pydantics_own_is_left() -> None:
    def words(node: Any) -> set[str]:
        if isinstance(node, dict):
            return set(node) | {word for child in node.values() for word in words(child)}
        return {word for child in node for word in words(child)} if isinstance(node, list) else set()

    class Probe(Model):
        inner: Inner = Field(default_factory=Inner)
        many: tuple[Inner, ...] = ()
        maybe: Inner | None = None
        quantity: Quantity = "1Gi"

    assert words(structural(Probe)) & {"title", "$ref", "$defs", "anyOf", "oneOf", "allOf", "const", "null"} == set()


def test_optional_loses_the_null_branch_and_the_null_default() -> None:
    assert of(str | None, Field(default=None, max_length=3)) == {"type": "string", "maxLength": 3}


def test_a_reference_is_put_in_place_and_the_fields_own_words_win() -> None:
    schema = of(Inner, Field(description="Mine.", json_schema_extra=rules(("true", "second"))))
    assert schema["description"] == "Mine."
    assert schema["properties"]["size"] == {"type": "integer", "format": "int64", "default": 3}
    assert [rule["message"] for rule in schema["x-kubernetes-validations"]] == ["too small", "second"]


def test_descriptions_are_one_line() -> None:
    assert of(Inner)["description"] == "An inner part."


def test_defaults_of_an_object_are_written_out() -> None:
    """The API server checks CEL rules against the default as it stands, before inner defaults apply."""
    assert of(Inner, Field(default_factory=Inner))["default"] == {"size": 3}


@pytest.mark.parametrize("empty", [(), "", None], ids=repr)
def test_a_default_that_says_nothing_is_left_out(empty: Any) -> None:
    assert "default" not in of(str | None, Field(default=empty))


@pytest.mark.parametrize("kept", [False, 0, "x"], ids=repr)
def test_a_default_that_says_something_is_kept(kept: Any) -> None:
    assert of(type(kept), Field(default=kept))["default"] == kept


def test_a_status_has_no_defaults() -> None:
    class Probe(Model):
        inner: Inner = Field(default_factory=Inner)
        count: int = 1

    schema = structural(Probe, defaults=False)
    assert "default" not in schema["properties"]["inner"]
    assert "default" not in schema["properties"]["inner"]["properties"]["size"]
    assert "default" not in schema["properties"]["count"]


def test_there_are_no_defaults_inside_of_what_is_applied_as_one_value() -> None:
    """They would stand in the object, and be a conflict for whoever else applies the same without them."""

    class Whole(Model):
        model_config = ConfigDict(json_schema_extra=ATOMIC)

        inner: Inner = Field(default_factory=Inner)
        count: int = 1

    schema = of(Whole | None, Field(default=None))
    assert schema["x-kubernetes-map-type"] == "atomic"
    assert "default" not in schema["properties"]["count"]
    assert "default" not in schema["properties"]["inner"]
    assert "default" not in schema["properties"]["inner"]["properties"]["size"]


def test_int_or_string_keeps_the_bounds_of_both() -> None:
    schema = of(Quantity)
    assert "type" not in schema
    assert schema["x-kubernetes-int-or-string"] is True
    assert schema["minimum"] == 0
    assert schema["maxLength"] == 32


def test_one_word_is_an_enum_of_one() -> None:
    assert of(Literal["job"]) == {"type": "string", "enum": ["job"]}


def test_exclusive_bounds_are_flags() -> None:
    assert of(int, Field(gt=1, lt=9)) == {
        "type": "integer", "format": "int64",
        "minimum": 1, "maximum": 9, "exclusiveMinimum": True, "exclusiveMaximum": True,
    }  # fmt: skip


def test_a_set_is_a_list_of_type_set() -> None:
    assert of(frozenset[str])["x-kubernetes-list-type"] == "set"


def test_a_map_keeps_the_schema_of_its_values() -> None:
    schema = of(dict[str, Annotated[str, Field(max_length=5)]], Field(json_schema_extra={"maxProperties": 2}))
    assert schema == {"type": "object", "additionalProperties": {"type": "string", "maxLength": 5}, "maxProperties": 2}


def test_a_free_map_preserves_unknown_fields() -> None:
    schema = of(dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}))
    assert schema == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int | bool, r"Probe\.probe: no structural form for \['anyOf'\]"),
        (Any, r"Probe\.probe: no structural form for a value of any type"),
        (tuple[int, str], r"Probe\.probe: no structural form for \['prefixItems'\]"),
        (tuple[int | bool, ...], r"Probe\.probe\.items: no structural form"),
    ],
    ids=str,
)
def test_what_has_no_structural_form_stops_the_generator(annotation: Any, words: str) -> None:
    with pytest.raises(UnsupportedSchemaError, match=words):
        of(annotation)


def test_models_that_are_not_ours_work_too() -> None:
    class Plain(BaseModel):
        word: str

    assert structural(Plain) == {"type": "object", "required": ["word"], "properties": {"word": {"type": "string"}}}

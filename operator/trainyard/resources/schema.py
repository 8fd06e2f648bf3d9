"""Pydantic models become structural schemas; `crd.py` is the only caller.

The API server refuses what pydantic writes: `$ref`, null branches, `const`, titles, numeric exclusive bounds. Each
is translated here. A keyword that is not known here stops the generator, so that nothing is dropped unseen.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

Schema = dict[str, Any]

NULL = {"type": "null"}
INT_OR_STRING = "x-kubernetes-int-or-string"
PRESERVE = "x-kubernetes-preserve-unknown-fields"
MAP_TYPE = "x-kubernetes-map-type"
RULES = "x-kubernetes-validations"
KEPT = (
    "type", "description", "format", "pattern", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "default", "required",
    "properties", "items", "additionalProperties", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    MAP_TYPE, INT_OR_STRING, PRESERVE, RULES,
)  # fmt: skip
DROPPED = frozenset({"title"})


class UnsupportedSchemaError(ValueError):
    """A model says something that has no structural form; the message names where."""


class _WithFactories(GenerateJsonSchema):
    """Pydantic's generator, which also shows the defaults that a factory makes."""

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        """Return the default of a field, calling its factory where it has one."""
        factory: Any = schema.get("default_factory")
        return factory() if factory else super().get_default_value(schema)


def structural(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """Return the structural schema of a model; `defaults=False` leaves defaults out (status).

    Raises UnsupportedSchemaError.
    """
    raw = model.model_json_schema(schema_generator=_WithFactories)
    return _convert(raw, raw.get("$defs", {}), defaults, model.__name__)


def _convert(raw: Mapping[str, Any], defs: Mapping[str, Any], defaults: bool, where: str) -> Schema:
    node = _plain(raw, defs, where)
    defaults = defaults and node.get(MAP_TYPE) != "atomic"  # base.ATOMIC says why
    for name in ("items", "additionalProperties"):
        if isinstance(node.get(name), dict):
            node[name] = _convert(node[name], defs, defaults, f"{where}.{name}")
    if not node.get("properties"):
        node.pop("properties", None)  # the API server drops an empty map
    else:
        node["properties"] = {
            key: _convert(value, defs, defaults, f"{where}.{key}") for key, value in node["properties"].items()
        }
    _settle_default(node, defaults)
    return {key: node[key] for key in KEPT if key in node}


def _plain(raw: Mapping[str, Any], defs: Mapping[str, Any], where: str) -> Schema:
    """Return one node in words that the API server knows; its children are still pydantic's."""
    node = _without_null(_resolved(raw, defs), defs)
    _merge_int_or_string(node)
    _const_to_enum(node)
    _exclusive_to_boolean(node)
    _closed_object(node)
    if node.pop("uniqueItems", False):
        node["x-kubernetes-list-type"] = "set"
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    if node.get("type") == "integer":
        node.setdefault("format", "int64")
    unknown = set(node) - set(KEPT) - DROPPED - {"$defs"}
    if unknown or not ("type" in node or INT_OR_STRING in node or PRESERVE in node):
        raise UnsupportedSchemaError(f"{where}: no structural form for {sorted(unknown) or 'a value of any type'}")
    return node


def _resolved(raw: Mapping[str, Any], defs: Mapping[str, Any]) -> Schema:
    """Put a reference's target in its place; what stands beside the reference wins."""
    beside = {key: value for key, value in raw.items() if key != "$ref"}
    if "$ref" not in raw:
        return beside
    return _laid_over(_resolved(defs[raw["$ref"].removeprefix("#/$defs/")], defs), beside)


def _laid_over(inner: Schema, outer: Schema) -> Schema:
    """Return both: the outer words win, CEL rules add up."""
    both = [*inner.get(RULES, ()), *outer.get(RULES, ())]
    return {**inner, **outer, **({RULES: both} if both else {})}


def _without_null(node: Schema, defs: Mapping[str, Any]) -> Schema:
    """Turn `X | None` into X: absence is a missing field, never null."""
    branches = [branch for branch in node.get("anyOf", ()) if branch != NULL]
    if len(branches) != 1:
        return node
    outer = {key: value for key, value in node.items() if key != "anyOf"}
    return _laid_over(_resolved(branches[0], defs), outer)


def _merge_int_or_string(node: Schema) -> None:
    """Bounds of the branches of an int-or-string hold for the whole: each speaks of its own type only."""
    if node.get(INT_OR_STRING):
        for branch in node.pop("anyOf", ()):
            node.update({key: value for key, value in branch.items() if key != "type"})


def _const_to_enum(node: Schema) -> None:
    if "const" in node:
        node["enum"] = [node.pop("const")]


def _exclusive_to_boolean(node: Schema) -> None:
    for exclusive, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in node:
            node[inclusive] = node[exclusive]
            node[exclusive] = True


def _closed_object(node: Schema) -> None:
    """Drop `additionalProperties: true|false`: pruning and strict field validation are the API server's own."""
    if isinstance(node.get("additionalProperties"), bool):
        del node["additionalProperties"]


def _settle_default(node: Schema, defaults: bool) -> None:
    """Keep a default that says something; an object's is made of its fields' defaults.

    `{}` would do but for its CEL rules: the API server checks a default as it is written.
    """
    default = node.pop("default", None)
    if not defaults or default in (None, "", [], {}):
        return
    if "properties" in node:
        default = {key: child["default"] for key, child in node["properties"].items() if "default" in child}
    if default != {}:
        node["default"] = default

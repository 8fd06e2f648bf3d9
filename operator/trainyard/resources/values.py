"""Values that a user gives as JSON, for parameters."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

MOST_LEVELS = 64  # of maps and lists in a value: far more than anybody means, far less than any reader of JSON takes


def is_too_deep(value: Any) -> bool:
    """Whether maps and lists lie within each other in more levels than are taken. Not recursive: it may be anything."""
    level, levels = _containers((value,)), 0
    while level and levels <= MOST_LEVELS:
        level = _containers(inner for outer in level for inner in _items(outer))
        levels += 1
    return levels > MOST_LEVELS


def _containers(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, Mapping | list | tuple)]


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value


def _shallow(value: Any) -> Any:
    if is_too_deep(value):
        raise ValueError(f"it is nested too deeply: at most {MOST_LEVELS} levels are taken")
    return value


def _shallow_each(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if is_too_deep(value):
            raise ValueError(f"{name} is nested too deeply: at most {MOST_LEVELS} levels are taken")
    return values


AnyJson = Annotated[
    Any, AfterValidator(_shallow), Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
]
_MAP = Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True, "maxProperties": 100})
ParameterMap = Annotated[dict[str, Any], AfterValidator(_shallow_each), _MAP]
# What the operator itself wrote into a status: it may have come from one that took more levels.
KeptMap = Annotated[dict[str, Any], _MAP]

"""Parts of objects that somebody else may have written: nothing of their shape is taken for sure, and nothing raises.

An older schema, or an administrator who lifted it, can leave anything where a map or a list is meant. Used wherever an
object is read that is not the cycle's own.
"""

from collections.abc import Mapping
from typing import Any


def part(value: Any, *path: str) -> Mapping[str, Any]:
    """Return the map at a path of fields, an empty one where there is none."""
    for field in path:
        value = value.get(field) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def parts(value: Any, field: str) -> tuple[Mapping[str, Any], ...]:
    """Return the maps in a list that a map holds, in order; what is no map is left out."""
    listed = value.get(field) if isinstance(value, Mapping) else None
    return tuple(item for item in listed if isinstance(item, Mapping)) if isinstance(listed, list | tuple) else ()


def condition_status(obj: Any, kind: str) -> str:
    """Return the status of a condition, "Unknown" where it is not told."""
    told = next((c for c in parts(part(obj, "status"), "conditions") if c.get("type") == kind), {})
    return str(told.get("status", "Unknown"))

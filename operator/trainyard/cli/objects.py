"""Reading objects as JSON: conditions and dotted paths, without failing on what is not there. Pure."""

from collections.abc import Mapping
from typing import Any

Obj = Mapping[str, Any]
_NOTHING: Obj = {}


def at(obj: Any, path: str, default: Any = "") -> Any:
    """Return the value at a dotted path, the default where any part of it is missing."""
    for part in path.split("."):
        if not isinstance(obj, Mapping) or obj.get(part) is None:
            return default
        obj = obj[part]
    return obj


def condition(obj: Obj, kind: str) -> Obj:
    """Return a condition, empty where it is not there."""
    return next((c for c in at(obj, "status.conditions", ()) if c.get("type") == kind), _NOTHING)


def reason(obj: Obj, kind: str) -> str:
    """Return the reason of a condition, "" where it is not there."""
    return str(condition(obj, kind).get("reason", ""))


def said(obj: Obj, kind: str) -> str:
    """Return reason and message of a condition as one sentence."""
    found = condition(obj, kind)
    message = str(found.get("message", ""))
    return f"{found.get('reason', '')}: {message}" if message else str(found.get("reason", ""))

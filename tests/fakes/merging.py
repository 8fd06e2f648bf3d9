"""How the API server merges what it is sent: JSON merge patch, and server-side apply by one manager a field.

Used by the fake cluster alone. Lists are replaced whole, as they are where one manager owns the whole object;
`metadata.ownerReferences` and `metadata.finalizers` merge by item, as on the real server.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

Path = tuple[str, ...]
Json = TypeVar("Json")


def copied(value: Json) -> Json:
    """Copy an object of the API as its JSON would come back; several times as fast as `copy.deepcopy`."""
    return cast("Json", _copied(value))


def _copied(value: Any) -> Any:
    if isinstance(value, dict):  # most of what is in there is text: it is not asked about one by one
        return {key: inner if type(inner) is str else _copied(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copied(inner) for inner in value]
    return value


def merge_patch(target: Any, body: Any) -> Any:
    """RFC 7386: null removes, maps merge, everything else replaces."""
    if not isinstance(body, Mapping):
        return copied(body)
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in body.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def leaves(value: Any, path: Path = ()) -> frozenset[Path]:
    """Return the paths of everything that is not a map with entries: what a manager owns by applying it."""
    if isinstance(value, Mapping) and value:
        return frozenset(leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key)))
    if path == ("metadata", "ownerReferences"):
        return frozenset((*path, str(item["uid"])) for item in value)
    if path == ("metadata", "finalizers"):
        return frozenset((*path, str(item)) for item in value)
    return frozenset({path})


def applied(live: Mapping[str, Any], body: Mapping[str, Any], given_up: Iterable[Path]) -> dict[str, Any]:
    """Lay an applied body over the live object, after taking out what its manager no longer lists."""
    result = copied(dict(live))
    for path in given_up:
        _remove(result, path)
    return dict(_overlay(result, body))


def _overlay(live: Any, body: Any, path: Path = ()) -> Any:
    if path in {("metadata", "ownerReferences"), ("metadata", "finalizers")}:
        return _join(list(live or ()), body)
    if not isinstance(body, Mapping):
        return copied(body)
    merged = dict(live) if isinstance(live, Mapping) else {}
    for key, value in body.items():
        merged[key] = _overlay(merged.get(key), value, (*path, key))
    return merged


def _join(live: list[Any], body: Iterable[Any]) -> list[Any]:
    """Replace the items of equal identity (an owner's uid, a finalizer's name), append the others."""
    joined = {_identity(item): item for item in live}
    joined.update({_identity(item): copied(item) for item in body})
    return list(joined.values())


def _identity(item: Any) -> str:
    return str(item["uid"]) if isinstance(item, Mapping) else str(item)


def _remove(target: Any, path: Path) -> None:
    """Remove one leaf, and the maps and lists that it leaves empty."""
    key, rest = path[0], path[1:]
    if isinstance(target, list):
        target[:] = [item for item in target if _identity(item) != key]
    elif isinstance(target, dict) and key in target:
        if rest:
            _remove(target[key], rest)
        if not rest or target[key] in ({}, []):
            del target[key]

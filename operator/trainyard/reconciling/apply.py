"""Does a live object still say what its rendering says? Asked before an apply, so that idle cycles write nothing.

A subset comparison: what the API server or another manager added is no difference. Pure. Used by the kinds'
`decide`.

Two limits, by design. A field that the rendering stopped naming goes unnoticed (a changed rendering is applied
because something else changed, or by an intention of its own). And a `false` or `0` that Go leaves out is known
for the fields below only; render no others.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from trainyard.systems.cluster.port import SCALARS, Obj

# Lists that other managers may add to: an item is found by these fields. All other lists are compared whole.
KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
PORTS = ("containerPort", "port")  # one of them is there, with protocol TCP where none is named
SETS = frozenset({"finalizers"})
QUANTITIES = frozenset({"limits", "requests"})  # maps whose values are quantities
QUANTITY_FIELDS = frozenset({"sizeLimit", "storage"})
# Fields of Go structs that are not written when false or zero.
OMITTED = frozenset(
    {
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "initialDelaySeconds",
        "minReadySeconds",
        "paused",
        "publishNotReadyAddresses",
        "readOnly",
        "stdin",
        "stdinOnce",
        "tty",
    }
)
SERVER_METADATA = frozenset(
    {"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields"}
)
SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "E": Decimal(10**18), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def needs_apply(rendered: Obj, live: Obj | None) -> bool:
    """Return whether applying the rendering would change the live object; True where there is none.

    `status` and the metadata that the server makes are left out of the comparison.
    """
    if live is None:
        return True
    return not _covers(live, _compared(rendered))


def _compared(rendered: Obj) -> dict[str, Any]:
    meta = {k: v for k, v in rendered.get("metadata", {}).items() if k not in SERVER_METADATA}
    return {**{k: v for k, v in rendered.items() if k != "status"}, "metadata": meta}


def says_more(rendered: Obj, live: Obj) -> bool:
    """Whether the live map says something in the rendering's own fields that the rendering does not.

    For what nobody else may add to. The API server's defaults have to be part of the rendering then.
    """
    return not _covers(rendered, {field: live[field] for field in rendered if field in live})


def as_answered(rendered: Obj, answer: Obj) -> dict[str, Any]:
    """Return the rendering's own fields with the values that an answer to its apply gave them.

    None for a field that the answer has not.
    """
    answer = {"metadata": {}, **answer}
    return {key: _answered(value, answer.get(key), key) for key, value in _compared(rendered).items()}


def _answered(wanted: Any, answer: Any, field: str = "") -> Any:
    if isinstance(wanted, Mapping) and isinstance(answer, Mapping):
        return {key: _answered(value, answer.get(key), key) for key, value in wanted.items()}
    if _is_keyed(field) and _is_list(wanted) and _is_list(answer):
        there = {_key(item, field): item for item in answer}
        return [_answered(item, there[_key(item, field)]) for item in wanted if _key(item, field) in there]
    return answer


def differing(rendered: Obj, live: Obj) -> tuple[str, ...]:
    """Name the rendering's fields of which the live object says something else: what `needs_apply` finds."""
    return tuple(_paths(live, _compared(rendered)))


def _paths(live: Any, wanted: Any, path: str = "", field: str = "") -> Iterator[str]:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for key, value in wanted.items():
            if not _covers_field(live, key, value, field):
                yield from _paths(live.get(key), value, f"{path}.{key}" if path else key, key)
    elif _is_keyed(field) and _is_list(wanted) and _is_list(live):
        there = {_key(item, field): item for item in live}
        for item in wanted:
            key = _key(item, field)
            if key not in there or not _covers(there[key], item):
                yield from _paths(there.get(key), item, f"{path}[{key[0]}]")
    else:
        yield path


def equal_quantities(one: Any, other: Any) -> bool:
    """Compare Kubernetes quantities by value: `1000m` is `1`. Texts that are none are compared as texts."""
    a, b = parse_quantity(one), parse_quantity(other)
    return str(one) == str(other) if a is None or b is None else a == b


def parse_quantity(value: Any) -> Decimal | None:
    """Read a quantity (`500m`, `2Gi`, `1e3`, 4); None where it is none."""
    text = str(value)
    number = text.rstrip("numkKMGTPEi")
    try:
        return Decimal(number) * SUFFIXES[text[len(number) :]]
    except (InvalidOperation, KeyError):
        return None


def _covers(live: Any, wanted: Any, field: str = "", parent: str = "") -> bool:
    """Whether a live value says at least what is wanted; `field` is its name, `parent` that of its map."""
    kind = type(wanted)
    if kind is str and live == wanted:  # most of what is compared
        return True
    if kind not in SCALARS:
        if isinstance(wanted, Mapping) and isinstance(live, Mapping):
            return all(_covers_field(live, key, value, field) for key, value in wanted.items())
        if _is_list(wanted) and _is_list(live):
            return _covers_list(live, wanted, field)
    if parent in QUANTITIES or field in QUANTITY_FIELDS:
        return equal_quantities(live, wanted)
    return type(live) is kind and bool(live == wanted)


def _covers_field(live: Mapping[str, Any], key: str, wanted: Any, field: str) -> bool:
    value = live.get(key)
    if value is not None:
        return _covers(value, wanted, key, field)
    return wanted is None or wanted in ("", {}, [], ()) or (key in OMITTED and not wanted)


def _covers_list(live: Sequence[Any], wanted: Sequence[Any], field: str) -> bool:
    if field in SETS:
        return set(wanted) <= set(live)
    if _is_keyed(field):
        there = {_key(item, field): item for item in live}
        return all(_key(item, field) in there and _covers(there[_key(item, field)], item) for item in wanted)
    return len(live) == len(wanted) and all(_covers(a, b) for a, b in zip(live, wanted, strict=True))


def _is_keyed(field: str) -> bool:
    return field in KEYS or field == "ports"


def _key(item: Any, field: str) -> tuple[str, ...]:
    """Identity of an item of a list that is a map in the API server's eyes."""
    if not isinstance(item, Mapping):
        return (repr(item),)
    if field == "ports":
        port = next((item[name] for name in PORTS if name in item), None)
        return (str(port), str(item.get("protocol", "TCP")))
    return tuple(str(item.get(name)) for name in KEYS[field])


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)

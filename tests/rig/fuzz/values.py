"""What one value may be turned into, by what its schema says. Pure; called by `walking`.

A change is (what it is called, the value; GONE where the field is taken out). Bounds are met exactly and passed by
one. What is longer than any bound is `HUGE_TEXT` long, or has `HUGE_COUNT` entries; what is large is made when it is
wanted (`made`).
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

Schema = Mapping[str, Any]
Change = tuple[str, Any]


@dataclass(frozen=True)
class Later:
    """A value that is made when it is wanted."""

    make: Callable[[], Any]


def made(value: Any) -> Any:
    """Return a value that may be kept and changed by whoever asked."""
    return value.make() if isinstance(value, Later) else copy.deepcopy(value)


class Gone:
    """The one value that stands for none at all."""

    def __repr__(self) -> str:
        return "GONE"

    def __deepcopy__(self, _: Any) -> "Gone":
        return self


GONE = Gone()
HUGE_TEXT = 256 * 1024
HUGE_COUNT = 10_000
TOO_DEEP = 300  # more than orjson writes
MANY = "10,000 entries"  # the API server may need half a minute to compare each with each
INT64 = 2**63 - 1
INT_OR_STRING = "x-kubernetes-int-or-string"
PRESERVE = "x-kubernetes-preserve-unknown-fields"
TEXTS = {
    "unicode": "\u202eright to left\u202c \u0001\u001b[31m\u2028 e\u0301 🧨 ﷽",
    "PromQL": '"} or vector(1) # $(revision)',
    "shell": "$(touch /tmp/it); `id` ' || true %s {0}",
    "path": "../../../../etc/passwd",
    "spaces": "  ",
}
WRONG_TYPE: dict[str, Any] = {
    "string": {"a": 1},
    "integer": "many",
    "number": "many",
    "boolean": "yes",
    "array": {"a": 1},
    "object": ["a"],
}
QUANTITIES = ("-1", "0", "1e400", "9" * 31, "999999999999E", "0.0000000001n", "1.5", -1, INT64, 2**63, "NaN")


def deep(levels: int) -> Any:
    """Return maps within maps."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def changes(schema: Schema, value: Any) -> Iterator[Change]:
    """Yield the changes of a value: those that every field has, then those of its type."""
    yield "missing", GONE
    yield "null", None
    kind = schema.get("type", "")
    if kind in WRONG_TYPE:
        yield "wrong type", WRONG_TYPE[kind]
    if schema.get(INT_OR_STRING):
        yield from ((f"quantity {text}", text) for text in QUANTITIES)
    elif schema.get(PRESERVE):
        yield from _free(value)
    else:
        yield from _BY_TYPE[kind](schema, value)


def _text(schema: Schema, value: Any) -> Iterator[Change]:
    yield "another type", 7
    yield "empty", ""
    yield "huge", "x" * HUGE_TEXT
    yield from TEXTS.items()
    if "enum" in schema:
        yield from ((f"enum {word}", word) for word in schema["enum"] if word != value)
        yield "enum unknown", "Sideways"
        return
    yield from _lengths(schema, str(value))
    if schema.get("pattern", "").startswith("^-?(0|"):
        yield from ((f"decimal {text}", text) for text in DECIMALS)
    if schema.get("format") == "date-time":
        yield from ((f"time {text}", text) for text in TIMES)


DECIMALS = ("0", "-0", "1", "-1", "9" * 16, "0." + "0" * 11 + "1", "-" + "9" * 16 + "." + "9" * 12, "1e3", "NaN", "Inf")
TIMES = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-02-30T00:00:00Z", "2026-11-24T02:14:07+23:59", "now")


def _lengths(schema: Schema, value: str) -> Iterator[Change]:
    """Meet the length bounds; the present value is grown at its end, so that it may still fit the pattern."""
    most = schema.get("maxLength")
    if most is not None:
        yield "longest", grown(value, most)
        yield "too long", grown(value, most + 1)
    if schema.get("minLength", 0) > 1:
        yield "too short", value[: schema["minLength"] - 1]


def grown(value: str, length: int) -> str:
    """Return the text at this length: a letter is put in before its last character again and again, or it is cut."""
    if len(value) >= length:
        return value[:length]
    head, last = value[:-1], value[-1:] or "x"
    return head + "x" * (length - len(head) - len(last)) + last


def _number(schema: Schema, value: Any) -> Iterator[Change]:
    yield "a fraction", 1.5
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        yield "minimum", low
        yield "below the minimum", low - 1
    if high is not None:
        yield "maximum", high
        yield "above the maximum", high + 1
    yield "negative", -1
    yield "zero", 0
    yield "the largest", INT64
    yield "the smallest", -INT64 - 1
    yield "too large", INT64 + 1
    yield "enormous", 10**40
    yield "enormous fraction", 1e300


def _switch(schema: Schema, value: Any) -> Iterator[Change]:
    yield "the other", not value
    yield "a number", 1


def _items(schema: Schema, value: Any) -> Iterator[Change]:
    yield "empty", []
    yield "null in it", [None]
    low, high = schema.get("minItems"), schema.get("maxItems")
    example = value[0] if value else "x"
    if low:
        yield "too few", value[: low - 1]
    if high is not None:
        yield "most", Later(partial(repeated, schema, value, high))
        yield "too many", Later(partial(repeated, schema, value, high + 1))
    yield MANY, Later(partial(repeated, schema, value, HUGE_COUNT))
    yield "twice the same", [example, copy.deepcopy(example)]


def repeated(schema: Schema, value: list[Any], count: int) -> list[Any]:
    """Return a list of so many items, the last ones copies of the first, each of its own name where that matters."""
    kept = copy.deepcopy(value[:count])
    example = value[0] if value else "x"
    keys = schema.get("x-kubernetes-list-map-keys", ("name",))
    return kept + [_renamed(example, keys, number) for number in range(len(kept), count)]


def _renamed(item: Any, keys: Iterable[str], number: int) -> Any:
    """Return a copy of another name, as deep as names go."""
    if isinstance(item, str):
        return f"{item}{number}"
    names = {key: f"{item[key]}{number}" for key in keys if isinstance(item, dict) and isinstance(item.get(key), str)}
    return {**item, **names} if isinstance(item, dict) else item


def _fields(schema: Schema, value: Any) -> Iterator[Change]:
    yield "empty", {}
    yield "an unknown field", {**value, "surprise": 1}
    if "additionalProperties" not in schema:
        return
    example = next(iter(value.values()), "x")
    yield from ((f"key {name}", {text: example}) for name, text in TEXTS.items())
    yield "key empty", {"": example}
    yield "key huge", {"x" * HUGE_TEXT: example}
    counts = {MANY: HUGE_COUNT}
    if (most := schema.get("maxProperties")) is not None:
        counts |= {"most": most, "too many": most + 1}
    for what, count in counts.items():
        yield what, Later(partial(_map_of, example, count))


def _map_of(example: Any, count: int) -> dict[str, Any]:
    return {f"key{number}": example for number in range(count)}


def _free(value: Any) -> Iterator[Change]:
    """What may be anything: a parameter's value, a row that waits."""
    is_map = isinstance(value, dict)
    yield "empty", {} if is_map else ""
    for what, one in (*TEXTS.items(), ("huge", "x" * HUGE_TEXT), ("the largest", INT64), ("too large", INT64 + 1),
                      ("enormous fraction", 1e300), ("nothing", None), ("deep", deep(200))):  # fmt: skip
        yield f"value {what}", {**value, "epochs": one} if is_map else one
    yield "value deeper than JSON is read", Later(partial(_too_deep, value, is_map))
    if is_map:
        yield "key unicode", {TEXTS["unicode"]: 1}
        yield MANY, Later(partial(_map_of, 1, HUGE_COUNT))


def _too_deep(value: Any, is_map: bool) -> Any:
    return {**value, "epochs": deep(TOO_DEEP)} if is_map else deep(TOO_DEEP)


_BY_TYPE = {
    "string": _text,
    "integer": _number,
    "number": _number,
    "boolean": _switch,
    "array": _items,
    "object": _fields,
}

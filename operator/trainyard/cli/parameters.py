"""`-p name=value`: text into the typed values that a pipeline declares, or a sentence before anything is created."""

import difflib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainyard.cli.problem import USAGE, Problem
from trainyard.resources.parameters import mismatch, missing_default
from trainyard.resources.training_pipeline import Parameter


def read(declared: Sequence[Parameter], arguments: Sequence[str]) -> dict[str, Any]:
    """Return the values that were given, by name. Raises Problem with everything that is wrong."""
    types = {p.name: p.type for p in declared}
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for argument in arguments:
        name, sign, text = argument.partition("=")
        if complaint := _misnamed(name, sign, types, values):
            wrong.append(complaint)
            continue
        try:
            values[name] = value(types[name], text)
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    given = {argument.partition("=")[0] for argument in arguments}
    wrong += [f"{name} has no default: give -p {name}=…" for name in missing_default(declared) if name not in given]
    if wrong:
        raise Problem("; ".join(wrong) + ".", USAGE)
    return values


def value(kind: str, text: str) -> Any:
    """Read a text as a value of a parameter type. Raises ValueError with a sentence."""
    return _READERS[kind](text)


def _misnamed(name: str, sign: str, types: Mapping[str, str], before: Mapping[str, Any]) -> str:
    if not sign:
        return f"{name!r} is no parameter: write name=value"
    if name not in types:
        near = difflib.get_close_matches(name, types, 1)
        has = f"did you mean {near[0]}?" if near else f"it has {', '.join(types) or 'none'}"
        return f"{name} is not a parameter of the pipeline ({has})"
    return f"{name} is given twice" if name in before else ""


def _integer(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{text!r} is not an Integer")
    return int(text)


def _double(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a Double") from None
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite Double")
    return number


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is not a Boolean: write true or false")
    return text == "true"


def _json(kind: str) -> Callable[[str], Any]:
    def read_json(text: str) -> Any:
        try:
            found = json.loads(text)
        except ValueError as error:
            raise ValueError(f"a {kind} is written as JSON: {error}") from None
        if actual := mismatch(kind, found):
            raise ValueError(f"this JSON is of type {actual}, not {kind}")
        return found

    return read_json


_READERS: Mapping[str, Callable[[str], Any]] = {
    "String": str,
    "Integer": _integer,
    "Double": _double,
    "Boolean": _boolean,
    "List": _json("List"),
    "Struct": _json("Struct"),
}

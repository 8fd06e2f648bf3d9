"""`-p name=value`: text into the typed values that a pipeline declares, or a sentence before anything is created."""

import difflib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from trainyard.cli.problem import USAGE, Problem
from trainyard.resources.parameters import mismatch, missing_default
from trainyard.resources.training_pipeline import Parameter


class _Loader(yaml.SafeLoader):
    """YAML as far as JSON goes: a date stays the text that it is."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(
    declared: Sequence[Parameter], arguments: Sequence[str], from_file: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what was given; an argument wins over the file. Raises Problem with everything that is wrong."""
    types = {p.name: p.type for p in declared}
    values, wrong = _checked(types, from_file or {})
    given: dict[str, Any] = {}
    for argument in arguments:
        name, sign, text = argument.partition("=")
        if complaint := _misnamed(name, sign, types, given):
            wrong.append(complaint)
            continue
        try:
            given[name] = value(types[name], text)
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    told = {*(argument.partition("=")[0] for argument in arguments), *(from_file or {})}
    wrong += [f"{name} has no default: give -p {name}=…" for name in missing_default(declared) if name not in told]
    if wrong:
        raise Problem("; ".join(wrong) + ".", USAGE)
    return values | given


def from_text(text: str, name: str) -> dict[str, Any]:
    """Read a file of parameters: a YAML or JSON mapping of names to values. Raises Problem."""
    try:
        found = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise Problem(f"{name} is neither YAML nor JSON{where}.", USAGE) from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise Problem(f"{name} must be a mapping of parameter names to values.", USAGE)
    return found


def _checked(types: Mapping[str, str], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a file that fit, and what is wrong with the others."""
    fine: dict[str, Any] = {}
    wrong: list[str] = []
    for name, given in values.items():
        if complaint := _misnamed(name, "=", types, {}):
            wrong.append(complaint)
        elif actual := mismatch(types[name], given):
            wrong.append(f"{name}: the file has {actual}, not {types[name]}")
        else:
            fine[name] = given
    return fine, wrong


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

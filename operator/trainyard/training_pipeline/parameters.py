"""A pipeline's parameter declarations, and what its triggers give: each value of its declared type. Pure."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from trainyard.resources.parameters import mismatch
from trainyard.resources.training_pipeline import Parameter


def problem(declared: Sequence[Parameter]) -> str:
    """Return the sentence that says what is wrong with the declarations, "" where nothing is."""
    mistyped = [
        f"the default of {p.name} is of type {found}, not {p.type}"
        for p in declared
        if p.default is not None and (found := mismatch(p.type, p.default))
    ]
    return f"Parameters: {'; '.join(mistyped)}." if mistyped else ""


def of_trigger(declared: Sequence[Parameter], given: Mapping[str, Any], filled: Collection[str] = ()) -> str:
    """Return what is wrong with a trigger's values, "" where nothing is. `filled` get theirs from each event."""
    names = {p.name for p in declared}
    missing = [
        f"{p.name} has no default and no value" for p in declared if p.required and p.name not in {*given, *filled}
    ]
    unknown = [f"{name} is not a parameter of the pipeline" for name in sorted({*given, *filled} - names)]
    mistyped = [
        f"{p.name} is of type {found}, not {p.type}"
        for p in declared
        if p.name in given and (found := mismatch(p.type, given[p.name]))
    ]
    return "; ".join([*missing, *unknown, *mistyped])

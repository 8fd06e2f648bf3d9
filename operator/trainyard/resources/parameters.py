"""Is this value of that parameter type? Asked of a pipeline's defaults and of a run's values. Pure.

The engines take what is checked here: Kubeflow, for one, accepts 1.5 as an integer (training.md).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from trainyard.resources.training_pipeline import Parameter

_PYTHON: Mapping[str, tuple[type, ...]] = {
    "String": (str,),
    "Integer": (int,),
    "Double": (int, float),
    "Boolean": (bool,),
    "List": (list, tuple),
    "Struct": (dict,),
}
_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "Boolean"),
    (int, "Integer"),
    (float, "Double"),
    (str, "String"),
    (list, "List"),
    (tuple, "List"),
    (dict, "Struct"),
)


def mismatch(kind: str, value: Any) -> str:
    """Return what a value is instead of the declared type, "" where it fits. Booleans are no numbers here."""
    fits = isinstance(value, _PYTHON[kind]) and (kind == "Boolean" or not isinstance(value, bool))
    return "" if fits else _named(value)


def missing_default(parameters: Iterable[Parameter]) -> tuple[str, ...]:
    """Return the names of the parameters that a run must give."""
    return tuple(p.name for p in parameters if p.required)


def _named(value: Any) -> str:
    return next((name for kind, name in _NAMES if isinstance(value, kind)), "null")

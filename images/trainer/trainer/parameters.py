"""The parameters of a run, checked. Their meaning for users stands in docs/training-images.md."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from typing import Any, Literal

from .problems import Problem

InputGuard = Literal["off", "strict"]
NAMES = {
    "epochs": "epochs",
    "learningRate": "learning_rate",
    "hiddenUnits": "hidden_units",
    "batchSize": "batch_size",
    "heldOutShare": "held_out_share",
    "labelColumn": "label_column",
    "seed": "seed",
    "inputGuard": "input_guard",
    "delaySeconds": "delay_seconds",
}

_WHOLE = {"epochs": (0, 10_000), "batchSize": (1, 1_000_000), "seed": (0, 2**31 - 1)}
_NUMBERS = {"learningRate": (0.0, 10.0), "heldOutShare": (0.01, 0.9), "delaySeconds": (0.0, 60.0)}


@dataclass(frozen=True)
class Parameters:
    """How to train. `input_guard` and `delay_seconds` change what is exported, not what is learned."""

    epochs: int = 3
    learning_rate: float = 0.01
    hidden_units: tuple[int, ...] = (16,)
    batch_size: int = 32
    held_out_share: float = 0.25
    label_column: str = "label"
    seed: int = 1
    input_guard: InputGuard = "off"
    delay_seconds: float = 0.0


def read(text: str) -> Parameters:
    """Return the parameters of TRAINYARD_PARAMETERS, a JSON object; Problem names the one that is wrong."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise Problem("TRAINYARD_PARAMETERS is not JSON") from error
    if not isinstance(given, dict):
        raise Problem("TRAINYARD_PARAMETERS must be a JSON object")
    unknown = sorted(set(given) - set(NAMES))
    if unknown:
        raise Problem(f"the trainer has no parameter {unknown[0]!r}; it has {', '.join(NAMES)}")
    return Parameters(**{NAMES[name]: _check(name, value) for name, value in given.items()})


def _check(name: str, value: Any) -> Any:
    if name in _WHOLE:
        return _whole(name, value, *_WHOLE[name])
    if name in _NUMBERS:
        return _number(name, value, *_NUMBERS[name])
    if name == "hiddenUnits":
        return _layers(name, value)
    if name == "inputGuard":
        return _one_of(name, value, ("off", "strict"))
    return _word(name, value)


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise Problem(f"{name} must be a whole number from {least} to {most}, not {value!r}")
    return value


def _number(name: str, value: Any, least: float, most: float) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:
        raise Problem(f"{name} must be a number from {least:g} to {most:g}, not {value!r}")
    return float(value)


def _layers(name: str, value: Any) -> tuple[int, ...]:
    """One layer as a number, several as a list; an empty list is a linear model."""
    layers = value if isinstance(value, list) else [value]
    if len(layers) > 10:
        raise Problem(f"{name} must have at most 10 layers, not {len(layers)}")
    return tuple(_whole(name, units, 1, 4096) for units in layers)


def _one_of(name: str, value: Any, words: tuple[str, ...]) -> str:
    if value not in words:
        raise Problem(f"{name} must be one of {', '.join(words)}, not {value!r}")
    return str(value)


def _word(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Problem(f"{name} must be a word, not {value!r}")
    return value


def describe(parameters: Parameters) -> str:
    """Return the parameters on one line, as a user writes them."""
    wire = {field: name for name, field in NAMES.items()}
    return ", ".join(f"{wire[one.name]}={getattr(parameters, one.name)}" for one in fields(parameters))

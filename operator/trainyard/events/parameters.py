"""A run's parameters from an event: JSON pointers into its data, checked against the pipeline's types. Pure."""

from collections.abc import Mapping
from typing import Any

from trainyard.events.answers import PARAMETERS, Answer, Refused
from trainyard.events.delivery import Event, NotJson
from trainyard.resources.parameters import mismatch
from trainyard.resources.training_pipeline import TrainingPipelineSpec
from trainyard.resources.triggers import EventTrigger
from trainyard.resources.values import MOST_LEVELS, is_too_deep

_INTEGERS = range(-(2**63), 2**63)  # what the API server keeps exactly


class Absent(Exception):
    """The pointer leads to nothing."""


def values(event: Event, trigger: EventTrigger, spec: TrainingPipelineSpec) -> dict[str, Any]:
    """Return what the run is given. Raises Refused with what is wrong, all at once."""
    wrong: list[str] = []
    taken: dict[str, Any] = {}
    for name, pointer in trigger.parameters_from_data.items():
        try:
            taken[name] = at(event.data, pointer)
        except Absent as error:
            wrong.append(f"{name}: {error}")
    given = {**trigger.parameters, **taken}
    deep = [name for name, value in taken.items() if is_too_deep(value)]
    if deep:
        told = "; ".join(f"{name} is nested too deeply, at most {MOST_LEVELS} levels are taken" for name in deep)
        raise Refused(Answer(422, PARAMETERS, f"Parameters: {told}."[:1024]))
    absent = [name for name in trigger.parameters_from_data if name not in taken]
    wrong += _misfits(given, spec) + _missing({*given, *absent}, spec)
    if wrong:
        raise Refused(Answer(422, PARAMETERS, f"Parameters: {'; '.join(wrong)}."[:1024]))
    return given


def at(data: Any, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) leads to. Raises Absent."""
    if isinstance(data, NotJson):
        raise Absent("the event's data is no JSON")
    for token in pointer.split("/")[1:]:
        data = _step(data, token.replace("~1", "/").replace("~0", "~"), pointer)
    return data


def _step(data: Any, token: str, pointer: str) -> Any:
    if isinstance(data, Mapping) and token in data:
        return data[token]
    is_index = isinstance(data, list) and token.isascii() and token.isdigit() and token == str(int(token[:9] or "0"))
    if is_index and int(token) < len(data):
        return data[int(token)]
    raise Absent(f"the event's data has nothing at {pointer}")


def _misfits(given: Mapping[str, Any], spec: TrainingPipelineSpec) -> list[str]:
    """What is of another type, or unknown. A Kubeflow package declares parameters of its own: the run checks those."""
    types = {p.name: p.type for p in spec.parameters}
    wrong = [
        f"{name} is of type {found}, not {types[name]}"
        for name, value in given.items()
        if name in types and (found := mismatch(types[name], value))
    ]
    wrong += [f"{name} is beyond 64 bits" for name, value in given.items() if _is_huge(value)]
    if spec.engine.kubeflow is not None:
        return wrong
    return wrong + [f"{name} is no parameter of the pipeline" for name in given if name not in types]


def _missing(named: set[str], spec: TrainingPipelineSpec) -> list[str]:
    return [
        f"{p.name} has no default and no value" for p in spec.parameters if p.default is None and p.name not in named
    ]


def _is_huge(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_is_huge(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(_is_huge(inner) for inner in value)
    return isinstance(value, int) and value not in _INTEGERS

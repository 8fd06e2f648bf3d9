"""A run's parameters against its pipeline revision: complete, known and of the declared type. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainyard.resources import kfp_package
from trainyard.resources.parameters import mismatch
from trainyard.resources.pipeline_revision import PipelineState
from trainyard.resources.training_pipeline import Parameter


def declared(state: PipelineState) -> Sequence[Parameter]:
    """Return what a run of this state may or must give: a Kubeflow package tells of its parameters itself."""
    package = state.engine.kubeflow.package.inline if state.engine.kubeflow else None
    try:
        return kfp_package.parameters(kfp_package.parse(package), state.parameters) if package else state.parameters
    except kfp_package.Malformed:
        return state.parameters  # no revision keeps such a package; the engine refuses it


def complete(declared: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every declared parameter with the run's value, or its default. Check with `problem` first.

    An optional one without either is not passed at all.
    """
    values = {p.name: given.get(p.name, p.default) for p in declared}
    return {p.name: values[p.name] for p in declared if p.required or values[p.name] is not None}


def problem(declared: Sequence[Parameter], given: Mapping[str, Any]) -> str:
    """Return the sentence that says what is wrong with the given values, "" where nothing is."""
    names = {p.name for p in declared}
    unknown = [f"{name} is not a parameter of the pipeline" for name in sorted(given) if name not in names]
    missing = [f"{p.name} has no default and no value" for p in declared if p.name not in given and p.required]
    mistyped = [
        f"{p.name} is {_article(found)}, not {_article(p.type)}"
        for p in declared
        if p.name in given and (found := mismatch(p.type, given[p.name]))
    ]
    wrong = [*missing, *unknown, *mistyped]
    return f"Parameters: {'; '.join(wrong)}." if wrong else ""


def _article(type_name: str) -> str:
    if type_name == "null":
        return type_name
    return f"an {type_name}" if type_name == "Integer" else f"a {type_name}"

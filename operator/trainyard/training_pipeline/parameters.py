"""A pipeline's parameter declarations: each default of its declared type. Pure."""

from collections.abc import Sequence

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

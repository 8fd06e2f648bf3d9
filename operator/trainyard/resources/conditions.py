"""Conditions as kubernetes/community and kstatus want them, and the one way to write them.

Messages never change by themselves: no counts, times or random names, or every cycle would write.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from trainyard.resources.base import StatusModel, Timestamp, map_by

MESSAGE_LIMIT = 2048
MOST_CONDITIONS = 32


class Condition(StatusModel):
    """One condition of an object."""

    type: Annotated[str, StringConstraints(max_length=63)] = Field(description="What the condition is about.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(
        description="One CamelCase word to act on."
    )
    message: Annotated[str, StringConstraints(max_length=MESSAGE_LIMIT)] = Field(
        default="", description="A sentence for a person."
    )
    observed_generation: int = Field(default=0, description="The generation of the spec that it speaks of.")
    last_transition_time: Timestamp = Field(default="", description="When `status` last changed.")


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=MOST_CONDITIONS,
        json_schema_extra=map_by("type"),
    ),
]


def condition(
    type: str,  # noqa: A002 - the API's own word
    status: bool | None,
    reason: str,
    message: str = "",
) -> Condition:
    """Make a condition; None means Unknown. Times and generation are added by `merge`.

    A message may quote what somebody wrote; beyond the limit it is cut.
    """
    text: Literal["True", "False", "Unknown"] = "Unknown" if status is None else "True" if status else "False"
    return Condition(type=type, status=text, reason=reason, message=message[:MESSAGE_LIMIT])


def merge(before: Iterable[Condition], now: Iterable[Condition], generation: int, at: str) -> tuple[Condition, ...]:
    """Return `now`, keeping the transition time of each condition whose status did not change.

    `at` is the time for those that changed, RFC 3339 UTC with seconds.
    """
    old = {c.type: c for c in before}
    merged = []
    for new in now:
        same = old.get(new.type)
        kept = same.last_transition_time if same and same.status == new.status else at
        merged.append(new.model_copy(update={"observed_generation": generation, "last_transition_time": kept}))
    return tuple(merged)


def find(conditions: Iterable[Condition], type: str) -> Condition | None:  # noqa: A002 - the API's own word
    """Return the condition of that type, if there is one."""
    return next((c for c in conditions if c.type == type), None)


def is_true(conditions: Iterable[Condition], type: str) -> bool:  # noqa: A002 - the API's own word
    """Whether the condition of that type is there and True."""
    found = find(conditions, type)
    return found is not None and found.status == "True"

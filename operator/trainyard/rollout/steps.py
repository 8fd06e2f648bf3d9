"""The ladder: which weight a step stands for, and what an edit in flight changes. Pure."""

from collections.abc import Sequence

from trainyard.naming import digest
from trainyard.resources.rollout import Step


def describe(step: Step) -> str:
    """Return a step as a person would say it; equal steps give equal texts."""
    if step.set_weight is not None:
        return f"setWeight {step.set_weight}"
    seconds = step.pause.duration_seconds if step.pause else None
    return "pause" if seconds is None else f"pause {seconds} s"


def ladder(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the whole ladder as text, kept in status to see edits."""
    return tuple(describe(step) for step in steps)


def ladder_digest(steps: Sequence[Step]) -> str:
    """Return the digest of the ladder."""
    return digest(list(ladder(steps)))


def weight_at(steps: Sequence[Step], index: int) -> int:
    """Return the canary's weight while a step runs: the last one set; 100 after the last step."""
    if index >= len(steps):
        return 100
    return next((s.set_weight for s in reversed(steps[: index + 1]) if s.set_weight is not None), 0)


def is_pause(steps: Sequence[Step], index: int) -> bool:
    """Whether a step of that number is there and is a pause."""
    return index < len(steps) and steps[index].pause is not None


def pause_seconds(steps: Sequence[Step], index: int) -> int | None:
    """Return how long a pause lasts; None where it waits for a person, or is none."""
    pause = steps[index].pause if index < len(steps) else None
    return pause.duration_seconds if pause else None


def waits_for_person(steps: Sequence[Step], index: int) -> bool:
    """Whether the step ends only by `promote`."""
    return is_pause(steps, index) and pause_seconds(steps, index) is None


def first_difference(before: Sequence[str], now: Sequence[str]) -> int | None:
    """Return the first step that two ladders do not share; None where they are equal."""
    for index, (old, new) in enumerate(zip(before, now, strict=False)):
        if old != new:
            return index
    return None if len(before) == len(now) else min(len(before), len(now))

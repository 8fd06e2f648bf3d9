"""The ladder: what stands on the route at a step, how big the canary is, and what an edit in flight changes. Pure."""

from collections.abc import Mapping, Sequence

from trainyard.naming import digest
from trainyard.resources.rollout_strategy import HeaderMatch
from trainyard.rollout.strategies import Rung


def ladder(steps: Sequence[Rung]) -> tuple[str, ...]:
    """Return the whole ladder as text, kept in status to see edits."""
    return tuple(step.text for step in steps)


def ladder_digest(steps: Sequence[Rung]) -> str:
    """Return the digest of the ladder."""
    return digest(list(ladder(steps)))


def rung(steps: Sequence[Rung], index: int) -> Rung | None:
    """Return the step of that number, None after the last one."""
    return steps[index] if index < len(steps) else None


def weight_at(steps: Sequence[Rung], index: int) -> int:
    """Return the canary's weight while a step runs: the last one set; 100 after the last step."""
    if index >= len(steps):
        return 100
    return next((s.set_weight for s in reversed(steps[: index + 1]) if s.set_weight is not None), 0)


def sized_at(steps: Sequence[Rung], index: int) -> int:
    """Return the weight that the canary is sized for while a step runs: at least the one it has."""
    set_here = (s for s in reversed(steps[: index + 1]) if s.set_weight is not None)
    last = next(set_here, None)
    return max(weight_at(steps, index), (last.sized or 0) if last else 0)


def headers_at(steps: Sequence[Rung], index: int) -> Mapping[str, tuple[HeaderMatch, ...]]:
    """Return name -> matches of the header routes that stand while a step runs, in the order of their steps."""
    found: dict[str, tuple[HeaderMatch, ...]] = {}
    for step in steps[: index + 1] if index < len(steps) else ():
        if step.header:
            found.pop(step.header.name, None)
            found |= {step.header.name: step.header.match} if step.header.match else {}
    return found


def mirror_at(steps: Sequence[Rung], index: int) -> int:
    """Return of how many of a hundred requests the canary gets a copy while a step runs."""
    if index >= len(steps):
        return 0
    return next((s.mirror for s in reversed(steps[: index + 1]) if s.mirror is not None), 0)


def lasts(steps: Sequence[Rung], index: int) -> bool:
    """Whether a step of that number is there and takes time."""
    step = rung(steps, index)
    return step is not None and step.lasts


def is_pause(steps: Sequence[Rung], index: int) -> bool:
    """Whether a step of that number is there and is a pause."""
    return index < len(steps) and steps[index].pause is not None


def pause_seconds(steps: Sequence[Rung], index: int) -> int | None:
    """Return how long a pause lasts; None where it waits for a person, or is none."""
    pause = steps[index].pause if index < len(steps) else None
    return pause.duration_seconds if pause else None


def waits_for_person(steps: Sequence[Rung], index: int) -> bool:
    """Whether the step ends only by `promote`."""
    return is_pause(steps, index) and pause_seconds(steps, index) is None


def first_difference(before: Sequence[str], now: Sequence[str]) -> int | None:
    """Return the first step that two ladders do not share; None where they are equal."""
    for index, (old, new) in enumerate(zip(before, now, strict=False)):
        if old != new:
            return index
    return None if len(before) == len(now) else min(len(before), len(now))

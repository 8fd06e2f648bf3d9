"""`trainyard runs --pipeline … --state …`: which runs are meant, and a sentence where none is. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from trainyard import naming
from trainyard.cli import clock
from trainyard.cli.objects import Obj, at, condition, reason
from trainyard.cli.problem import USAGE, Problem

PENDING = "Pending"


@dataclass(frozen=True)
class Wanted:
    """Filters; None lets everything pass. state: Running (not ended), Succeeded, Failed, or a reason."""

    pipeline: str | None = None
    model: str | None = None
    trigger: str | None = None
    state: str | None = None
    since: datetime | None = None
    by: str | None = None


def select(runs: Sequence[Obj], wanted: Wanted, models: Mapping[str, str]) -> list[Obj]:
    """Return the runs that pass. models: which model each pipeline trains."""
    return [run for run in runs if _passes(run, wanted, models)]


def state(run: Obj) -> str:
    """Return one word: the reason that a run is running or has ended for, Pending before there is one."""
    return reason(run, "Succeeded") or PENDING


def trigger(run: Obj) -> str:
    """Return what started a run: OneOff, Change, `Schedule nightly`, `Event new-data`."""
    kind = at(run, "spec.trigger.type", "OneOff")
    name = at(run, "spec.trigger.name") if kind in ("Schedule", "Event") else ""
    return f"{kind} {name}".strip()


def asker(run: Obj) -> str:
    """Return who asked for a run, as far as it is told."""
    by = at(run, "status.requestedBy") or at(run, "spec.requestedBy")
    return str(by or (at(run, "spec.trigger.name") if at(run, "spec.trigger.type", "OneOff") == "OneOff" else ""))


def read_since(text: str | None, present: datetime) -> datetime | None:
    """Read --since. Raises Problem."""
    try:
        return clock.since(text, present) if text else None
    except ValueError:
        sentence = f"--since {text}: write a span (90m, 36h, 7d, 2w), a date or a time (2026-11-20T06:00:00Z)."
        raise Problem(sentence, USAGE) from None


def none_of(runs: Sequence[Obj], shown_of: str) -> str:
    """Return the sentence for an empty list; it says what there is, for a filter may be mistyped."""
    if not runs:
        return f"No TrainingRun {shown_of}."
    states = ", ".join(sorted({state(run) for run in runs}))
    triggers = ", ".join(sorted({trigger(run) for run in runs}))
    return f"None of the {len(runs)} TrainingRuns {shown_of} is meant. States: {states}; triggers: {triggers}."


def _passes(run: Obj, wanted: Wanted, models: Mapping[str, str]) -> bool:
    made = clock.parse(at(run, "metadata.creationTimestamp"))
    return (
        wanted.pipeline in (None, at(run, "spec.pipeline"))
        and wanted.model in (None, _model(run, models))
        and (wanted.trigger is None or wanted.trigger.casefold() in _triggers(run))
        and (wanted.state is None or wanted.state.casefold() in _states(run))
        and (wanted.since is None or (made is not None and made >= wanted.since))
        and (wanted.by is None or wanted.by == asker(run))
    )


def _model(run: Obj, models: Mapping[str, str]) -> str:
    labels = at(run, "metadata.labels", {})
    return str(labels.get(naming.LABEL_MODEL) or models.get(at(run, "spec.pipeline"), ""))


def _triggers(run: Obj) -> set[str]:
    kind, name = at(run, "spec.trigger.type", "OneOff"), at(run, "spec.trigger.name")
    return {text.casefold() for text in (kind, name, trigger(run)) if text}


def _states(run: Obj) -> set[str]:
    names = {"True": "Succeeded", "False": "Failed"}
    return {state(run).casefold(), names.get(condition(run, "Succeeded").get("status", ""), "Running").casefold()}

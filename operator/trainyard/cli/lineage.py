"""What was this model trained on, which models came from this dataset, what became of this run. Pure.

Answers are made from `Facts`, wherever they come from: the cluster (what is there now), the record (what ever was).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, TypeVar

from trainyard.cli.problem import Problem


@dataclass(frozen=True)
class Dataset:
    """Data that went in; digest is its version, "" where it was never read."""

    name: str
    uri: str
    digest: str = ""

    def is_called(self, text: str) -> bool:
        """Whether this is its name, its address or its version (or the beginning of one)."""
        return text in (self.name, self.uri) or (len(text) >= 12 and self.digest.startswith(text))


@dataclass(frozen=True)
class Decision:
    """A verdict about a version: who or what gave it, when, why."""

    at: str
    decision: str
    verdict: str
    by: str
    version: str
    message: str = ""


@dataclass(frozen=True)
class Run:
    """One training. Times are RFC 3339; state is its outcome's reason."""

    name: str
    pipeline: str
    at: str
    state: str
    requested_by: str = ""
    trigger: str = ""
    experiment: str = ""
    description: str = ""
    revision: str = ""
    package_digest: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()
    images: tuple[str, ...] = ()
    version: str = ""
    attempts: tuple[str, ...] = ()
    pruned: bool = False


@dataclass(frozen=True)
class Version:
    """One model, and the run that made it where that is known."""

    name: str
    model: str
    at: str
    run: str = ""
    uri: str = ""
    digest: str = ""
    metrics: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()
    images: tuple[str, ...] = ()
    state: str = ""
    served_by: tuple[str, ...] = ()
    pruned: bool = False


@dataclass(frozen=True)
class Facts:
    """What is known. `pruned` things are in the record only."""

    versions: tuple[Version, ...] = ()
    runs: tuple[Run, ...] = ()
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A question's answer: what was asked about, and all that belongs to it, newest first."""

    kind: str
    name: str
    asked: tuple[str, ...]
    versions: tuple[Version, ...] = ()
    runs: tuple[Run, ...] = ()
    decisions: tuple[Decision, ...] = ()


Named = TypeVar("Named", Version, Run)


def together(cluster: Facts, record: Facts) -> Facts:
    """Return what both know; where both know a thing, the cluster's word counts, of decisions the record's."""
    return Facts(
        _joined(cluster.versions, record.versions),
        _joined(cluster.runs, record.runs),
        record.decisions or cluster.decisions,
    )


def of_model(facts: Facts, name: str, asked: Sequence[str]) -> Answer:
    """Return the versions of a model, or the one version of that name, with their runs. Raises Problem."""
    versions = [v for v in facts.versions if v.name == name] or [v for v in facts.versions if v.model == name]
    if not versions:
        raise Problem(f"Neither a model nor a ModelVersion {name!r} is known to {_sources(asked)}.")
    return _answer("model", name, asked, facts, versions, {v.run for v in versions})


def of_dataset(facts: Facts, name: str, asked: Sequence[str]) -> Answer:
    """Return the versions and the runs that a dataset went into. Raises Problem."""
    versions = [v for v in facts.versions if any(d.is_called(name) for d in v.datasets)]
    runs = {r.name for r in facts.runs if any(d.is_called(name) for d in r.datasets)} | {v.run for v in versions}
    if not runs and not versions:
        things: tuple[Version | Run, ...] = (*facts.versions, *facts.runs)
        known = sorted({d.name for thing in things for d in thing.datasets})
        hint = f" Datasets here: {', '.join(known)}." if known else ""
        raise Problem(f"No run was trained on a dataset {name!r}, as far as {_sources(asked)} knows.{hint}")
    return _answer("dataset", name, asked, facts, versions, runs)


def of_run(facts: Facts, name: str, asked: Sequence[str]) -> Answer:
    """Return a run, the version that it made, and what was decided about that. Raises Problem."""
    if not any(run.name == name for run in facts.runs):
        raise Problem(f"No TrainingRun {name!r} is known to {_sources(asked)}.")
    return _answer("run", name, asked, facts, [v for v in facts.versions if v.run == name], {name})


def _answer(
    kind: str, name: str, asked: Sequence[str], facts: Facts, versions: Sequence[Version], runs: set[str]
) -> Answer:
    named = {v.name for v in versions}
    return Answer(
        kind,
        name,
        tuple(asked),
        tuple(sorted(versions, key=lambda v: (v.at, v.name), reverse=True)),
        tuple(sorted((r for r in facts.runs if r.name in runs), key=lambda r: (r.at, r.name), reverse=True)),
        tuple(sorted((d for d in facts.decisions if d.version in named), key=lambda d: d.at, reverse=True)),
    )


def _joined(here: Iterable[Named], recorded: Iterable[Named]) -> tuple[Named, ...]:
    known: dict[str, Named] = {one.name: one for one in here}
    return tuple(chain(known.values(), (replace(one, pruned=True) for one in recorded if one.name not in known)))


def _sources(asked: Sequence[str]) -> str:
    return " and ".join(f"the {source}" for source in asked)

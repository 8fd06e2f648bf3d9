"""How lineage looks. Pure."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.text import Text

from trainyard import naming
from trainyard.cli import clock
from trainyard.cli.console import Columns, facts, table, word
from trainyard.cli.lineage import Answer, Dataset, Decision, Run, Version
from trainyard.cli.run_details import short, values

VERSIONS = ("VERSION", "MODEL", "MADE", "RUN", "STATE", "SERVED BY", "DATASETS")
RUNS = ("RUN", "PIPELINE", "STATE", "TRIGGER", "BY", "AGE", "DATASETS")
DECISIONS = ("AT", "VERSION", "DECISION", "VERDICT", "BY", "WHY")
DATASETS = ("DATASET", "VERSION", "URI")
PRUNED = "pruned"


def screen(answer: Answer, present: datetime) -> Group:
    """Return an answer: the whole of one thing, or a line for each of several."""
    parts: list[Any] = [Text.assemble((f"{answer.kind} ", "bold"), answer.name)]
    sections = _whole(answer, present) if _is_one(answer) else _lists(answer, present)
    for section in sections:
        parts += [Text(), section]
    if answer.decisions:
        parts += [Text(), _decisions(answer.decisions, present)]
    if answer.asked == ("cluster",):
        parts += [Text(), Text("From the cluster: what was pruned is in the record (--database).", style="dim")]
    return Group(*parts)


def as_json(answer: Answer) -> dict[str, Any]:
    """Return an answer as JSON."""
    return asdict(answer)


def names(answer: Answer) -> list[str]:
    """Return a line for each version and run, as `-o name` writes objects."""
    group = naming.GROUP
    return [
        *(f"modelversion.{group}/{v.name}" for v in answer.versions),
        *(f"trainingrun.{group}/{r.name}" for r in answer.runs),
    ]


def _is_one(answer: Answer) -> bool:
    return answer.kind != "dataset" and len(answer.versions) <= 1 and len(answer.runs) <= 1


def _whole(answer: Answer, present: datetime) -> Iterator[Any]:
    for run in answer.runs:
        yield _run(run, present)
    for version in answer.versions:
        yield _version(version, present)
    things: tuple[Version | Run, ...] = (*answer.versions, *answer.runs)
    inputs = next((thing.datasets for thing in things if thing.datasets), ())
    yield table(DATASETS, [(d.name, short(d.digest), d.uri) for d in inputs]) if inputs else Text("no datasets")


def _lists(answer: Answer, present: datetime) -> Iterator[Any]:
    if answer.versions:
        yield _versions(answer, present)
    made = {version.run for version in answer.versions}
    others = [run for run in answer.runs if run.name not in made]
    if others:
        yield Text("runs that made no version" if answer.kind == "dataset" else "other runs", style="bold")
        yield _runs(others, present)


def _run(run: Run, present: datetime) -> Any:
    return facts(
        [
            ("run", _titled(run)),
            ("trigger", run.trigger),
            ("requested by", run.requested_by),
            ("description", run.description),
            ("experiment", run.experiment),
            ("pipeline", f"{run.pipeline}  revision {run.revision}" if run.revision else run.pipeline),
            ("package", run.package_digest),
            ("parameters", "  ".join(f"{name}={value}" for name, value in values(run.parameters))),
            ("failed attempts", ", ".join(run.attempts)),
            ("started", _moment(run.at, present)),
        ]
    )


def _version(version: Version, present: datetime) -> Any:
    return facts(
        [
            ("version", _titled(version)),
            ("model", version.model),
            ("artifact", version.uri),
            ("digest", version.digest),
            ("metrics", "  ".join(f"{name} {value}" for name, value in sorted(version.metrics.items()))),
            ("images", ", ".join(map(short, version.images))),
            ("made", _moment(version.at, present)),
            ("serves in", ", ".join(version.served_by)),
        ]
    )


def _versions(answer: Answer, present: datetime) -> Columns:
    return table(
        VERSIONS,
        [
            (
                v.name,
                v.model,
                f"{clock.age(v.at, present)} ago",
                v.run,
                word(PRUNED if v.pruned else v.state),
                ",".join(v.served_by),
                _inputs(v.datasets, answer),
            )
            for v in answer.versions
        ],
        ("RUN", "MODEL", "STATE"),
    )


def _runs(runs: list[Run], present: datetime) -> Columns:
    return table(
        RUNS,
        [
            (
                r.name,
                r.pipeline,
                word(r.state),
                r.trigger,
                r.requested_by,
                clock.age(r.at, present),
                ", ".join(_named(d) for d in r.datasets),
            )
            for r in runs
        ],
        ("BY", "TRIGGER", "PIPELINE"),
    )


def _inputs(datasets: tuple[Dataset, ...], answer: Answer) -> str:
    """Return a version's datasets; of those, where one is asked about, that one."""
    shown = [d for d in datasets if d.is_called(answer.name)] if answer.kind == "dataset" else datasets
    return ", ".join(_named(d) for d in shown)


def _named(dataset: Dataset) -> str:
    return f"{dataset.name}@{short(dataset.digest)}" if dataset.digest else dataset.name


def _decisions(decisions: tuple[Decision, ...], present: datetime) -> Columns:
    return table(
        DECISIONS,
        [
            (f"{clock.age(d.at, present)} ago", d.version, word(d.decision), word(d.verdict), d.by, d.message)
            for d in decisions
        ],
        ("VERSION",),
    )


def _titled(one: Run | Version) -> str:
    """Return name and state, and whether it is in the record only."""
    return "  ".join(part for part in (one.name, one.state, f"({PRUNED})" if one.pruned else "") if part)


def _moment(stamp: str, present: datetime) -> str:
    return f"{stamp} ({clock.age(stamp, present)} ago)" if stamp else ""

"""`trainyard run show`: who asked for a run and why, with what it ran, and what came of it. Pure."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from trainyard.cli import clock, run_screen, selection
from trainyard.cli.console import facts, table
from trainyard.cli.objects import Obj, at, condition, said

DATASETS = ("DATASET", "VERSION", "URI")
PARAMETERS = ("PARAMETER", "VALUE")
SHORT = 19  # of a digest: sha256: and twelve digits


def details(run: Obj, present: datetime) -> Group:
    """Return everything that is recorded of a run."""
    parts: list[Any] = [run_screen.head(run, present), *(Text(line) for line in run_screen.waits(run, present))]
    parts.append(_asked(run, present))
    for section in _sections(run, present):
        parts += [Text(), section]
    ends = run_screen.closing(run)
    return Group(*parts, *([Text()] if ends else []), *(Text(line) for line in ends), *_warnings(run))


def short(digest: str) -> str:
    """Return as much of a digest as tells it from others."""
    return digest[:SHORT]


def values(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return parameters as text, by name."""
    return [(n, v if isinstance(v, str) else json.dumps(v)) for n, v in sorted(parameters.items())]


def _asked(run: Obj, present: datetime) -> Table:
    started = at(run, "status.startTime")
    return facts(
        [
            ("trigger", _why(run)),
            ("requested by", selection.asker(run)),
            ("cancelled by", at(run, "status.cancelledBy") or at(run, "spec.cancelledBy")),
            ("description", at(run, "status.description") or at(run, "spec.description")),
            ("experiment", at(run, "status.experiment") or at(run, "spec.experiment")),
            ("pipeline", _pipeline(run)),
            ("package", at(run, "status.packageDigest")),
            ("engine", _engine(run)),
            ("look there", at(run, "status.engine.url")),
            ("images", ", ".join(short(d) for d in at(run, "status.images", ()))),
            ("created", _moment(at(run, "metadata.creationTimestamp"), present)),
            ("started", _moment(started, present)),
            ("ended", _moment(at(run, "status.completionTime"), present)),
        ]
    )


def _why(run: Obj) -> str:
    """Return the trigger with what sets this run apart: its slot, its event, its inputs."""
    told = [selection.trigger(run)]
    if slot := at(run, "spec.trigger.slot"):
        told.append(f"for {slot}")
    if event := at(run, "spec.trigger.eventId"):
        told.append(f"{event} of {at(run, 'spec.trigger.eventSource')}")
    if digest := at(run, "spec.trigger.inputsDigest"):
        told.append(f"to inputs {short(digest)}")
    return "  ".join(told)


def _pipeline(run: Obj) -> str:
    revision = at(run, "status.revision") or at(run, "spec.revision")
    return f"{at(run, 'spec.pipeline')}" + (f"  revision {revision}" if revision else "")


def _engine(run: Obj) -> str:
    kind = at(run, "status.engine.kind")
    attempt = f", attempt {run_screen.last_attempt(run)}" if at(run, "status.attempt", 0) > 1 else ""
    return f"{kind}  {at(run, 'status.engine.id')}{attempt}" if kind else ""


def _moment(stamp: str, present: datetime) -> str:
    return f"{stamp} ({clock.age(stamp, present)} ago)" if stamp else ""


def _sections(run: Obj, present: datetime) -> Iterator[Any]:
    if parameters := at(run, "status.parameters", {}) or at(run, "spec.parameters", {}):
        yield table(PARAMETERS, values(parameters))
    if datasets := at(run, "status.datasets", ()):
        yield table(DATASETS, [(d["name"], short(d["digest"]), d["uri"]) for d in datasets])
    if at(run, "status.attempts", ()):
        yield run_screen.attempts(run, present)
    if at(run, "status.steps", ()):
        yield run_screen.steps(run, present)
    if artifact := at(run, "status.outputs.artifact", {}):
        size = f"{artifact.get('sizeBytes', 0):,} bytes of {artifact.get('format', '')}"
        reports = at(run, "status.outputs.reports", {})
        told = [("model", artifact.get("uri", "")), ("digest", artifact.get("digest", "")), ("size", size)]
        yield facts([*told, *((f"report {name}", uri) for name, uri in sorted(reports.items()))])


def _warnings(run: Obj) -> Iterator[Text]:
    waiting = len(at(run, "status.unrecorded", ()))
    if waiting:
        yield Text(f"{waiting} rows wait for the metadata database.", style="yellow")
    elif condition(run, "Recorded").get("status") == "False":
        yield Text(f"Not recorded: {said(run, 'Recorded')}", style="yellow")

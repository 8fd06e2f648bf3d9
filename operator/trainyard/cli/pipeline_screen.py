"""`trainyard pipeline show`: what a pipeline trains, with what, when next, and its newest runs. Pure."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from trainyard.cli import clock, listing
from trainyard.cli.console import facts, table, word
from trainyard.cli.objects import Obj, at, condition, said

TRIGGERS = ("TRIGGER", "NAME", "WHEN", "NEXT", "LAST")
PARAMETERS = ("PARAMETER", "TYPE", "DEFAULT", "DESCRIPTION")
DATASETS = ("DATASET", "URI")
SHOWN_RUNS = 5


def screen(pipeline: Obj, runs: Sequence[Obj], present: datetime) -> Group:
    """Return a pipeline, and the newest of its runs."""
    ready = condition(pipeline, "Ready")
    parts: list[Any] = [
        Text.assemble(
            ("TrainingPipeline ", "bold"), at(pipeline, "metadata.name"), "  Ready ",
            word(ready.get("status", "Unknown")), f"  {said(pipeline, 'Ready')}".rstrip(),
        )
    ]  # fmt: skip
    if condition(pipeline, "Accepted").get("status") == "False":
        parts.append(Text(f"Not accepted: {said(pipeline, 'Accepted')}", style="red"))
    if condition(pipeline, "TriggersReady").get("status") == "False":
        parts.append(Text(f"Triggers: {said(pipeline, 'TriggersReady')}", style="yellow"))
    parts.append(_facts(pipeline))
    for section in _sections(pipeline, runs, present):
        parts += [Text(), section]
    return Group(*parts)


def _facts(pipeline: Obj) -> Table:
    spec = at(pipeline, "spec", {})
    retry = at(spec, "retry.limit", 0)
    return facts(
        [
            ("model", at(spec, "model")),
            ("engine", _engine(spec)),
            ("package", at(pipeline, "status.packageDigest")),
            ("revision", at(pipeline, "status.revision")),
            ("concurrency", at(spec, "concurrency", "Forbid")),
            ("limits", f"{clock.spoken(at(spec, 'timeoutSeconds', 86_400))} a run, {_attempts(retry)}"),
            ("active runs", ", ".join(at(pipeline, "status.activeRuns", ()))),
            ("last run", at(pipeline, "status.lastRun")),
            ("latest version", at(pipeline, "status.latestVersion")),
            ("suspended", "no run starts by trigger" if at(spec, "suspend", False) else ""),
        ]
    )


def _attempts(retry: int) -> str:
    return f"{retry + 1} attempts" if retry else "1 attempt"


def _engine(spec: Obj) -> str:
    job, kubeflow = at(spec, "engine.job", None), at(spec, "engine.kubeflow", None)
    if job is not None:
        workers = at(job, "workers", 1)
        return f"job  {at(job, 'template.image')}" + (f"  {workers} workers" if workers > 1 else "")
    if kubeflow is None:
        return ""
    kind, where = next(iter(at(kubeflow, "package", {}).items()), ("", ""))
    told = {"configMap": f"ConfigMap {at(where, 'name')}", "artifact": where, "inline": "inline"}.get(kind, "")
    return f"kubeflow  package {told}"


def _sections(pipeline: Obj, runs: Sequence[Obj], present: datetime) -> Iterator[Any]:
    triggers = list(_triggers(pipeline, present))
    yield table(TRIGGERS, triggers, ("LAST",)) if triggers else Text("no triggers: runs start by hand only")
    if parameters := at(pipeline, "spec.parameters", ()):
        yield table(PARAMETERS, [_parameter(p) for p in parameters])
    if datasets := at(pipeline, "spec.data.datasets", ()):
        yield table(DATASETS, [(d["name"], d["uri"]) for d in datasets])
    if runs:
        yield listing.runs(listing.newest_first(runs)[:SHOWN_RUNS], present)


def _triggers(pipeline: Obj, present: datetime) -> Iterator[tuple[str, ...]]:
    triggers = at(pipeline, "spec.triggers", {})
    if at(triggers, "onChange", False):
        yield "Change", "", "engine, parameters or data URIs change", "", ""
    told = {s["name"]: s for s in at(pipeline, "status.schedules", ())}
    for schedule in at(triggers, "schedules", ()):
        known = told.get(schedule["name"], {})
        paused = schedule.get("suspend") or at(pipeline, "spec.suspend", False)
        due = "suspended" if paused else clock.until(known.get("next"), present)
        when = f"{schedule['cron']} {schedule.get('timeZone', 'UTC')}"
        yield "Schedule", schedule["name"], when, due, known.get("lastSlot", "")
    for event in at(triggers, "events", ()):
        yield "Event", event["name"], _event(event), "", ""


def _event(event: Obj) -> str:
    kind, source = event.get("type") or "any type", event.get("source")
    proof = next(iter(event.get("auth", {})), "")
    return f"{kind}{f' from {source}' if source else ''}, proof: {proof}"


def _parameter(parameter: Obj) -> tuple[str, ...]:
    given = parameter.get("default")
    default = "(a run must give it)" if given is None else given if isinstance(given, str) else json.dumps(given)
    return parameter["name"], parameter["type"], default, parameter.get("description", "")

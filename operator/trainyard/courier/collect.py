"""The verb `collect`: fetch what a Kubeflow run left under its own pipeline root, laid out as `publish` wants it.

The root holds `<pipeline>/<run>/<task>/<execution>/<artifact>`, an object or a folder of them. What a step from the
cache "made" lies under another run's root and is not found here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainyard.courier.carrying import Carrier
from trainyard.courier.folders import appearing, emptied
from trainyard.courier.outcome import Missing, Unusable
from trainyard.courier.publish import FORMAT, MODEL
from trainyard.systems.artifacts.addresses import address, check_key
from trainyard.systems.artifacts.port import ObjectInfo


@dataclass(frozen=True)
class Wanted:
    """One output of one task."""

    task: str
    artifact: str


@dataclass(frozen=True)
class Order:
    """What is to be fetched. root: the pipeline root, with a slash; run: the run's id on the server."""

    root: str
    run: str
    model: Wanted
    format: str
    metrics: Wanted | None = None


def order(text: str) -> Order:
    """Read `TRAINYARD_COLLECT`. Raises Unusable."""
    try:
        body = json.loads(text)
        metrics = _wanted(body["metrics"]) if body.get("metrics") else None
        found = Order(str(body["root"]), str(body["run"]), _wanted(body["model"]), str(body["format"]), metrics)
        address(found.root)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unusable(f"TRAINYARD_COLLECT is not what it must be: {error}") from error
    if not found.root.endswith("/") or not FORMAT.fullmatch(found.format):
        raise Unusable("TRAINYARD_COLLECT: the root is no folder, or the format no word")
    return found


async def collect(carrier: Carrier, wanted: Order, output: Path) -> str:
    """Fetch to `output/model/`, `output/metrics.json` and `output/format`; the sentence that tells it."""
    rows = await carrier.patiently(lambda: carrier.artifacts.list(wanted.root))
    model = outputs_of(rows, wanted.run, wanted.model)
    report = outputs_of(rows, wanted.run, wanted.metrics) if wanted.metrics else {}
    carrier.progress.expect(len(model) + len(report), sum(row.size for row in rows if row.path in model))
    folder = emptied(output / MODEL)

    async def one(pair: tuple[str, str]) -> None:
        await carrier.download(wanted.root + pair[0], pair[1], folder / pair[1])

    await carrier.each(model.items(), one)
    if wanted.metrics:
        await carrier.download(wanted.root + _report(report, wanted.metrics), "metrics.json", output / "metrics.json")
    with appearing(output / "format") as file:
        file.write(wanted.format.encode())
    return f"collected {len(model)} files of {wanted.model.task}/{wanted.model.artifact}"


def outputs_of(rows: Sequence[ObjectInfo], run: str, wanted: Wanted) -> dict[str, str]:
    """Return an output's objects: path below the root to path within the artifact. Raises Missing, Unusable."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        parts = row.path.split("/")
        at = parts.index(run) + 1 if run in parts else len(parts)
        task, execution, artifact, *inner = (*parts[at:], "", "", "") if at + 3 > len(parts) else parts[at:]
        if (task, artifact) == (wanted.task, wanted.artifact) and (row.size or (inner or [artifact])[-1]):
            found.setdefault(execution, {})[row.path] = "/".join(inner) or artifact
    if not found:
        raise Missing(
            f"step {wanted.task} left no {wanted.artifact} under this run's root: a step that Kubeflow's cache "
            "answered, and a Metrics artifact, leave none"
        )
    if len(found) > 1:
        raise Unusable(
            f"step {wanted.task} ran {len(found)} times and left {wanted.artifact} each time: which is meant?"
        )
    (files,) = found.values()
    for path in files.values():
        try:
            check_key(path)
        except ValueError as error:
            raise Unusable(f"step {wanted.task}, {wanted.artifact}: {error}") from error
    return files


def _report(files: Mapping[str, str], wanted: Wanted) -> str:
    """Return the one object that the report is."""
    reports = [path for path, inner in files.items() if len(files) == 1 or inner.endswith(".json")]
    if len(reports) != 1:
        raise Unusable(f"step {wanted.task}, {wanted.artifact}: {len(reports)} JSON files; metrics are one")
    return reports[0]


def _wanted(body: Mapping[str, Any]) -> Wanted:
    return Wanted(str(body["task"]), str(body["artifact"]))

"""From what was measured to `latest.json` and the tables. Pure, but for asking the machine what it is."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from rich.table import Table

from bench.figures import per_minute, percentile
from bench.measuring import Plan, Results
from bench.ours import ROOT, Trainyard

# What the operator's own code, and so its figures, depend on.
MEASURED = ("operator", "crds", "requirements.lock")
PARTS = ("kopf", "kubernetes", "aiohttp", "pydantic")
FOOTER = """\
Real: kube-apiserver, etcd (without fsync), the operators, whose requests are counted in the audit log.
Played, for each alike: pods and gateways answer at once, through the API server; Prometheus and the store are
scripted. All of it shares the machine's cores. A change counts from before its request is sent until a watch shows
weight. Writes leave out events and the Lease; requests leave out the Lease, but for those when idle."""

Figures = Mapping[str, float]


class Row(NamedTuple):
    """One figure in the tables. target: what Trainyard is to stay under at a thousand Rollouts, None for no target."""

    key: str
    name: str
    unit: str
    target: float | None = None


ROWS = (
    Row("single_p50_ms", "single change to first weight, p50", "ms", 100),
    Row("single_p99_ms", "single change to first weight, p99", "ms", 500),
    Row("burst_done_s", "all changed at once, until the last has weight", "s", 20),
    Row("writes_per_step", "writes of a step that changes weight alone", "", 3),
    Row("requests_per_step", "requests of such a step, events included", ""),
    Row("idle_requests_per_min", "requests when idle", "a minute"),
    Row("idle_cpu_percent", "processor when idle", "% of a core", 1),
    Row("rss_mb", "resident memory, all canaries in flight", "MB", 150),
    Row("recovery_s", "SIGKILL until the last canary has moved on", "s"),
)
DETAILS = (
    Row("events_per_step", "  events of a step", ""),
    Row("idle_writes", "  writes and events while idle", ""),
    Row("idle_lease_requests_per_min", "  requests when idle for the Lease", "a minute"),
    Row("burst_requests_per_rollout", "  requests a Rollout when all change", ""),
    Row("burst_cpu_ms_per_rollout", "  processor a Rollout when all change", "ms"),
    Row("in_flight_cpu_percent", "  processor, all canaries in flight", "% of a core"),
    Row("recovery_until_lease_s", "  SIGKILL until the next process leads", "s"),
    Row("touched", "  Rollouts left lying, until they were touched", ""),
)


def figures(results: Results) -> dict[str, float]:
    """Return the figures by the keys of `latest.json`."""
    milliseconds = [1000 * seconds for seconds in results.single]
    numbers = {
        "single_p50_ms": percentile(milliseconds, 50),
        "single_p99_ms": percentile(milliseconds, 99),
        "burst_done_s": results.burst,
        "writes_per_step": mean([sum(r.is_write for r in step) for step in results.steps]),
        "requests_per_step": mean([len(step) for step in results.steps]),
        "idle_requests_per_min": per_minute(len(results.idle.requests), results.idle.seconds),
        "idle_cpu_percent": 100 * results.idle.cpu_seconds / results.idle.seconds,
        "rss_mb": results.rss_mb,
        "recovery_s": results.recovery,
    }
    return {key: round(float(number), 2) for key, number in numbers.items()}


def details(plan: Plan, results: Results) -> dict[str, float]:
    """Return what explains the figures: how many samples, and what of them is events and the Lease."""
    idle, flying, burst = results.idle, results.flying, results.burst_stretch
    numbers = {
        "changes": plan.changes,
        "steps": plan.steps,
        "most_writes_of_a_step": max(sum(r.is_write for r in step) for step in results.steps),
        "events_per_step": mean([sum(r.is_event for r in step) for step in results.steps]),
        "idle_seconds": idle.seconds,
        "idle_lease_requests_per_min": per_minute(sum(not r.is_work for r in idle.requests), idle.seconds),
        "idle_writes": sum(r.is_write or r.is_event for r in idle.requests),
        "burst_settled_s": burst.seconds,
        "burst_requests_per_rollout": sum(r.is_work for r in burst.requests) / plan.rollouts,
        "burst_cpu_ms_per_rollout": 1000 * burst.cpu_seconds / plan.rollouts,
        "in_flight_requests_per_min": per_minute(len(flying.requests), flying.seconds),
        "in_flight_queries_per_min": per_minute(flying.queries, flying.seconds),
        "in_flight_cpu_percent": 100 * flying.cpu_seconds / flying.seconds,
        "recovery_until_lease_s": results.led_again,
        "touched": results.touched,
    }
    return {key: round(float(number), 2) for key, number in numbers.items()}


class Part(NamedTuple):
    """What one tool was measured to be with one number of Rollouts. seconds: how long that took."""

    rollouts: int
    tool: str
    figures: Figures
    details: Figures
    seconds: float
    load_before: float


def document(parts: Sequence[Part], versions: Mapping[str, str], machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written to `latest.json`."""
    by_size: dict[str, dict[str, Figures]] = {}
    explained: dict[str, dict[str, Figures]] = {}
    for part in parts:
        more = {"run_seconds": part.seconds, "load_before": part.load_before}
        by_size.setdefault(f"n{part.rollouts}", {})[part.tool] = part.figures
        explained.setdefault(f"n{part.rollouts}", {})[part.tool] = {**part.details, **more}
    return {**by_size, "details": explained, "versions": versions, "machine": machine}


def table(parts: Sequence[Part], titles: Mapping[str, str]) -> Table:
    """Return the figures of one number of Rollouts for people, a tool a column."""
    shown = Table("figure", *(titles[part.tool] for part in parts), "unit", "target")
    shown.title = f"{parts[0].rollouts} Rollouts"
    for column in shown.columns[1:]:
        column.no_wrap = True  # in a narrow window the names are folded, never a number
    for column in shown.columns[1:-2]:
        column.justify = "right"
    for row in ROWS:
        target = "" if row.target is None else f"{row.target:g}"
        shown.add_row(row.name, *(f"{part.figures[row.key]:,.2f}" for part in parts), row.unit, target)
    for row in DETAILS:
        shown.add_row(row.name, *(f"{part.details[row.key]:,.2f}" for part in parts), row.unit, "", style="dim")
    return shown


def verdicts(parts: Sequence[Part], titles: Mapping[str, str]) -> list[str]:
    """Return sentences about one number of Rollouts: targets that are missed, and rows where another is ahead."""
    ours = next((part for part in parts if part.tool == Trainyard.key), None)
    if ours is None:
        return []
    size = f"{ours.rollouts} Rollouts"
    said = [
        f"{size}: {row.name} is {ours.figures[row.key]:g} {row.unit}".rstrip() + f", over the target of {row.target:g}"
        for row in ROWS
        if row.target is not None and ours.figures[row.key] > row.target
    ]
    for other in parts:
        ahead = [row.name for row in ROWS if other.figures[row.key] < ours.figures[row.key]]
        said += [f"{size}: {titles[other.tool]} is ahead in: {'; '.join(ahead)}"] if ahead else []
    return said


def versions(programs: Mapping[str, str]) -> dict[str, str]:
    """Return what was measured, by version; the commit says where the operator's files differ from it."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    changed = " with changes" if _git("status", "--porcelain", "--", *MEASURED) else ""
    return {
        "trainyard": version("trainyard"),
        "commit": f"{commit}{changed}",
        "python": platform.python_version(),
        **{name: version(name) for name in PARTS},
        **programs,
    }


def machine() -> dict[str, Any]:
    """Return what it was measured on, and how busy that was before (load over a minute)."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def cpu_model(cpuinfo: str) -> str:
    """Read the processor's name from `/proc/cpuinfo`, "unknown" where it has none (ARM)."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else "unknown"


def _git(*arguments: str) -> str:
    """Ask git about the checkout; "" where this is none."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout.strip()

"""From what was measured to `latest.json` and the table. Pure, but for asking the machine what it is."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

from rich.table import Table

from bench.figures import per_minute, percentile
from bench.measuring import Plan, Results
from bench.objects import INTERVAL_SECONDS
from bench.process import ROOT

# What the operator's own code, and so its figures, depend on.
MEASURED = ("operator", "crds", "requirements.lock")
PARTS = ("kopf", "kubernetes", "aiohttp", "pydantic")
FOOTER = """\
Real: kube-apiserver, etcd (without fsync), `python -m trainyard`, whose requests are counted in the audit log.
Played: pods and the Gateway answer at once, through the API server; Prometheus and the store are scripted.
All of it shares the machine's cores. A change counts from before its request is sent until a watch shows weight.
The comparison with Argo Rollouts comes with an issue of its own."""


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
    idle, flying = results.idle, results.flying
    numbers = {
        "changes": plan.changes,
        "steps": plan.steps,
        "most_writes_of_a_step": max(sum(r.is_write for r in step) for step in results.steps),
        "events_per_step": mean([sum(r.is_event for r in step) for step in results.steps]),
        "idle_seconds": idle.seconds,
        "idle_lease_requests_per_min": per_minute(sum(not r.is_work for r in idle.requests), idle.seconds),
        "idle_writes": sum(r.is_write or r.is_event for r in idle.requests),
        "in_flight_requests_per_min": per_minute(len(flying.requests), flying.seconds),
        "in_flight_queries_per_min": per_minute(flying.queries, flying.seconds),
        "in_flight_cpu_percent": 100 * flying.cpu_seconds / flying.seconds,
        "recovery_until_lease_s": results.led_again,
    }
    return {key: round(float(number), 2) for key, number in numbers.items()}


def document(
    plan: Plan, results: Results, versions: dict[str, str], machine: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """Return what is written to `latest.json`."""
    return {
        f"n{plan.rollouts}": figures(results),
        "details": {**details(plan, results), "run_seconds": round(seconds, 1)},
        "versions": versions,
        "machine": machine,
    }


def table(plan: Plan, results: Results) -> Table:
    """Return the figures for people."""
    f, d = figures(results), details(plan, results)
    rows = (
        (f"single change to first weight, p50 of {plan.changes}", f["single_p50_ms"], "ms"),
        (f"single change to first weight, p99 of {plan.changes}", f["single_p99_ms"], "ms"),
        (f"all {plan.rollouts} changed at once, until the last has weight", f["burst_done_s"], "s"),
        (f"writes per step that changes weight alone, mean of {plan.steps}", f["writes_per_step"], ""),
        ("  and events beside them", d["events_per_step"], ""),
        ("requests per such step, reads and events included", f["requests_per_step"], ""),
        (f"requests when idle, in {d['idle_seconds']:.0f} s", f["idle_requests_per_min"], "a minute"),
        ("  of these for the Lease", d["idle_lease_requests_per_min"], "a minute"),
        ("processor when idle", f["idle_cpu_percent"], "% of a core"),
        (
            f"processor, {plan.rollouts} canaries measured every {INTERVAL_SECONDS} s",
            d["in_flight_cpu_percent"],
            "% of a core",
        ),
        ("resident memory meanwhile", f["rss_mb"], "MB"),
        ("SIGKILL until the last canary has moved on", f["recovery_s"], "s"),
        ("  of these until the next process leads", d["recovery_until_lease_s"], "s"),
    )
    shown = Table("figure", "value", "unit", title=f"Trainyard, {plan.rollouts} Rollouts")
    shown.columns[1].justify = "right"
    for name, number, unit in rows:
        shown.add_row(name, f"{number:,.2f}", unit)
    return shown


def versions(api_server: str, etcd: str) -> dict[str, str]:
    """Return what was measured, by version; the commit says where the operator's files differ from it."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    changed = " with changes" if _git("status", "--porcelain", "--", *MEASURED) else ""
    return {
        "trainyard": version("trainyard"),
        "commit": f"{commit}{changed}",
        "python": platform.python_version(),
        **{name: version(name) for name in PARTS},
        "kube-apiserver": api_server,
        "etcd": etcd,
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

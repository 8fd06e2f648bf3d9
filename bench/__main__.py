"""`python -m bench`: Trainyard and Argo Rollouts side by side, each on an API server of its own; prints tables.

A whole run writes `bench/latest.json`. Every finished part is kept under build/bench: `--resume` goes on from there.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from bench import apiserver, report
from bench.argo import RAISED, ArgoRollouts
from bench.measuring import BenchFailed, Plan, opened
from bench.ours import ROOT, Trainyard
from bench.parts import Finished
from bench.progress import Progress
from bench.report import Part
from bench.tools import Tool
from local import builds, versions
from local.rig import ApiServerRig, RigFailed
from trainyard.systems.cluster.port import ClusterError

SIZES = (100, 1000)
TOOLS: tuple[Tool, ...] = (
    Trainyard(),
    ArgoRollouts("argo_default", "Argo", setup_flags=RAISED),
    ArgoRollouts("argo_tuned", "Argo tuned", RAISED),
)
TITLES = {tool.key: tool.title for tool in TOOLS}
LIMIT_SECONDS = 300.0
LIMIT_PER_ROLLOUT_SECONDS = 1.5
MOST_CHANGES = 100
MOST_STEPS = 10
LATEST = ROOT / "bench/latest.json"
FAILURES = (BenchFailed, RigFailed, TimeoutError, ClusterError, builds.BuildFailed)


def main() -> int:
    """Measure, print and write. Exit status 1 where a part failed, 130 where stopped; then `latest.json` stays."""
    arguments = _parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `with` blocks end what they started
    kept, machine = Finished(ROOT / "build/bench"), report.machine()
    if not arguments.resume:
        kept.clear()
    progress = Progress()
    try:
        parts = _parts(arguments, kept, progress)
    except KeyboardInterrupt:
        print("stopped; --resume goes on with the part that was running", file=sys.stderr)
        return 130
    except FAILURES as error:
        print(f"failed: {progress.running}: {str(error) or 'the part took too long'}", file=sys.stderr)
        return 1
    progress.done()
    _show(parts)
    programs = {
        name: versions.read().programs[name].version for name in ("etcd", "kube-apiserver", "rollouts-controller")
    }
    whole = {(part.rollouts, part.tool) for part in parts} == {(size, tool.key) for size in SIZES for tool in TOOLS}
    output: Path = arguments.output or (LATEST if whole else ROOT / "build/bench/subset.json")
    document = report.document(parts, report.versions(programs), machine)
    output.write_text(json.dumps(document, indent=2) + "\n")
    print(f"Written to {output}, after {progress.seconds:.0f} s.")
    return 0


def _parts(arguments: argparse.Namespace, kept: Finished, progress: Progress) -> list[Part]:
    """Measure what is not finished yet, the smaller number first."""
    found = []
    for size in arguments.n:
        for tool in [tool for tool in TOOLS if tool.key in arguments.only]:
            part = kept.get(size, tool.key)
            if part is None:
                progress.title(f"{size} Rollouts: {tool.title}")
                part = asyncio.run(_measured(_plan(arguments, size), tool, progress))
                kept.keep(part)
            found.append(part)
    return found


async def _measured(plan: Plan, tool: Tool, progress: Progress) -> Part:
    """Measure one tool with one number of Rollouts, on an API server of its own."""
    began, load = progress.seconds, os.getloadavg()[0]
    progress.part("kube-apiserver and etcd")
    with ApiServerRig() as rig:
        tool.install(rig)
        apiserver.make_namespace(rig)
        limit = LIMIT_SECONDS + LIMIT_PER_ROLLOUT_SECONDS * plan.rollouts
        async with asyncio.timeout(limit), opened(plan, tool, rig, progress) as bench:
            results = await bench.run()
    figures, details = report.figures(results), report.details(plan, results)
    return Part(plan.rollouts, tool.key, figures, details, round(progress.seconds - began, 1), round(load, 2))


def _show(parts: Sequence[Part]) -> None:
    """Print a table for each number of Rollouts, and what they say of the targets and of who is ahead."""
    for size in sorted({part.rollouts for part in parts}):
        mine = [part for part in parts if part.rollouts == size]
        Console().print(report.table(mine, TITLES))
        for sentence in report.verdicts(mine, TITLES):
            print(sentence)
    print(report.FOOTER)
    print(f"Argo is Argo Rollouts at its defaults, Argo tuned has {' '.join(RAISED)}.")


def _plan(arguments: argparse.Namespace, size: int) -> Plan:
    changes = arguments.changes or min(MOST_CHANGES, max(1, size // 2))
    return Plan(size, changes, min(MOST_STEPS, size), arguments.idle_seconds)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    tools = [tool.key for tool in TOOLS]
    one, several = _between(1, 1000), "may be given several times"
    parser.add_argument("--n", type=one, action="append", help=f"how many Rollouts (default 100 and 1000), {several}")
    parser.add_argument("--only", choices=tools, action="append", help=f"which tool (default: all), {several}")
    parser.add_argument(
        "--changes", type=_between(1, 10_000), help="single changes (default: half of --n, at most 100)"
    )
    parser.add_argument("--idle-seconds", type=_between(1, 3600), default=30, help="how long to rest (default 30)")
    parser.add_argument("--output", type=Path, help="where the figures go (default: bench/latest.json for a whole run)")
    parser.add_argument("--resume", action="store_true", help="keep the parts that an earlier run finished")
    arguments = parser.parse_args()
    arguments.n, arguments.only = arguments.n or list(SIZES), arguments.only or tools
    return arguments


def _between(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(main())

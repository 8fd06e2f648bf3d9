"""`python -m bench`: measure the operator on an API server of its own; print a table and write `bench/latest.json`."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from bench import apiserver, report
from bench.measuring import BenchFailed, Plan, Results, opened
from bench.process import ROOT
from bench.progress import Progress
from local import versions
from local.rig import ApiServerRig, RigFailed

LIMIT_SECONDS = 200.0
LIMIT_PER_ROLLOUT_SECONDS = 2.0
MOST_CHANGES = 60
MOST_STEPS = 20


def main() -> int:
    """Measure, print and write. Exit status 1 where a part failed, 130 where stopped; then nothing is written."""
    arguments = _parse()
    plan = _plan(arguments)
    progress, machine = Progress(), report.machine()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `with` blocks end what they started
    try:
        results, server = asyncio.run(_measured(plan, progress))
    except KeyboardInterrupt:
        print("stopped; nothing is written", file=sys.stderr)
        return 130
    except (BenchFailed, RigFailed, TimeoutError) as error:
        print(f"failed: {error or f'{progress.running}: the run took too long'}", file=sys.stderr)
        return 1
    progress.done()
    found = report.versions(server, versions.read().programs["etcd"].version)
    document = report.document(plan, results, found, machine, progress.seconds)
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")
    Console().print(report.table(plan, results))
    print(report.FOOTER)
    print(f"Written to {arguments.output}, after {progress.seconds:.0f} s.")
    return 0


async def _measured(plan: Plan, progress: Progress) -> tuple[Results, str]:
    """Return what was measured, and the API server's version."""
    limit = LIMIT_SECONDS + LIMIT_PER_ROLLOUT_SECONDS * plan.rollouts
    progress.part("kube-apiserver and etcd")
    with ApiServerRig() as rig:
        apiserver.install(rig)
        async with asyncio.timeout(limit), opened(plan, rig, progress) as bench:
            results = await bench.run()
        return results, apiserver.version(rig)


def _plan(arguments: argparse.Namespace) -> Plan:
    rollouts: int = arguments.rollouts
    changes = arguments.changes or min(MOST_CHANGES, 3 * rollouts)
    return Plan(rollouts, changes, min(MOST_STEPS, rollouts), arguments.idle_seconds)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rollouts", type=_between(1, 1000), default=20, help="how many Rollouts (default 20)")
    parser.add_argument("--changes", type=_between(1, 10_000), help="single changes (default: 3 a Rollout, at most 60)")
    parser.add_argument("--idle-seconds", type=_between(1, 3600), default=30, help="how long to rest (default 30)")
    parser.add_argument("--output", type=Path, default=ROOT / "bench/latest.json", help="where the figures go")
    return parser.parse_args()


def _between(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(main())

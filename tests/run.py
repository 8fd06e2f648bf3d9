"""Run the project's checks as parts, with the time of each, and close with one line of totals.

`python tests/run.py check|test|soak`. `test` starts the builds of the local cluster first and runs what needs
no cluster beside them. Exit status 0 only if every part passed. A part that cannot run has failed. Told to end
(SIGTERM), it ends what it has begun as Ctrl-C would, begins nothing more but taking the cluster down, and reports.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PY = sys.executable
BIN = Path(PY).parent
# Two streams share the cluster, and the last part has it alone: it deletes MySQL's and MinIO's pods.
DEMO = (
    "tests/scenarios/test_demo.py", "tests/scenarios/test_rollout.py", "tests/scenarios/test_training.py",
    "tests/scenarios/test_strategies.py", "tests/scenarios/test_people.py", "tests/local/test_cluster.py",
)  # fmt: skip
ALONE = ("tests/scenarios/test_platform.py",)
CURRENT = "tests/scenarios/test_current.py"  # it installs the release anew
UPGRADE = "tests/scenarios/test_upgrade.py"  # it takes the release away and brings it back
LAST = "tests/local/test_down.py"  # it ends the cluster
FAST = "not rig and not cluster and not soak and not servers and not crashes"

CLOSING = re.compile(r"^(?:=+ )?(\d+ (?:passed|failed|error|deselected).*) in [0-9.]+s(?: .*)?$", re.MULTILINE)
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)")


@dataclass
class Tally:
    """What ran so far: (part, seconds, ok) and the test counts of pytest's closing lines."""

    parts: list[tuple[str, float, bool]] = field(default_factory=list)
    passed: int = 0
    failed: int = 0

    def count(self, output: str) -> None:
        """Add the counts of a pytest closing line; a skipped test counts as failed, tools get installed here."""
        for line in CLOSING.findall(output):
            for number, word in COUNT.findall(line):
                if word == "passed":
                    self.passed += int(number)
                else:
                    self.failed += int(number)

    def add(self, part: str, seconds: float, ok: bool) -> None:
        """Note a part's end."""
        self.parts.append((part, seconds, ok))
        say(f"{'ok' if ok else 'FAILED'}: {part} ({minutes(seconds)})")


def minutes(seconds: float) -> str:
    """Write a duration for people."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(f"\n>> {text}", flush=True)


@dataclass(frozen=True)
class Ended:
    """A part that has run: its time in seconds, its exit status, and what it printed."""

    part: str
    seconds: float
    code: int
    output: str


class UnderWay:
    """The parts that have been begun and not ended; `told_to_end`: nothing is begun any more."""

    def __init__(self) -> None:
        self.told_to_end = threading.Event()
        self._processes: set[subprocess.Popen[str]] = set()

    def add(self, process: subprocess.Popen[str]) -> None:
        """Note one that was just begun."""
        self._processes.add(process)
        if self.told_to_end.is_set():  # in this very moment
            process.send_signal(signal.SIGINT)

    def discard(self, process: subprocess.Popen[str]) -> None:
        """Forget one that has ended."""
        self._processes.discard(process)

    def end(self, *_: object) -> None:
        """Interrupt them, so that each stops what it has started."""
        self.told_to_end.set()
        for process in tuple(self._processes):
            process.send_signal(signal.SIGINT)


UNDER_WAY = UnderWay()


def environment() -> dict[str, str]:
    """Return what every part runs with: compiled Python is kept beside the tree, or each process compiles all of it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(ROOT / "build/pycache")}


def execute(part: str, command: Sequence[str], *, show: bool, tidies: bool = False) -> Ended:
    """Run one part to its end; `show` prints its output as it comes. Told to end, only what `tidies` is begun."""
    start = time.monotonic()
    lines: list[str] = []
    if UNDER_WAY.told_to_end.is_set() and not tidies:
        return Ended(part, 0.0, 1, "")
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, text=True, errors="replace",
    ) as process:  # fmt: skip
        if not tidies:
            UNDER_WAY.add(process)
        assert process.stdout is not None
        for line in process.stdout:
            if show:
                print(line, end="", flush=True)
            lines.append(line)
    UNDER_WAY.discard(process)
    return Ended(part, time.monotonic() - start, process.returncode, "".join(lines))


def note(tally: Tally, ended: Ended) -> None:
    """Count a part: its tests, or itself where it is none of pytest's."""
    before = tally.passed, tally.failed
    tally.count(ended.output)
    ok = ended.code == 0
    if not ok and tally.failed == before[1]:
        tally.failed += 1
    elif ok and tally.passed == before[0]:
        tally.passed += 1
    tally.add(ended.part, ended.seconds, ok)


def run(tally: Tally, part: str, command: Sequence[str]) -> None:
    """Run one part in the foreground, its output shown as it comes, and note how it ended."""
    say(part)
    note(tally, execute(part, command, show=True))


def pytest(*arguments: str) -> list[str]:
    """Return a pytest command."""
    return [PY, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]


def two(dist: str, *arguments: str) -> list[str]:
    """Return a pytest command for two processes that share the tests (worksteal) or the files (loadfile)."""
    return pytest("-n", "2", "--dist", dist, *arguments)


# What looks at the tree without running it. They take turns beside the tests.
LOOKS = {
    "format": [str(BIN / "ruff"), "format", "--check", "-q", "."],
    "lint": [str(BIN / "ruff"), "check", "-q", "."],
    "CRDs equal the models": [PY, "-m", "trainyard.resources.crd", "--check"],
    "import rules": [str(BIN / "lint-imports"), "--no-cache"],
    "types": [str(BIN / "mypy")],
}


def check(tally: Tally) -> None:
    """Run what takes seconds."""
    with ThreadPoolExecutor(1) as beside:
        looks = [beside.submit(execute, part, command, show=False) for part, command in LOOKS.items()]
        run(tally, "fast tests", two("worksteal", "-m", FAST, "tests"))
        for look in looks:
            ended = look.result()
            say(ended.part)
            print(ended.output, end="", flush=True)
            note(tally, ended)


def begin_cluster() -> tuple[subprocess.Popen[bytes], Path]:
    """Start building and starting the local cluster with its images, beside what needs none; its log is a file."""
    log = ROOT / "build/up.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as out:
        command = [PY, "-m", "local", "up", "--images", "--kubeflow"]
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out), log


def cluster(tally: Tally, begun: tuple[subprocess.Popen[bytes], Path]) -> bool:
    """Wait for the cluster and show what it says; False where that failed."""
    process, log = begun
    say("local cluster and images (begun beside the parts above)")
    start, shown = time.monotonic(), 0
    while not UNDER_WAY.told_to_end.is_set() and (process.poll() is None or shown < log.stat().st_size):
        with log.open("rb") as lines:
            lines.seek(shown)
            told = lines.read()
        sys.stdout.write(told.decode(errors="replace"))
        sys.stdout.flush()
        shown += len(told)
        if process.poll() is None:
            time.sleep(1)
    ok = process.returncode == 0
    tally.passed += ok
    tally.failed += not ok
    tally.add("local cluster and images (what was left of it)", time.monotonic() - start, ok)
    return ok


def test(tally: Tally) -> None:
    """Run everything that `make test` promises."""
    begun = begin_cluster()
    try:
        check(tally)
        beside = "(rig or servers or crashes) and not soak"
        run(tally, "crashes, API server and real servers", two("loadfile", "-m", beside, "tests"))
        if cluster(tally, begun):
            scenarios(tally)
    finally:
        end_cluster(tally, begun)


def scenarios(tally: Tally) -> None:
    """Run the cluster's scenarios: the demo, its rest and its rollouts beside Kubeflow and all else, about as long."""
    marked = ("-v", "--capture=sys", "-m", "cluster and not soak")
    others = [f"--ignore={path}" for path in (*DEMO, *ALONE)]
    streams = {
        "demo, rest, rollouts, strategies, training pods on the cluster": pytest(*marked, *DEMO),
        "Kubeflow, workers, triggers, sources, command line on the cluster": pytest(
            *marked, *others, "tests/scenarios", "tests/local"
        ),
    }
    with ThreadPoolExecutor(len(streams)) as beside:
        for stream in [beside.submit(execute, part, command, show=True) for part, command in streams.items()]:
            note(tally, stream.result())
    run(tally, "the platform's pods deleted", pytest(*marked, *ALONE))


def end_cluster(tally: Tally, begun: tuple[subprocess.Popen[bytes], Path]) -> None:
    """Take the cluster down, whatever became of it."""
    begun[0].terminate()
    begun[0].wait()
    say("the cluster is taken down")
    note(tally, execute("cluster taken down", [PY, "-m", "local", "down"], show=True, tidies=True))


def soak(tally: Tally) -> None:
    """Run the exhaustive forms, and write what came out to docs/soak.md."""
    begun = begin_cluster()
    soak_beside(tally)
    soak_on_cluster(tally, begun)
    if UNDER_WAY.told_to_end.is_set():
        end_cluster(tally, begun)
    else:
        keep_soak(tally)


def soak_beside(tally: Tally) -> None:
    """Run what needs no cluster."""
    run(tally, "soak beside the cluster", two("worksteal", "-m", "soak and not cluster", "tests"))


def soak_on_cluster(tally: Tally, begun: tuple[subprocess.Popen[bytes], Path]) -> None:
    """Run what needs it, and at last what ends it."""
    if cluster(tally, begun):
        marked = ("-v", "-m", "soak and cluster")
        apart = [f"--ignore={path}" for path in (UPGRADE, CURRENT, LAST)]
        run(tally, "soak on the cluster", pytest(*marked, *apart, "tests/scenarios", "tests/local"))
        run(tally, "the operator upgraded, uninstalled and installed again", pytest(*marked, UPGRADE))
        run(tally, "the demo on a cluster that is there, images from a registry", pytest(*marked, CURRENT))
        run(tally, "the cluster killed, and taken down", pytest(*marked, LAST))


def keep_soak(tally: Tally) -> None:
    """Write docs/soak.md."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    day = time.strftime("%Y-%m-%d", time.gmtime())
    rows = [f"| {part} | {minutes(seconds)} | {'ok' if ok else 'FAILED'} |" for part, seconds, ok in tally.parts]
    head = f"# Last `make soak`\n\nCommit {commit.strip()}, {day}: {tally.passed} passed, {tally.failed} failed.\n"
    table = "\n".join(["| part | minutes | |", "|---|---|---|", *rows])
    (ROOT / "docs/soak.md").write_text(f"{head}\n{table}\n")


def report(tally: Tally) -> None:
    """Print the parts by time and the closing line."""
    say("parts")
    for part, seconds, ok in sorted(tally.parts, key=lambda p: -p[1]):
        print(f"   {minutes(seconds):>6}  {'ok    ' if ok else 'FAILED'}  {part}")
    print(f"\n{tally.passed} passed, {tally.failed} failed", flush=True)


def heed_signals() -> None:
    """End in order when told to. A shell's background jobs ignore SIGINT: what is begun here must not inherit that."""
    signal.signal(signal.SIGTERM, UNDER_WAY.end)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> int:
    """Run one of the three forms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("form", choices=["check", "test", "soak"])
    tally = Tally()
    heed_signals()
    {"check": check, "test": test, "soak": soak}[parser.parse_args().form](tally)
    report(tally)
    return 0 if all(ok for _, _, ok in tally.parts) and tally.failed == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())

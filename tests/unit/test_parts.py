"""How the runner of the parts (`tests/run.py`) ends: the part under way tidies up, and no other begins."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAITS = """
import time
try:
    print("waits", flush=True)
    time.sleep(60)  # a part at work: it is interrupted long before
except KeyboardInterrupt:
    print("tidied up")
    raise SystemExit(2)
"""
# SIGINT is ignored at first, as in a shell's background jobs.
RUNNER = """
import signal, sys
from tests import run
signal.signal(signal.SIGINT, signal.SIG_IGN)
run.heed_signals()
tally = run.Tally()
run.run(tally, "first", [sys.executable, "-c", sys.argv[1]])
run.run(tally, "second", [sys.executable, "-c", "print('began all the same')"])
run.report(tally)
"""


def test_told_to_end_it_interrupts_the_part_under_way_and_begins_no_other() -> None:
    command = [sys.executable, "-c", RUNNER, WAITS]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        for line in runner.stdout:
            if line == "waits\n":
                break
        runner.terminate()
        told = runner.stdout.read()
    assert "tidied up" in told
    assert "began all the same" not in told
    assert told.endswith("0 passed, 2 failed\n")
    assert runner.returncode == 0

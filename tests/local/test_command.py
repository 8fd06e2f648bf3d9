"""The command line of the local cluster, as a shell uses it."""

import os
import subprocess
import sys

from local import places


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """`make -s env | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "local", "env"],
        cwd=places.CHECKOUT,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")

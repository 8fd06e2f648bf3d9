"""Streams as shells hand them over: closed, on a full disk, or of a terminal that knows few characters."""

import subprocess
import sys
from pathlib import Path

import pytest

SAYS = "import sys, trainyard.cli.__main__ as m; m.app = lambda: print('20 % → 50 %', flush={flush}); m.main()"


def shell(command: str, **environment: str) -> tuple[int, str, str]:
    path = {"PATH": "/usr/bin:/bin", "PYTHONPATH": "operator", "PYTHONIOENCODING": "utf-8", **environment}
    done = subprocess.run(
        ["bash", "-c", command], env=path, cwd=Path(__file__).parents[3], capture_output=True, check=False, timeout=60
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def says(flush: bool = False) -> str:
    return f'{sys.executable} -c "{SAYS.format(flush=flush)}"'


def test_a_closed_stdout_is_no_mistake() -> None:
    assert shell(f"{says()} >&-") == (0, "", "")
    assert shell(f"{sys.executable} -m trainyard.cli --help >&-") == (0, "", "")
    refused = shell(f"{sys.executable} -m trainyard.cli runs --kubeconfig /nope >&-")
    assert refused == (2, "", "There is no kubeconfig /nope.\n")


def test_with_a_closed_or_full_stderr_the_status_still_tells() -> None:
    for stderr in ("2>&-", "2>/dev/full"):
        assert shell(f"{sys.executable} -m trainyard.cli runs --kubeconfig /nope {stderr}") == (2, "", "")


@pytest.mark.parametrize("flush", [False, True])
def test_a_full_disk_is_a_sentence(flush: bool) -> None:
    told = shell(f"{says(flush)} >/dev/full")
    assert told == (1, "", "The answer could not be written: No space left on device.\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_characters_that_a_terminal_cannot_show(encoding: str) -> None:
    assert shell(says(), PYTHONIOENCODING=encoding) == (0, "20 % ? 50 %\n", "")
    assert shell(f"{sys.executable} -m trainyard.cli runs --kubeconfig /→", PYTHONIOENCODING=encoding)[0] == 2


def test_a_closed_stdin_says_nothing() -> None:
    told = shell(f"{sys.executable} -m trainyard.cli run churn --params-file - --kubeconfig /nope <&-")
    assert told == (2, "", "- must be a mapping of parameter names to values.\n")

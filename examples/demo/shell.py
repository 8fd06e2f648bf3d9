"""The programs that a user would type: kubectl, helm, trainyard. A failure is a sentence."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
Obj = dict[str, Any]


class Failed(Exception):
    """The demo did not go as it should; `str()` says what was expected and what was seen."""


@dataclass(frozen=True)
class Shell:
    """Runs programs against one cluster; `namespace` is the demo's own."""

    environment: Mapping[str, str]
    namespace: str

    def run(self, *command: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run a program and return its stdout. Raises Failed with what it said."""
        try:
            done = subprocess.run(
                command, env=dict(self.environment), input=stdin, text=True, capture_output=True, check=False,
                timeout=timeout,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed(f"{' '.join(command[:4])}: {error}") from error
        if done.returncode:
            raise Failed(f"{' '.join(command[:6])} …: {done.stderr.strip()[-800:]}")
        return done.stdout

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run kubectl in the demo's namespace (a later -n wins)."""
        return self.run("kubectl", "-n", self.namespace, *arguments, stdin=stdin, timeout=timeout)

    def get(self, kind: str, name: str, namespace: str = "") -> Obj | None:
        """Return an object, None where it is not there."""
        text = self.kubectl("get", kind, name, "-n", namespace or self.namespace, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def trainyard(self, *arguments: str) -> str:
        """Run `trainyard` in the demo's namespace."""
        return self.run(sys.executable, "-m", "trainyard.cli", *arguments, "-n", self.namespace)

    @contextmanager
    def forwarded(self, target: str, port: int, namespace: str) -> Iterator[str]:
        """Forward a port of the cluster to this machine and give its URL."""
        command = ["kubectl", "-n", namespace, "port-forward", target, f":{port}"]
        with subprocess.Popen(
            command, env=dict(self.environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                line = process.stdout.readline() if process.stdout else ""
                if "127.0.0.1:" not in line:
                    raise Failed(f"kubectl port-forward {target}: {line.strip()}")
                yield f"http://127.0.0.1:{line.split('127.0.0.1:')[1].split()[0]}"
            finally:
                process.terminate()


def until(what: str, probe: Callable[[], T | None], timeout: float, every: float = 1.0) -> T:
    """Ask until there is an answer. Raises Failed after the timeout; what the probe raises ends it at once."""
    deadline = time.monotonic() + timeout
    while True:
        found = probe()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {timeout:.0f} s")
        time.sleep(every)

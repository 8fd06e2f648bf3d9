"""The timed operator's process, and the clock on its wall, which a test turns."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.free_ports import free_port
from local.rig import ApiServerRig
from tests.rig.tiny_processes import ROOT

PATIENCE_SECONDS = 120.0


class Clock:
    """A clock that goes like the real one, from the moment it was turned to; the file tells the operator."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def turn(self, moment: datetime) -> None:
        """Set it; the operator goes by it from its next look."""
        ahead = (moment - datetime.now(UTC)).total_seconds()  # noqa: TID251 - plays the clock
        new = self.file.with_suffix(".new")
        new.write_text(str(ahead))
        new.replace(self.file)  # never half written


@contextmanager
def process(
    rig: ApiServerRig, log: Path, user: str, namespace: str, clock: float | Path, *die: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The operator of a namespace, its clock `clock` seconds ahead or as a Clock's file says; killed at the end."""
    environment = {
        **os.environ,
        "KUBECONFIG": str(rig.kubeconfig_for(user, ("system:masters",))),
        "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}",
        "TRAINYARD_NAMESPACES": namespace,
        "TRAINYARD_POD_NAMESPACE": namespace,
        "TRAINYARD_POD_NAME": "timed",
        "TRAINYARD_PROBE_PORT": str(free_port()),
        "TRAINYARD_METRICS_PORT": str(free_port()),
        "TRAINYARD_COURIER_IMAGE": "none",
        "TRAINYARD_SERVER_IMAGE_TENSORFLOW": "none",
        "TRAINYARD_STORE_BUCKET": "none",
    }
    with log.open("ab") as out:
        command = [sys.executable, "-m", "tests.rig.timed_operator", str(clock), *die]
        started = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGKILL)
        started.wait()


def until(what: str, probe: Callable[[], Any], log: Path) -> Any:
    """Wait for something true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := probe()):
        assert time.monotonic() < deadline, f"{what}:\n{log.read_text()[-4000:]}"
        time.sleep(0.2)
    return found

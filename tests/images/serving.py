"""Starts the model server as the image does, asks it over HTTP, and ends it by its id."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.free_ports import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds for a start on a machine that is busy with other things


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Server:
    """A started server."""

    process: subprocess.Popen[str]
    port: int


def ask(port: int, method: str, path: str, body: object = None) -> Answer:
    """Send one request; bytes go as they are, everything else as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, sent)
        response = connection.getresponse()
        return Answer(response.status, response.read().decode())
    finally:
        connection.close()


def predict(port: int, body: object, model: str = "m") -> Answer:
    """Ask in the form of v1."""
    return ask(port, "POST", f"/v1/models/{model}:predict", body)


def metric(port: int, name: str) -> float:
    """Return one sample of /metrics, by its name with labels."""
    lines = ask(port, "GET", "/metrics").text.splitlines()
    return float(next(line.split()[-1] for line in lines if line.startswith(name + " ")))


def start(folder: Path, **settings: str) -> Server:
    """Start the server on a free port with the model of this folder."""
    port = free_port()
    told = {"TRAINYARD_MODEL": "m", "TRAINYARD_MODEL_DIR": str(folder), "SERVER_PORT": str(port), **settings}
    process = subprocess.Popen(
        [sys.executable, "-m", "modelserver"],
        cwd=ROOT / "images/server",
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1", **told},
        stderr=subprocess.PIPE,
        text=True,
    )
    return Server(process, port)


def wait_ready(server: Server) -> None:
    """Wait until the server says that it is ready."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if ask(server.port, "GET", "/v2/health/ready").status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the server did not become ready: {ended(server)[1]}")


def ended(server: Server) -> tuple[int, str]:
    """Wait for the end of a server that ends; its exit code and what it said. Kills one that does not."""
    try:
        said = server.process.communicate(timeout=PATIENCE)[1]
    except subprocess.TimeoutExpired:
        server.process.kill()
        said = server.process.communicate()[1]
    return server.process.returncode, said


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Server]:
    """Run a ready server for the block."""
    server = start(folder, **settings)
    try:
        wait_ready(server)
        yield server
    finally:
        server.process.terminate()
        ended(server)

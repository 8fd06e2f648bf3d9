"""Starts real servers for tests, each on a free loopback port with a folder of its own, and ends them by their id.

    with minio() as store: ...      # store.url, store.user, store.password
    with mariadb() as database: ... # database.port, database.password; can be stopped and started again
    with prometheus(config) as url: ...

Every server runs under `local/guard.py`, so it also ends when the test process is killed.
"""

import http.client
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local import builds, packages, places
from local.free_ports import free_port

ADDRESS = "127.0.0.1"
START_SECONDS = 60.0


class ServerFailed(RuntimeError):
    """A server did not come up; the message ends with the last lines of its log."""


@dataclass
class Server:
    """One program under the guard. `ready` tells whether it answers."""

    command: list[str]
    log: Path
    ready: Callable[[], bool]
    env: dict[str, str] = field(default_factory=dict)
    _guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers. Raises ServerFailed."""
        guarded = [sys.executable, "-I", "-S", str(places.LOCAL / "guard.py"), *self.command]
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                guarded, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **self.env},
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if self._guard.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ServerFailed("\n".join(self.log.read_text().splitlines()[-12:]))
            time.sleep(0.05)

    def stop(self) -> None:
        """End it and wait for its end."""
        if self._guard and self._guard.stdin:
            self._guard.stdin.close()
            self._guard.wait()
        self._guard = None


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder that other users may enter (pytest's own are closed to them), and remove it."""
    room = Path(tempfile.mkdtemp(prefix="trainyard-server-"))
    room.chmod(0o755)
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def answers(url: str) -> bool:
    """Tell whether a GET of the URL answers 200."""
    host, _, path = url.removeprefix("http://").partition("/")
    link = http.client.HTTPConnection(host, timeout=2)
    try:
        link.request("GET", f"/{path}")
        return link.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()


def tool(name: str) -> str:
    """Return the path of a Debian program, installing what the project's set-up lacks."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin"
    if not shutil.which(name, path=path):
        packages.install()
    found = shutil.which(name, path=path)
    if not found:
        raise ServerFailed(f"{name} is not installed; local/versions.toml names the Debian packages")
    return found


@dataclass(frozen=True)
class Store:
    """A running MinIO and its root identity."""

    url: str
    user: str
    password: str
    server: Server | None


@contextmanager
def minio(settings: Mapping[str, str] | None = None) -> Iterator[Store]:
    """Run MinIO over an empty folder; `settings` are further variables of its environment."""
    with folder() as room:
        port, user, password = free_port(), "root-user", secrets.token_hex(16)
        url = f"http://{ADDRESS}:{port}"
        program = str(builds.program("minio"))
        server = Server(
            [program, "server", str(room / "data"), "--address", f"{ADDRESS}:{port}", "--quiet"],
            room / "log",
            lambda: answers(f"{url}/minio/health/ready"),
            {"MINIO_ROOT_USER": user, "MINIO_ROOT_PASSWORD": password, "MINIO_BROWSER": "off", **(settings or {})},
        )
        server.start()
        try:
            yield Store(url, user, password, server)
        finally:
            server.stop()


@dataclass(frozen=True)
class Database:
    """A running MariaDB with one empty database, and the user that owns it."""

    port: int
    name: str
    user: str
    password: str
    server: Server


@contextmanager
def mariadb() -> Iterator[Database]:
    """Run MariaDB over a fresh data folder as a user without rights (as root it is told to change to one)."""
    daemon, install = tool("mariadbd"), tool("mariadb-install-db")
    with folder() as room:
        data = room / "data"
        as_user = ["--user=nobody"] if os.geteuid() == 0 else []
        made = subprocess.run(
            [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
             "--skip-test-db", *as_user],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            raise ServerFailed(made.stdout[-2000:] + made.stderr[-2000:])
        port, password = free_port(), secrets.token_hex(16)
        first = room / "first.sql"
        first.write_text(
            "CREATE DATABASE IF NOT EXISTS trainyard CHARACTER SET utf8mb4;\n"
            f"CREATE USER IF NOT EXISTS trainyard@'%' IDENTIFIED BY '{password}';\n"
            "GRANT ALL ON trainyard.* TO trainyard@'%';\n"
        )
        server = Server(
            [daemon, "--no-defaults", f"--datadir={data}", f"--bind-address={ADDRESS}", f"--port={port}",
             f"--socket={data}/socket", f"--pid-file={data}/pid", f"--init-file={first}", "--skip-log-bin",
             "--innodb-buffer-pool-size=32M", "--performance-schema=OFF", "--innodb-flush-log-at-trx-commit=0",
             *as_user],
            room / "log",
            lambda: _greets(port),
        )  # fmt: skip
        server.start()
        try:
            yield Database(port, "trainyard", "trainyard", password, server)
        finally:
            server.stop()


def _greets(port: int) -> bool:
    """Tell whether a MySQL server greets on the port: its first packet carries protocol version 10."""
    try:
        with socket.create_connection((ADDRESS, port), timeout=2) as link:
            return link.recv(5)[4:5] == b"\x0a"
    except OSError:
        return False


@contextmanager
def prometheus(config: str, recorded: str = "", web: str = "") -> Iterator[str]:
    """Run Prometheus with this configuration; yields its URL.

    recorded: OpenMetrics with times, there from the start. web: its web configuration (TLS, passwords); then it is
    ready once its port is open, for the test knows how to get in.
    """
    program = tool("prometheus")
    with folder() as room:
        port = free_port()
        url = f"http://{ADDRESS}:{port}"
        (room / "prometheus.yml").write_text(config.replace("$(self)", url.removeprefix("http://")))
        (room / "web.yml").write_text(web)
        if recorded:
            _record(recorded, room)
        server = Server(
            [program, f"--config.file={room / 'prometheus.yml'}", f"--storage.tsdb.path={room / 'data'}",
             f"--web.listen-address={url.removeprefix('http://')}", f"--web.config.file={room / 'web.yml'}"],
            room / "log",
            lambda: _listens(port) if web else answers(f"{url}/-/ready"),
        )  # fmt: skip
        server.start()
        try:
            yield url
        finally:
            server.stop()


def _listens(port: int) -> bool:
    """Tell whether something takes connections on the port."""
    with socket.socket() as link:
        link.settimeout(2)
        return link.connect_ex((ADDRESS, port)) == 0


def _record(recorded: str, room: Path) -> None:
    """Make blocks of a recording in the folder's data. Raises ServerFailed."""
    (room / "recorded.txt").write_text(recorded)
    made = subprocess.run(
        [tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(room / "recorded.txt"), str(room / "data")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise ServerFailed(made.stdout[-2000:] + made.stderr[-2000:])

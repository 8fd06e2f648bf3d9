"""The ML Metadata server of the local Kubeflow, in its own environment, on a real MariaDB."""

import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local import environments
from local.free_ports import free_port
from tests.servers.running import ADDRESS, Database, Server, ServerFailed, mariadb

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "images/ml-metadata"
pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of the image's environment, made once per lock file and kept in the cache."""
    return environments.python("ml-metadata", IMAGE / "requirements.txt")


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with mariadb() as started:
        yield started


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex((ADDRESS, port)) == 0


def server(python: Path, database: Database, log: Path, password: str | None = None) -> tuple[Server, int]:
    port = free_port()
    env = {
        "MYSQL_HOST": ADDRESS,
        "MYSQL_PORT": str(database.port),
        "MYSQL_DATABASE": database.name,
        "MYSQL_USER": database.user,
        "MYSQL_PASSWORD": password or database.password,
        "PORT": str(port),
    }
    return Server([str(python), str(IMAGE / "server.py")], log, lambda: listens(port), env), port


@pytest.fixture(scope="module")
def port(python: Path, database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    started, port = server(python, database, tmp_path_factory.mktemp("metadata") / "log")
    started.start()
    yield port
    started.stop()


def ask(python: Path, port: int, name: str) -> str:
    client = ROOT / "tests/servers/metadata_client.py"
    done = subprocess.run([python, client, str(port), name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_is_written_is_read_back_by_every_worker(python: Path, port: int):
    names = [f"type{number}" for number in range(6)]
    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda name: ask(python, port, name), names))
    assert said == [f"{name} s3://bucket/ünïcode 7" for name in names]


def test_a_database_that_was_away_is_found_again(python: Path, database: Database, port: int):
    assert ask(python, port, "before") == "before s3://bucket/ünïcode 7"
    database.server.stop()
    database.server.start()
    assert ask(python, port, "after") == "after s3://bucket/ünïcode 7"


def test_without_its_database_it_ends_and_says_why(python: Path, database: Database, tmp_path: Path):
    refused, _ = server(python, database, tmp_path / "log", password="wrong")
    with pytest.raises(ServerFailed, match="no database"):
        refused.start()


def test_calls_that_the_package_lacks_are_known(python: Path):
    script = f"import sys; sys.path.insert(0, {str(IMAGE)!r}); import server; " + (
        "print(*sorted(m.name for m in server.SERVICE.methods if not hasattr(server.native, m.name)))"
    )
    done = subprocess.run([python, "-B", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "GetChildrenContextsByContexts",
        "GetLineageGraph",
        "GetParentContextsByContexts",
    ]

"""The supervisor keeps what runs equal to what shall run, and takes its children with it when it is killed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local import places, processes
from local.processes import Identity
from local.supervisor import Service, recorded, wanted


@contextmanager
def supervised(state: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "local.supervisor", str(state)]
    with subprocess.Popen(command, cwd=places.CHECKOUT) as supervisor:
        try:
            yield supervisor
        finally:
            supervisor.terminate()
            supervisor.wait(20)


def until(ready: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def sleeper(order: int = 1, seconds: int = 60) -> Service:
    return Service("sleeper", order, ["sleep", str(seconds)])


def started(state: Path, service: Service) -> Identity:
    until(lambda: service.taken_up(state))
    return recorded(state)["sleeper"]


def test_starts_replaces_and_ends_as_told(tmp_path: Path):
    with supervised(tmp_path):
        sleeper().save(tmp_path)
        first = started(tmp_path, sleeper())
        sleeper(seconds=61).save(tmp_path)
        second = started(tmp_path, sleeper(seconds=61))
        assert not processes.alive(first)
        (tmp_path / "services/sleeper.json").unlink()
        until(lambda: not processes.alive(second))


def test_what_ends_is_started_again_and_counted(tmp_path: Path):
    with supervised(tmp_path):
        sleeper().save(tmp_path)
        first = started(tmp_path, sleeper())
        os.kill(first.pid, 9)
        until(lambda: recorded(tmp_path).get("sleeper", first) != first)
        assert json.loads((tmp_path / "pids/sleeper.json").read_text())["restarts"] == 1


def test_told_to_end_it_ends_its_children(tmp_path: Path):
    with supervised(tmp_path):
        sleeper().save(tmp_path)
        child = started(tmp_path, sleeper())
    assert not processes.alive(child)
    assert not (tmp_path / "supervisor.json").exists()


def test_killed_it_takes_its_children_along(tmp_path: Path):
    with supervised(tmp_path) as supervisor:
        sleeper().save(tmp_path)
        child = started(tmp_path, sleeper())
        supervisor.kill()
        until(lambda: not processes.alive(child))


def test_services_are_wanted_in_their_order(tmp_path: Path):
    for name, order in (("late", 30), ("early", 10), ("middle", 20)):
        Service(name, order, ["true"]).save(tmp_path)
    assert list(wanted(tmp_path)) == ["early", "middle", "late"]

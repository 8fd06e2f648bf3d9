"""The one parent of every process of the cluster: `python -m local.supervisor <state folder>`.

Level-triggered: each file `services/<name>.json` is a process that shall run. What is missing is started, what
ended is started again (1 to 10 s later), what changed is replaced, what is no longer wanted is ended. For each
running process `pids/<name>.json` tells its identity. Detached from any terminal; if it is killed, the kernel
ends its children with it, so `up` never meets half a cluster that still moves.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local import processes
from local.processes import Identity

LOG_LIMIT_BYTES = 64 * 1024 * 1024
TICK_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 10.0
SHUTDOWN_SECONDS = 4.0


@dataclass(frozen=True)
class Service:
    """A process that shall run. `order` is its place in the start; they are ended the other way round."""

    name: str
    order: int
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Short digest of what is run."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:12]

    def save(self, state: Path) -> None:
        """Tell the supervisor of `state` to run this."""
        write_json(state / "services" / f"{self.name}.json", asdict(self))

    def taken_up(self, state: Path) -> bool:
        """Whether the supervisor has started this very process, and no longer runs a former one of that name."""
        try:
            return bool(json.loads((state / "pids" / f"{self.name}.json").read_text())["service"] == self.digest)
        except (OSError, ValueError, KeyError):
            return False


@dataclass
class Child:
    """A started process, or one that ended and waits for its next start."""

    service: Service
    process: subprocess.Popen[bytes]
    restarts: int = 0
    due: float | None = None


def write_json(file: Path, content: object) -> None:
    """Write whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_name(f".{file.name}.{os.getpid()}")
    half.write_text(json.dumps(content, indent=1))
    half.rename(file)


def wanted(state: Path) -> dict[str, Service]:
    """What shall run, in starting order."""
    found = [Service(**json.loads(file.read_text())) for file in (state / "services").glob("[!.]*.json")]
    return {one.name: one for one in sorted(found, key=lambda one: (one.order, one.name))}


def recorded(state: Path) -> dict[str, Identity]:
    """The processes that pid files tell of, living or not."""
    found = {}
    for file in (state / "pids").glob("[!.]*.json"):
        told = json.loads(file.read_text())
        found[file.stem] = Identity(told["pid"], told["started"])
    return found


class Supervisor:
    """Keeps what runs equal to what shall run."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.children: dict[str, Child] = {}
        self.ending = False

    def run(self) -> None:
        """Work until told to end by SIGTERM; then end every child."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "ending", True))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        ticks = 0
        while not self.ending:
            self.tick()
            if ticks % 100 == 0:
                self._shorten_logs()
            ticks += 1
            time.sleep(TICK_SECONDS)
        self.end_all()

    def end_all(self) -> None:
        """End everything at once, but the first service only after the rest: etcd outlives who writes to it."""
        order = sorted(self.children.values(), key=lambda child: -child.service.order)
        for group in (order[:-1], order[-1:]):
            processes.stop([one for child in group if (one := processes.identify(child.process.pid))], SHUTDOWN_SECONDS)
        for child in order:
            child.process.wait()
            self._pid_file(child.service.name).unlink(missing_ok=True)

    def tick(self) -> None:
        """One comparison of what shall run with what runs."""
        shall = wanted(self.state)
        for name in [name for name, child in self.children.items() if shall.get(name) != child.service]:
            self._end(name)
        for name, service in shall.items():
            child = self.children.get(name)
            if child is None:
                self.children[name] = Child(service, self._start(service, 0))
            elif child.due is None:
                self._notice_end(child)
            elif time.monotonic() >= child.due:
                child.restarts += 1
                child.process, child.due = self._start(service, child.restarts), None

    def _notice_end(self, child: Child) -> None:
        code = child.process.poll()
        if code is not None:
            child.due = time.monotonic() + min(1.0 + child.restarts, LONGEST_BACKOFF_SECONDS)
            self._pid_file(child.service.name).unlink(missing_ok=True)
            self._note(child.service.name, f"ended with {code}, starts again soon")

    def _start(self, service: Service, restarts: int) -> subprocess.Popen[bytes]:
        self._note(service.name, f"start {restarts}: {' '.join(service.command)}")
        with self._log(service.name).open("ab") as log:
            process = subprocess.Popen(
                service.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **service.env},
                cwd=self.state,
                start_new_session=True,
                preexec_fn=processes.die_with_parent,  # noqa: PLW1509 - this process has one thread
            )
        identity = processes.identify(process.pid)
        if identity:
            write_json(
                self._pid_file(service.name), {**asdict(identity), "restarts": restarts, "service": service.digest}
            )
        return process

    def _end(self, name: str) -> None:
        child = self.children.pop(name)
        identity = processes.identify(child.process.pid) if child.process.poll() is None else None
        if identity:
            child.process.terminate()
            try:
                child.process.wait(10)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self._pid_file(name).unlink(missing_ok=True)
        self._note(name, "ended as told")

    def _shorten_logs(self) -> None:
        for log in (self.state / "logs").glob("*.log"):
            if log.stat().st_size > LOG_LIMIT_BYTES:
                os.truncate(log, 0)

    def _note(self, name: str, text: str) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S")
        with self._log(name).open("a") as log:
            log.write(f"[supervisor {stamp}] {text}\n")

    def _log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"

    def _pid_file(self, name: str) -> Path:
        return self.state / "pids" / f"{name}.json"


def main() -> None:
    """Be the supervisor of the state folder given as argument."""
    state = Path(sys.argv[1])
    for folder in ("services", "pids", "logs"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    me = processes.identify(os.getpid())
    if me is None:
        raise SystemExit("no /proc: cannot tell one process from another")
    write_json(state / "supervisor.json", asdict(me))
    Supervisor(state).run()
    (state / "supervisor.json").unlink(missing_ok=True)


if __name__ == "__main__":
    main()

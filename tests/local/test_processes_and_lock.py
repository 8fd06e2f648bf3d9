"""Process identity, the lock that says who holds it, and the guard that ends what its owner started."""

import os
import subprocess
import sys
from pathlib import Path

from local import locking, places, processes
from local.processes import Identity


def test_a_reused_pid_is_another_process():
    me = processes.identify(os.getpid())
    assert me is not None
    assert processes.alive(me)
    assert not processes.alive(Identity(me.pid, me.started + 1))


def test_stop_never_touches_a_process_with_another_start_time():
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        real = processes.identify(sleeper.pid)
        assert real is not None
        processes.stop([Identity(real.pid, real.started + 1)])
        assert sleeper.poll() is None
        processes.stop([real])
        assert sleeper.wait(5) == -15


def test_a_zombie_is_not_alive():
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.identify(child.pid) is None


def test_one_that_ignores_the_request_is_killed():
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        identity = processes.identify(stubborn.pid)
        assert identity is not None
        processes.stop([identity], grace=0.3)
        assert stubborn.wait(5) == -9


HOLD = """
import sys
from pathlib import Path
from local.locking import exclusive
with exclusive(Path(sys.argv[1]), "the first"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_waits_and_says_who_holds_the_lock(tmp_path: Path):
    lock = tmp_path / "lock"
    told: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=places.CHECKOUT,
    ) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        first.stdout.readline()
        pid = first.pid

        def waits(holder: locking.Holder | None) -> None:
            told.append(str(holder))
            assert first.stdin is not None
            first.stdin.close()

        with locking.exclusive(lock, "the second", waits):
            holder = locking.holder(lock)
            assert holder is not None
            assert holder.doing == "the second"
    assert len(told) == 1
    assert "'the first'" in told[0]
    assert f"process {pid}" in told[0]
    assert str(places.CHECKOUT) in told[0]
    assert locking.holder(lock) is None


def test_a_killed_holder_frees_the_lock(tmp_path: Path):
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=places.CHECKOUT,
    ) as first:
        assert first.stdout is not None
        first.stdout.readline()
        first.kill()
        first.wait()
    with locking.exclusive(lock, "the next", lambda _: pytest_fail()):
        pass


def pytest_fail() -> None:
    raise AssertionError("the lock of a dead process was waited for")


def test_the_guard_ends_its_program_when_its_owner_is_killed():
    guard = places.LOCAL / "guard.py"
    script = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, {str(guard)!r}, 'sh', '-c', 'echo $$; exec sleep 60'],"
        " stdin=subprocess.PIPE)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        program = processes.identify(int(owner.stdout.readline()))
        assert program is not None
        owner.kill()
    assert processes._gone([program], 10)

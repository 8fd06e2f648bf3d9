"""A cluster killed with its terminal is taken up again, and `down` leaves nothing. Ends the cluster: run it last."""

import os
import signal
import subprocess
import sys

import pytest

from local import network, places, processes, teardown
from local.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(900)]


def local(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", command], cwd=places.CHECKOUT, capture_output=True, text=True, check=False
    )


def test_a_killed_cluster_is_taken_up_again_with_its_data():
    assert local("up").returncode == 0
    cluster = Cluster()
    cluster.kubectl("create", "configmap", "survivor", "-n", "default")
    supervisor = cluster.supervisor()
    assert supervisor is not None
    processes.send(supervisor, signal.SIGKILL)
    for shim, _ in teardown._ours(cluster.state):
        processes.send(shim, signal.SIGKILL)
    assert cluster.supervisor() is None
    assert local("status").returncode == 1
    done = local("up")
    assert done.returncode == 0, done.stderr
    assert cluster.kubectl("get", "configmap", "survivor", "-n", "default", "-o", "name") == "configmap/survivor\n"
    cluster.kubectl("delete", "configmap", "survivor", "-n", "default")


def test_down_leaves_nothing_and_is_harmless_twice():
    cluster = Cluster()
    assert local("up").returncode == 0
    assert network.left_behind()
    first = local("down")
    assert first.returncode == 0, first.stderr
    assert teardown.left_behind(cluster) == []
    assert not os.path.lexists(cluster.state)
    assert local("down").returncode == 0
    assert local("status").returncode == 3

"""`down`: ends everything the cluster started and takes away everything it made on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from local import locking, network, node, places, processes, progress
from local.cluster import Cluster
from local.processes import Identity
from local.progress import Screen
from local.supervisor import recorded


def down(cluster: Cluster, shown: Screen) -> None:
    """Leave nothing: processes, pods, mounts, control groups, network, files. Harmless when nothing is there."""
    steps: tuple[tuple[str, Callable[[Path], None]], ...] = (
        ("kubelet", _end_kubelet),
        ("pods", _end_pods),
        ("processes", lambda state: _end_processes(cluster, state)),
        ("mounts", _unmount),
        ("control groups", lambda _: _remove_cgroups()),
        ("network", network.remove),
        ("files", _remove_files),
    )
    for name, step in steps:
        begun = time.monotonic()
        step(cluster.state)
        shown.say(f"✓ {name} {time.monotonic() - begun:.1f}s")


def run(cluster: Cluster) -> int:
    """`down` as a command: under the lock, shown, and checked; the exit status."""
    with progress.screen() as shown:
        waiting = partial(progress.say_who, shown)
        with locking.exclusive(places.lock_file(), "down", waiting):
            down(cluster, shown)
            rest = left_behind(cluster)
        for line in rest:
            shown.say(f"✗ still there: {line}")
    return 1 if rest else 0


def left_behind(cluster: Cluster) -> list[str]:
    """What `down` should have taken away and is still there, in words."""
    found = [f"process {one.pid}: {' '.join(command)[:80]}" for one, command in _ours(cluster.state)]
    found += [f"mount {place}" for place in _mounts(cluster.state)]
    found += [f"control group {place}" for place in _cgroups()]
    found += network.left_behind()
    return found + ([f"folder {cluster.state}"] if cluster.state.exists() else [])


def _end_kubelet(state: Path) -> None:
    """First the kubelet, or it would start again every pod that is ended next."""
    for name in ("simulated-accelerators", "kubelet"):
        (state / f"services/{name}.json").unlink(missing_ok=True)
    kubelet = recorded(state).get("kubelet")
    if kubelet:
        processes.stop([kubelet])


def _end_pods(state: Path) -> None:
    """Have containerd end every container; whatever outlives that is killed by its control group."""
    listed = subprocess.run(
        ["timeout", "10", *node.ctr(state, "tasks", "ls", "-q")], capture_output=True, text=True, check=False
    )
    for task in listed.stdout.split():
        subprocess.run(
            ["timeout", "10", *node.ctr(state, "tasks", "rm", "--force", task)], capture_output=True, check=False
        )
    processes.stop(_in_cgroups(), grace=1.0)


def _end_processes(cluster: Cluster, state: Path) -> None:
    supervisor = cluster.supervisor()
    if supervisor:
        # It ends up to twelve processes, one after the other, most of them at once.
        processes.stop([supervisor], grace=60.0)
    processes.stop(recorded(state).values())
    processes.stop([one for one, _ in _ours(state)])


def _ours(state: Path) -> list[tuple[Identity, list[str]]]:
    """Living processes that were started with our state folder in their command line, shims included."""
    mark = f"{state}/"
    return [
        (one, command)
        for one, command in processes.running()
        if one.pid != os.getpid() and any(mark in argument for argument in command) and not _is_client(command)
    ]


def _is_client(command: list[str]) -> bool:
    """People's own kubectl with our kubeconfig is not ours to end."""
    return Path(command[0]).name not in _PROGRAMS


_PROGRAMS = {
    "containerd", "containerd-shim-runc-v2", "coredns", "contour", "envoy", "etcd", "kube-apiserver",
    "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet", "local-path-provisioner", "prometheus",
}  # fmt: skip


def _in_cgroups() -> list[Identity]:
    pids = {
        int(pid) for group in _cgroups() for file in group.rglob("cgroup.procs") for pid in file.read_text().split()
    }
    return [one for pid in pids if (one := processes.identify(pid))]


def _cgroups() -> list[Path]:
    return [place for root in node.cgroup_hierarchies() if (place := root / node.CGROUP).exists()]


def _remove_cgroups() -> None:
    for group in _cgroups():
        inner = sorted((path for path in group.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
        for place in [*inner, group]:
            place.rmdir()


_CONTAINERD_LEAVES = ("/run/containerd/runc/k8s.io", "/run/containerd/runc", "/run/containerd/s", "/run/containerd")


def _mounts(state: Path) -> list[str]:
    """Mount points below the state folder, innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [point for point in points if point.startswith(f"{state}/")]
    return sorted(inside, key=len, reverse=True)


def _unmount(state: Path) -> None:
    for point in _mounts(state):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def _remove_files(state: Path) -> None:
    # The kubelet and containerd keep these few at fixed places.
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(str(state)):
            link.unlink()
    shutil.rmtree("/var/lib/kubelet/device-plugins", ignore_errors=True)
    if state.exists():
        shutil.rmtree(state)
    for folder in ("/var/lib/kubelet", "/var/log/containers", *_CONTAINERD_LEAVES):
        if Path(folder).is_dir() and not any(Path(folder).iterdir()):
            Path(folder).rmdir()

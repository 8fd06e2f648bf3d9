"""`status` and `env`: what runs, and how to reach it."""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path

from local import addresses, builds, locking, places, processes, versions
from local.cluster import Cluster, NotReady
from local.kubeflow import install
from local.supervisor import recorded, wanted

NOT_THERE = 3


def env(cluster: Cluster) -> dict[str, str]:
    """The environment of whoever works with the cluster."""
    programs = [str(builds.program(name).parent) for name in ("kubectl", "helm")]
    return {
        "KUBECONFIG": str(cluster.kubeconfig),
        "PATH": os.pathsep.join([*programs, os.environ.get("PATH", os.defpath)]),
        "TRAINYARD_GATEWAY_URL": addresses.GATEWAY_URL,
        "TRAINYARD_PROMETHEUS_URL": addresses.PROMETHEUS_URL,
        "TRAINYARD_PROMETHEUS_CLUSTER_URL": addresses.PROMETHEUS_URL,
        "TRAINYARD_KUBEFLOW_HOST_URL": addresses.KUBEFLOW_URL,
        "TRAINYARD_KUBEFLOW_CLUSTER_URL": addresses.KUBEFLOW_CLUSTER_URL,
        "TRAINYARD_AUDIT_LOG": str(cluster.audit_log),
        "TRAINYARD_STATE": str(cluster.state),
    }


def print_env(cluster: Cluster) -> int:
    """Print `export` lines for a shell; the exit status tells whether a cluster is there."""
    for name, value in env(cluster).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0 if cluster.supervisor() else NOT_THERE


def print_status(cluster: Cluster) -> int:
    """Print what runs; exit status 0 when everything does, 1 when something does not, 3 when no cluster is there."""
    holder = locking.holder(places.lock_file())
    if holder:
        print(f"busy: {holder}")
    if not cluster.state.exists():
        print("no cluster: `python -m local up` starts one")
        return NOT_THERE
    rows = services(cluster)
    print(f"{'process':<24}{'state':<10}{'pid':>8}{'restarts':>10}{'up':>10}")
    for row in rows:
        print("{:<24}{:<10}{:>8}{:>10}{:>10}".format(*row))
    pods = _kubeflow(cluster)
    for name, state, image in pods:
        print(f"{name:<32}{state:<12}{image}")
    node = _node(cluster)
    print(f"node {addresses.NODE}: {node}")
    for name, value in env(cluster).items():
        if name != "PATH":
            print(f"{name}={value}")
    print(f"versions: {_versions()}\nlogs: {cluster.state / 'logs'}")
    whole = (
        bool(cluster.supervisor()) and all(row[1] == "running" for row in [*rows, *pods]) and node.startswith("Ready")
    )
    return 0 if whole else 1


def services(cluster: Cluster) -> list[tuple[str, str, str, str, str]]:
    """Name, state, pid, restarts and age of the supervisor and of each process that shall run."""
    supervisor = cluster.supervisor()
    rows = [("supervisor", "running" if supervisor else "dead", str(supervisor.pid) if supervisor else "-", "-", "-")]
    known = recorded(cluster.state)
    for name in wanted(cluster.state):
        identity = known.get(name)
        if identity and processes.alive(identity):
            told = json.loads((cluster.state / f"pids/{name}.json").read_text())
            age = _uptime() - identity.started / os.sysconf("SC_CLK_TCK")
            rows.append((name, "running", str(identity.pid), str(told["restarts"]), _age(age)))
        else:
            rows.append((name, "dead", "-", "-", "-"))
    return rows


def _kubeflow(cluster: Cluster) -> list[tuple[str, str, str]]:
    """The pods of Kubeflow, where it was brought up."""
    try:
        return install.deployments(cluster) if cluster.supervisor() else []
    except NotReady as error:
        return [("kubeflow", "unknown", str(error))]


def _uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _age(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def _node(cluster: Cluster) -> str:
    if not cluster.supervisor():
        return "unknown, the cluster is not running"
    ready = '{.status.conditions[?(@.type=="Ready")].status}'
    offered = "{.status.allocatable." + addresses.GPU.replace(".", "\\.") + "}"
    try:
        told = cluster.kubectl(
            "get", "node", addresses.NODE, "--request-timeout=5s", "-o", f"jsonpath={ready} {offered}"
        )
    except NotReady as error:
        return f"unknown: {error}"
    state, _, gpus = told.partition(" ")
    words = f"{addresses.GPU}: {gpus or 0}, SIMULATED (label {addresses.SIMULATED_LABEL}=true): no device behind it"
    return f"{'Ready' if state == 'True' else 'NotReady'}, {words}"


def _versions() -> str:
    table = versions.read()
    parts = {name: program.version for name, program in table.programs.items()}
    parts |= {name: wheel.version for name, wheel in table.wheels.items()}
    return ", ".join(f"{name} {version}" for name, version in parts.items())


def started_by(cluster: Cluster) -> Path:
    """The checkout that started the cluster last."""
    return Path(json.loads((cluster.state / "cluster.json").read_text())["checkout"])

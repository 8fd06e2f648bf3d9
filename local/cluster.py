"""`up`: from whatever is there to a running cluster, part by part, each harmless when done before."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from local import (
    addons,
    addresses,
    builds,
    control_plane,
    kubeconfig,
    monitoring,
    network,
    node,
    places,
    processes,
    versions,
)
from local.addresses import HOST, NODE
from local.certificates import Authority
from local.control_plane import ApiServer
from local.processes import Identity
from local.progress import Part
from local.supervisor import Service, recorded, write_json

# Raise it when a state folder of the former code cannot be taken over.
LAYOUT = 1
READY_SECONDS = 180.0
USERS = {
    "admin": ("admin", ("system:masters",)),
    "controller-manager": ("system:kube-controller-manager", ()),
    "scheduler": ("system:kube-scheduler", ()),
    "kubelet": (f"system:node:{NODE}", ("system:nodes",)),
    "proxy": ("system:kube-proxy", ()),
    "coredns": ("coredns", ()),
    "storage": ("local-path-provisioner", ("system:masters",)),
    "contour": ("contour", ("system:masters",)),
    "prometheus": ("prometheus", ()),
}


class NotReady(RuntimeError):
    """A part did not come up in time; the message ends with the last lines of its log."""


class Cluster:
    """The cluster of this machine: its files in one state folder, its processes under one supervisor."""

    def __init__(self, state: Path | None = None) -> None:
        self.state = state or places.state()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.user_kubeconfig("admin")

    @property
    def audit_log(self) -> Path:
        """The API server's audit log at level Metadata."""
        return self.state / "apiserver/audit.log"

    def user_kubeconfig(self, user: str) -> Path:
        """The kubeconfig of one of USERS."""
        return self.state / f"{user}.kubeconfig"

    def supervisor(self) -> Identity | None:
        """The living supervisor, or None."""
        try:
            told = json.loads((self.state / "supervisor.json").read_text())
        except (OSError, ValueError):
            return None
        found = Identity(told["pid"], told["started"])
        return found if processes.alive(found) else None

    def fits(self) -> bool:
        """Whether the state folder, if there is one, was made by these versions and this layout."""
        try:
            return bool(json.loads((self.state / "cluster.json").read_text())["recipe"] == _recipe())
        except (OSError, ValueError, KeyError):
            return not self.state.exists()

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl as administrator; its output. An error raises NotReady with what it said."""
        command = [str(builds.program("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotReady(f"kubectl {arguments[0]}: {(done.stderr or done.stdout).strip()[-800:]}")
        return done.stdout

    def parts(self) -> list[Part]:
        """The parts of a start besides packages, programs and images, which they name as needs."""
        return [
            Part("network", self._network, needs=("packages",)),
            Part("supervisor", self._supervisor, needs=("network",)),
            Part("etcd", self._etcd, needs=("supervisor", "build etcd")),
            Part("kube-apiserver", self._apiserver, needs=("etcd", "build kube-apiserver", "build kubectl")),
            Part("controller-manager", self._controllers, needs=("kube-apiserver", "build kube-controller-manager")),
            Part("scheduler", self._scheduler, needs=("kube-apiserver", "build kube-scheduler")),
            Part("kube-proxy", self._proxy, needs=("kube-apiserver", "build kube-proxy")),
            Part("coredns", self._coredns, needs=("kube-apiserver", "build coredns")),
            Part("containerd", self._containerd, needs=("supervisor",)),
            Part("kubelet", self._kubelet, needs=("kube-proxy", "coredns", "build kubelet", "base images")),
            Part("storage class", self._storage, needs=("kubelet", "build local-path-provisioner")),
            Part("prometheus", self._prometheus, needs=("kube-apiserver",)),
            Part("contour", self._contour, needs=("kube-apiserver", "build contour", "gateway CRDs")),
            Part("envoy", self._envoy, needs=("contour", "wheel envoy")),
        ]

    def _network(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        write_json(self.state / "cluster.json", {"recipe": _recipe(), "checkout": str(places.CHECKOUT)})
        if self.supervisor() is None:
            self._forget_the_dead()
        network.prepare(self.state)
        self._write_users()

    def _forget_the_dead(self) -> None:
        """After a kill or a reboot: end what the last supervisor left, and let each part ask for itself anew."""
        processes.stop(recorded(self.state).values())
        for folder in ("services", "pids"):
            for file in (self.state / folder).glob("*.json"):
                file.unlink()

    def _write_users(self) -> None:
        for file, (user, groups) in USERS.items():
            pair = self._authority.client(file, user, groups)
            kubeconfig.write(self.user_kubeconfig(file), addresses.API_URL, self._authority.pair.certificate, pair)

    @property
    def _authority(self) -> Authority:
        return Authority(self.state / "pki")

    def _supervisor(self) -> str:
        running = self.supervisor()
        if running is None:
            (self.state / "logs").mkdir(exist_ok=True)
            with (self.state / "logs/supervisor.log").open("ab") as log:
                subprocess.Popen(
                    [sys.executable, "-m", "local.supervisor", str(self.state)],
                    cwd=places.CHECKOUT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._until("supervisor", lambda: self.supervisor() is not None)
            running = self.supervisor()
        return f"process {running.pid}" if running else ""

    def _run(self, name: str, order: int, command: list[str], **env: str) -> None:
        service = Service(name, order, command, env)
        service.save(self.state)
        self._until(name, lambda: service.taken_up(self.state))

    def _until(self, name: str, ready: Callable[[], bool]) -> None:
        if not comes(ready, READY_SECONDS):
            log = self.state / f"logs/{name}.log"
            words = log.read_text(errors="replace").splitlines()[-12:] if log.exists() else []
            raise NotReady(f"{name} is not ready after {READY_SECONDS:.0f} s:\n" + "\n".join(words))

    def _until_answers(self, name: str, url: str) -> None:
        self._until(name, lambda: answers(url))

    def _etcd(self) -> None:
        client, peer = f"http://127.0.0.1:{addresses.ETCD_CLIENT}", f"http://127.0.0.1:{addresses.ETCD_PEER}"
        self._run("etcd", 10, control_plane.etcd(self.state / "etcd", client, peer, durable=True))
        self._until_answers("etcd", f"{client}/readyz")

    def _apiserver(self) -> str:
        folder = self.state / "apiserver"
        folder.mkdir(exist_ok=True)
        server = ApiServer(
            folder,
            self._authority,
            HOST,
            addresses.API_SERVER,
            f"http://127.0.0.1:{addresses.ETCD_CLIENT}",
            ("10.96.0.1", "kubernetes.default.svc.cluster.local"),
        )
        extra = ["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"]
        self._run("kube-apiserver", 20, server.command(extra), GOGC="75")
        self._until("kube-apiserver", self._api_ready)
        return addresses.API_URL

    def _api_ready(self) -> bool:
        try:
            return self.kubectl("get", "--raw", "/readyz") == "ok"
        except NotReady:
            return False

    def _controllers(self) -> None:
        extra = [
            f"--cluster-cidr={control_plane.POD_RANGE}",
            f"--service-cluster-ip-range={control_plane.SERVICE_RANGE}",
            f"--cluster-signing-cert-file={self._authority.pair.certificate}",
            f"--cluster-signing-key-file={self._authority.pair.key}",
        ]
        command = control_plane.controller_manager(
            self.user_kubeconfig("controller-manager"),
            self._authority,
            "127.0.0.1",
            addresses.CONTROLLER_MANAGER,
            extra,
        )
        self._run("controller-manager", 30, command)
        self._until("controller-manager", lambda: "default" in self._or_nothing("get", "sa", "-n", "default"))

    def _or_nothing(self, *arguments: str) -> str:
        try:
            return self.kubectl(*arguments)
        except NotReady:
            return ""

    def _scheduler(self) -> None:
        command = control_plane.scheduler(self.user_kubeconfig("scheduler"), "127.0.0.1", addresses.SCHEDULER)
        self._run("scheduler", 31, command)

    def _proxy(self) -> None:
        # kube-proxy waits up to 30 s for a node with an address, and must be there before the kubelet runs a pod.
        if not self._or_nothing("get", "node", NODE):
            self._apply("node")
            where = {"status": {"addresses": [{"type": "InternalIP", "address": HOST}]}}
            self.kubectl("patch", "node", NODE, "--subresource=status", "-p", json.dumps(where))
        self._run("kube-proxy", 40, node.proxy(self.user_kubeconfig("proxy")))
        # Its health tells of the node's fitness for load balancers; that it answers means the rules are synced.
        self._until_answers("kube-proxy", f"http://127.0.0.1:{addresses.PROXY_HEALTH}/livez")

    def _coredns(self) -> None:
        self._apply("dns")
        self._run("coredns", 41, addons.coredns(self.state, self.user_kubeconfig("coredns")), GOMAXPROCS="2")
        self._until_answers("coredns", f"http://{HOST}:{addresses.COREDNS_READY}/ready")

    def _apply(self, name: str) -> None:
        self._apply_text(addons.manifest(self.state, name))

    def _apply_text(self, text: str) -> None:
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=text)

    def _containerd(self) -> None:
        self._run("containerd", 50, node.containerd(self.state))
        self._until("containerd", lambda: _succeeds(node.ctr(self.state, "version")))

    def _kubelet(self) -> str:
        node.prepare_cgroup()
        own = self.user_kubeconfig("kubelet")
        self._run("kubelet", 60, node.kubelet(self.state, self._authority, own))
        watch = node.simulated_accelerators(builds.program("kubectl"), self.kubeconfig)
        self._run("simulated-accelerators", 61, watch)
        self._until_answers("kubelet", f"http://127.0.0.1:{addresses.KUBELET_HEALTH}/healthz")
        self._until("kubelet", self._node_ready)
        return f"{addresses.SIMULATED_GPUS} simulated {addresses.GPU}"

    def _node_ready(self) -> bool:
        ready = '{.status.conditions[?(@.type=="Ready")].status}'
        offered = "{.status.allocatable." + addresses.GPU.replace(".", "\\.") + "}"
        told = self._or_nothing("get", "node", NODE, "-o", f"jsonpath={ready} {offered}")
        return told == f"True {addresses.SIMULATED_GPUS}"

    def _storage(self) -> None:
        self._apply("storage")
        self._run("storage", 70, addons.storage(self.state, self.user_kubeconfig("storage")))

    def _prometheus(self) -> str:
        self._apply("monitoring")
        client = self._authority.client("prometheus", *USERS["prometheus"])
        authority = self._authority.pair.certificate
        self._run("discovery", 71, monitoring.discovery(self.state, authority, client))
        self._run("prometheus", 72, monitoring.prometheus(self.state, authority, client))
        self._until_answers("prometheus", f"{addresses.PROMETHEUS_URL}/-/ready")
        return addresses.PROMETHEUS_URL

    def _contour(self) -> None:
        for file in builds.manifests("gateway"):
            self._apply_text(file.read_text())
        crds = ("crd/gateways.gateway.networking.k8s.io", "crd/httproutes.gateway.networking.k8s.io")
        self.kubectl("wait", "--for=condition=Established", *crds)
        self._apply("gateway")
        self._run("contour", 80, addons.contour(self.state, self.user_kubeconfig("contour")))
        self._until_answers("contour", f"http://127.0.0.1:{addresses.CONTOUR_HEALTH}/healthz")

    def _envoy(self) -> str:
        self._run("envoy", 81, addons.envoy(self.state))
        self._until_answers("envoy", f"http://127.0.0.1:{addresses.ENVOY_STATS}/ready")
        return addresses.GATEWAY_URL


def comes(what: Callable[[], bool], within: float) -> bool:
    """Wait until something is so, at most this many seconds; False if it never was."""
    deadline = time.monotonic() + within
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310 - an address of addresses.py
            return bool(answer.status == 200)
    except OSError:
        return False


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False, env={**os.environ}).returncode == 0


def _recipe() -> str:
    """Digest of what a state folder cannot be carried across: versions of Kubernetes and etcd, and the layout."""
    programs = versions.read().programs
    parts = [f"{name}={programs[name].version}" for name in ("etcd", "kube-apiserver", "kubelet")]
    return hashlib.sha256(" ".join([str(LAYOUT), *parts]).encode()).hexdigest()[:12]

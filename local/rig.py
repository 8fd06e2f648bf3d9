"""The API-server rig: a real etcd and kube-apiserver, alone, for tests of order, answers and crashes.

    with ApiServerRig(tmp_path) as rig:
        run(["kubectl", "--kubeconfig", rig.kubeconfig, "get", "ns"])

Several run in parallel; each has its own ports, keys and folder. The servers end with the block, and with the
process that started them however that dies (`guard.py`). A start takes 3 to 6 seconds on two cores.
"""

from __future__ import annotations

import http.client
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from local import builds, control_plane, kubeconfig, places
from local.certificates import Authority
from local.control_plane import ApiServer
from local.free_ports import free_ports

ADDRESS = "127.0.0.1"
START_SECONDS = 90.0
TRIES = 5
CONTROLLERS = (
    "namespace-controller,garbage-collector-controller,deployment-controller,replicaset-controller,"
    "serviceaccount-controller,root-ca-certificate-publisher-controller,endpointslice-controller,job-controller,"
    "ttl-after-finished-controller,clusterrole-aggregation-controller"
)


class RigFailed(RuntimeError):
    """A server of the rig did not come up; the message ends with the last lines of its log."""


# The collector took a quarter of its processor time, which the tests and what they look at share with it.
LESS_COLLECTING = ("/usr/bin/env", "GOGC=400")


class ApiServerRig:
    """One etcd and one kube-apiserver on free loopback ports.

    `folder` holds everything; without it a temporary one is made and removed. `flags` are further flags of
    kube-apiserver, for example `--runtime-config=…`. `kube_controllers` also starts kube-controller-manager:
    True for namespaces, garbage collection, deployments, replica sets, jobs and service accounts; a string names
    the controllers.
    """

    def __init__(
        self, folder: Path | None = None, *, flags: tuple[str, ...] = (), kube_controllers: bool | str = False
    ) -> None:
        self._given = folder
        self._flags = flags
        self._controllers = CONTROLLERS if kube_controllers is True else kube_controllers or ""
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.folder = self._given or Path(tempfile.mkdtemp(prefix="trainyard-rig-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every server, newest first; remove the folder if the rig made it."""
        for name in reversed(list(self._running)):
            self._end(name)
        if self._given is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """Address of the API server."""
        return self._server.url

    @property
    def audit_log(self) -> Path:
        """Audit log at level Metadata, one JSON object a line."""
        return self._server.audit_log

    @property
    def certificate_authority(self) -> Path:
        """PEM file that the API server's certificate is verified with."""
        return self._authority.pair.certificate

    @property
    def kubectl(self) -> str:
        """Path of the kubectl of the same version."""
        return str(builds.program("kubectl"))

    def kubeconfig_for(self, user: str, groups: tuple[str, ...] = ()) -> Path:
        """A kubeconfig of another user, who may do what RBAC grants."""
        pair = self._authority.client(f"user-{user.replace(':', '-')}", user, groups)
        file = self.folder / f"{user.replace(':', '-')}.kubeconfig"
        return kubeconfig.write(file, self.url, self.certificate_authority, pair)

    def stop_apiserver(self) -> None:
        """End kube-apiserver; etcd keeps the data."""
        self._end("apiserver")

    def start_apiserver(self) -> None:
        """Start kube-apiserver again on the same port, and wait until it is ready."""
        self._spawn("apiserver", self._apiserver())
        if not self._wait_ready():
            raise RigFailed(self._last_words("apiserver"))

    def _start(self) -> None:
        self._authority = Authority(self.folder / "pki")
        for _ in range(TRIES):
            if self._try_ports():
                break
        else:
            raise RigFailed(f"no free ports in {TRIES} tries: {self._last_words('etcd', 'apiserver')}")
        admin = self._authority.client("admin", "admin", ("system:masters",))
        self.kubeconfig = kubeconfig.write(
            self.folder / "admin.kubeconfig", self.url, self.certificate_authority, admin
        )
        if self._controllers:
            self._start_controllers()

    def _try_ports(self) -> bool:
        """Start both servers on ports that are free now; False if something took one in between."""
        client, peer, secure = free_ports(3)
        self.etcd_url = f"http://{ADDRESS}:{client}"
        self._server = ApiServer(self.folder, self._authority, ADDRESS, secure, self.etcd_url)
        peer_url = f"http://{ADDRESS}:{peer}"
        data = self.folder / "etcd"
        self._spawn("etcd", control_plane.etcd(data, self.etcd_url, peer_url, durable=False))
        self._spawn("apiserver", self._apiserver())
        if self._wait_ready():
            return True
        words = self._last_words("etcd", "apiserver")
        self._end("apiserver")
        self._end("etcd")
        shutil.rmtree(data, ignore_errors=True)
        if "address already in use" not in words:
            raise RigFailed(words)
        return False

    def _apiserver(self) -> list[str]:
        """Return its command line."""
        return [*LESS_COLLECTING, *self._server.command(self._api_flags())]

    def _api_flags(self) -> list[str]:
        accounts = [] if self._controllers else ["--disable-admission-plugins=ServiceAccount"]
        return [
            "--authorization-mode=RBAC",
            "--endpoint-reconciler-type=none",
            "--enable-priority-and-fairness=false",
            "--shutdown-delay-duration=0s",
            *accounts,
            *self._flags,
        ]

    def _start_controllers(self) -> None:
        (port,) = free_ports(1)
        extra = [f"--controllers={self._controllers}"]
        command = control_plane.controller_manager(self.kubeconfig, self._authority, ADDRESS, port, extra)
        self._spawn("controller-manager", command)

    def _wait_ready(self) -> bool:
        """Wait until the API server says it is ready; False if a server ends first."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if any(self._running[name].poll() is not None for name in ("etcd", "apiserver")):
                return False
            if self._ready():
                return True
            time.sleep(0.1)
        raise RigFailed(f"not ready in {START_SECONDS:.0f} s: {self._last_words('apiserver')}")

    def _ready(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.certificate_authority))
        admin = self._authority.client("admin", "admin", ("system:masters",))
        context.load_cert_chain(admin.certificate, admin.key)
        link = http.client.HTTPSConnection(ADDRESS, self._server.port, context=context, timeout=5)
        try:
            link.request("GET", "/readyz")
            return link.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            link.close()

    def _spawn(self, name: str, command: list[str]) -> None:
        guarded = [sys.executable, "-I", "-S", str(places.LOCAL / "guard.py"), *command]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                guarded, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )

    def _end(self, name: str) -> None:
        guard = self._running.pop(name, None)
        if guard and guard.stdin:
            guard.stdin.close()
            guard.wait()

    def _last_words(self, *names: str) -> str:
        logs = [self.folder / f"{name}.log" for name in names]
        return "\n".join(line for log in logs for line in log.read_text().splitlines()[-8:])


def run(command: list[str], *, kube_controllers: bool) -> int:
    """Run a command with KUBECONFIG of a fresh rig and kubectl first on PATH; its exit status."""
    with ApiServerRig(kube_controllers=kube_controllers) as rig:
        path = f"{Path(rig.kubectl).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        env = {
            **os.environ,
            "PATH": path,
            "KUBECONFIG": str(rig.kubeconfig),
            "TRAINYARD_AUDIT_LOG": str(rig.audit_log),
        }
        return subprocess.run(command, env=env, check=False).returncode

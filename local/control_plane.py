"""Command lines of etcd and the control plane, shared by the whole cluster and by the API-server rig."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local import builds
from local.certificates import Authority

SERVICE_RANGE = "10.96.0.0/16"
POD_RANGE = "10.244.0.0/16"
ISSUER = "https://kubernetes.default.svc.cluster.local"

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""


@dataclass(frozen=True)
class ApiServer:
    """Where one kube-apiserver listens and keeps its files."""

    folder: Path
    authority: Authority
    address: str
    port: int
    etcd: str
    names: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Address that its clients use."""
        return f"https://{self.address}:{self.port}"

    @property
    def audit_log(self) -> Path:
        """Every answered request, one JSON line each, at level Metadata."""
        return self.folder / "audit.log"

    def command(self, extra: list[str]) -> list[str]:
        """Its command line; writes the audit policy and the keys it names. `extra` flags come last and win."""
        policy = self.folder / "audit-policy.yaml"
        policy.write_text(AUDIT_POLICY)
        hosts = ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        served = self.authority.server("apiserver", [*dict.fromkeys([*hosts, self.address, *self.names])])
        tokens = self.authority.signing_key("service-accounts")
        kubelet = self.authority.client("apiserver-kubelet", "kube-apiserver", ("system:masters",))
        return [
            str(builds.program("kube-apiserver")),
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            f"--etcd-servers={self.etcd}",
            f"--tls-cert-file={served.certificate}",
            f"--tls-private-key-file={served.key}",
            f"--client-ca-file={self.authority.pair.certificate}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={tokens.certificate}",
            f"--service-account-signing-key-file={tokens.key}",
            f"--kubelet-client-certificate={kubelet.certificate}",
            f"--kubelet-client-key={kubelet.key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=2000",
            "--allow-privileged=true",
            "--profiling=false",
            *extra,
        ]


def etcd(folder: Path, client: str, peer: str, *, durable: bool) -> list[str]:
    """One etcd on these two URLs; without `durable` it never waits for the disk."""
    return [
        str(builds.program("etcd")),
        "--name=trainyard",
        f"--data-dir={folder}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=trainyard={peer}",
        "--auto-compaction-retention=1h",
        "--log-level=warn",
        *([] if durable else ["--unsafe-no-fsync"]),
    ]


def controller_manager(kubeconfig: Path, authority: Authority, address: str, port: int, extra: list[str]) -> list[str]:
    """One kube-controller-manager without leader election: nobody else is there."""
    return [
        str(builds.program("kube-controller-manager")),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={address}",
        f"--secure-port={port}",
        f"--root-ca-file={authority.pair.certificate}",
        f"--service-account-private-key-file={authority.signing_key('service-accounts').key}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--profiling=false",
        *extra,
    ]


def scheduler(kubeconfig: Path, address: str, port: int) -> list[str]:
    """One kube-scheduler without leader election."""
    return [
        str(builds.program("kube-scheduler")),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={address}",
        f"--secure-port={port}",
        "--leader-elect=false",
        "--profiling=false",
    ]

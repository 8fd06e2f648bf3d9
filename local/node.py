"""The node: containerd, kubelet, kube-proxy, and the simulated accelerators; files and command lines."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from local import builds, network
from local.addresses import (
    BRIDGE,
    DNS,
    GPU,
    HOST,
    KUBELET,
    KUBELET_HEALTH,
    NODE,
    PROXY_HEALTH,
    PROXY_METRICS,
    SIMULATED_GPUS,
)
from local.certificates import Authority
from local.control_plane import POD_RANGE

CGROUP = "trainyard"
PAUSE_IMAGE = "localhost/trainyard/pause:1"


def socket(state: Path) -> Path:
    """Where containerd of this cluster listens."""
    return state / "containerd/containerd.sock"


def ctr(state: Path, *arguments: str) -> list[str]:
    """A command line of containerd's client, for the namespace that the kubelet uses."""
    return ["ctr", "--address", str(socket(state)), "--namespace", "k8s.io", *arguments]


def containerd(state: Path) -> list[str]:
    """Command line of containerd; writes its configuration."""
    room = state / "containerd"
    room.mkdir(parents=True, exist_ok=True)
    network.write_cni(state)
    config = room / "config.toml"
    config.write_text(
        f"""\
version = 2
root = "{room}/root"
state = "{room}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
address = "{socket(state)}"
[plugins."io.containerd.internal.v1.opt"]
path = "{room}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{state}/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "/usr/sbin/runc"
SystemdCgroup = false
"""
    )
    return ["containerd", "--config", str(config), "--log-level", "warn"]


def prepare_cgroup() -> None:
    """Make the control group under which every pod lives, in each hierarchy."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        (root / "cgroup.subtree_control").write_text("+cpu +cpuset +memory +pids")
        (root / CGROUP).mkdir(exist_ok=True)
        return
    for hierarchy in cgroup_hierarchies():
        (hierarchy / CGROUP).mkdir(exist_ok=True)


def cgroup_hierarchies() -> list[Path]:
    """The mounted hierarchies: one for version 2, one for each controller for version 1."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        return [root]
    return [entry for entry in root.iterdir() if entry.is_dir() and not entry.is_symlink()]


def kubelet(state: Path, authority: Authority, kubeconfig: Path) -> list[str]:
    """Command line of the kubelet; writes its configuration."""
    room = state / "kubelet"
    room.mkdir(parents=True, exist_ok=True)
    resolv = state / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\n")
    served = authority.server("kubelet-server", [NODE, HOST, "127.0.0.1"])
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": HOST,
        "port": KUBELET,
        "healthzPort": KUBELET_HEALTH,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority.pair.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(served.certificate),
        "tlsPrivateKeyFile": str(served.key),
        "containerRuntimeEndpoint": f"unix://{socket(state)}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "enforceNodeAllocatable": ["pods"],
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(resolv),
        "podLogsDir": str(state / "pod-logs"),
        "volumePluginDir": str(room / "volume-plugins"),
        # Images cannot be pulled again here, so the kubelet never collects them.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "maxPods": 200,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "serializeImagePulls": False,
        "shutdownGracePeriod": "0s",
    }
    (room / "config.json").write_text(json.dumps(config, indent=1))
    return [
        str(builds.program("kubelet")),
        f"--config={room / 'config.json'}",
        f"--kubeconfig={kubeconfig}",
        f"--root-dir={room / 'root'}",
        f"--cert-dir={room / 'pki'}",
        f"--node-ip={HOST}",
        f"--hostname-override={NODE}",
    ]


def proxy(kubeconfig: Path) -> list[str]:
    """Command line of kube-proxy: service addresses by packet rules."""
    return [
        str(builds.program("kube-proxy")),
        f"--kubeconfig={kubeconfig}",
        "--proxy-mode=iptables",
        "--conntrack-max-per-core=0",
        f"--cluster-cidr={POD_RANGE}",
        f"--hostname-override={NODE}",
        f"--bind-address={HOST}",
        f"--healthz-bind-address=127.0.0.1:{PROXY_HEALTH}",
        f"--metrics-bind-address=127.0.0.1:{PROXY_METRICS}",
        f"--pod-bridge-interface={BRIDGE}",
        "--nodeport-addresses=127.0.0.0/8",
    ]


def simulated_accelerators(kubectl: Path, kubeconfig: Path) -> list[str]:
    """Command line that keeps the node's simulated GPUs there: watches the node, patches its status when they miss.

    No device stands behind them; they let pods that ask for a GPU be scheduled and counted. A kubelet that
    starts again clears them, hence a watch and not one patch. The API server ends every watch, after 30 to 60
    minutes by its defaults, and `kubectl get --watch` with it; the next begins in the same process.
    """
    client = f"{shlex.quote(str(kubectl))} --kubeconfig={shlex.quote(str(kubeconfig))}"
    amount = {GPU: str(SIMULATED_GPUS)}
    patch = json.dumps({"status": {"capacity": amount, "allocatable": amount}})
    field = "{.status.allocatable." + GPU.replace(".", "\\.") + '}{"\\n"}'
    script = f"""\
while :; do
  {client} get node {NODE} --watch -o jsonpath={shlex.quote(field)} | while read -r offered; do
    [ "$offered" = {SIMULATED_GPUS} ] || {client} patch node {NODE} --subresource=status -p {shlex.quote(patch)}
  done
  sleep 1
done"""
    return ["sh", "-c", script]

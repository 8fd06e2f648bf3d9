"""The bridge of the pods, and what must be set on the host for it; all undone by `remove`."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import suppress
from pathlib import Path

from local.addresses import BRIDGE, HOST, POD_SUBNET

SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/ipv4/conf/all/route_localnet": "1",
}
OURS = re.compile(r"KUBE-|CNI-")
NETWORK = "trainyard"


def prepare(state: Path) -> None:
    """Make the bridge and set the sysctls; harmless when done before. Keeps the former values in `state`."""
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("addr", "replace", f"{HOST}/24", "brd", "+", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    former = state / "sysctls.json"
    if not former.exists():
        former.write_text(json.dumps({name: _sysctl(name).read_text().strip() for name in SYSCTLS}))
    for name, value in SYSCTLS.items():
        _sysctl(name).write_text(value)


def write_cni(state: Path) -> None:
    """Tell containerd how pods are wired: the bridge, addresses of the subnet, host ports."""
    content = {
        "cniVersion": "0.4.0",
        "name": NETWORK,
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(state / "cni/addresses"),
                    "ranges": [[{"subnet": POD_SUBNET}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    folder = state / "cni/net.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "10-trainyard.conflist").write_text(json.dumps(content, indent=1))


def remove(state: Path) -> None:
    """Take away bridge, pod network namespaces and packet rules, and set the sysctls back."""
    for space in _pod_namespaces():
        _ip("netns", "delete", space, check=False)
    if Path(f"/sys/class/net/{BRIDGE}").exists():
        _ip("link", "delete", BRIDGE)
    for tool in ("iptables", "ip6tables"):
        _restore_without_ours(tool)
    for cached in Path("/var/lib/cni/results").glob(f"{NETWORK}-*"):
        cached.unlink(missing_ok=True)
    former = state / "sysctls.json"
    if former.exists():
        for name, value in json.loads(former.read_text()).items():
            _sysctl(name).write_text(value)


def left_behind() -> list[str]:
    """What of the network is still there, in words; empty when `remove` was thorough."""
    found = [f"bridge {BRIDGE}"] if Path(f"/sys/class/net/{BRIDGE}").exists() else []
    found += [f"network namespace {space}" for space in _pod_namespaces()]
    for tool in ("iptables", "ip6tables"):
        rules = [line for line in _rules(tool) if OURS.search(line)]
        found += [f"{len(rules)} {tool} lines"] if rules else []
    return found


def without_ours(rules: list[str]) -> list[str]:
    """The lines of iptables-save that neither belong to nor jump to a chain of Kubernetes or CNI."""
    return [line for line in rules if not OURS.search(line)]


def _restore_without_ours(tool: str) -> None:
    rules = _rules(tool)
    kept = without_ours(rules)
    if kept != rules:
        text = "\n".join(kept) + "\n"
        subprocess.run([f"{tool}-restore"], input=text, text=True, check=True, capture_output=True)


def _rules(tool: str) -> list[str]:
    done = subprocess.run([f"{tool}-save"], capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def _pod_namespaces() -> list[str]:
    """Names of network namespaces that containerd made for pods."""
    folder = Path("/var/run/netns")
    with suppress(FileNotFoundError):
        return sorted(entry.name for entry in folder.iterdir() if entry.name.startswith("cni-"))
    return []


def _sysctl(name: str) -> Path:
    return Path("/proc/sys") / name


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)

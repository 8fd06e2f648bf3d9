"""What the demo is told: which cluster, which images, where to send load, where to write. Read once, at the start."""

import argparse
import ipaddress
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = "trainyard-system"
RELEASE = "trainyard"
LOCAL_IMAGES = "localhost/trainyard/"


class WrongUsage(Exception):
    """The demo cannot begin; `str()` says what to do."""


@dataclass(frozen=True)
class Settings:
    """One run of the demo. `environment` is what kubectl, helm and trainyard are started with.

    registry: image prefix with a slash at the end, "" for the local cluster's own. rate: requests per second.
    drift: share of requests from devices that the training data did not know.
    """

    environment: Mapping[str, str]
    gateway_url: str
    prometheus_url: str
    prometheus_cluster_url: str
    registry: str = ""
    tag: str = "dev"
    gateway: str = "projectcontour/trainyard"
    rate: float = 40.0
    drift: float = 0.3
    keep: bool = False
    plain: bool = False
    figures: Path = ROOT / "build/demo/figures.json"
    transcript: Path = ROOT / "build/demo/transcript.txt"
    extra_values: tuple[str, ...] = field(default=())

    @property
    def local(self) -> bool:
        """Whether it runs on the one-machine cluster of `local/`."""
        return not self.registry


def parse(arguments: Sequence[str]) -> Settings:
    """Read the command line and the cluster's environment. Raises WrongUsage."""
    wanted = _parser().parse_args(arguments)
    if wanted.cluster == "local":
        found = local_environment()
        urls = (found["TRAINYARD_GATEWAY_URL"], found["TRAINYARD_PROMETHEUS_URL"])
        cluster_url = found["TRAINYARD_PROMETHEUS_CLUSTER_URL"]
    else:
        if not wanted.registry:
            raise WrongUsage("with --cluster current, say where the images are: make demo CLUSTER=current IMAGES=…")
        found, urls, cluster_url = {}, (wanted.gateway_url, wanted.prometheus_query_url), wanted.prometheus_url
    check_loopback(urls[0])
    return Settings(
        environment={**os.environ, **found},
        gateway_url=urls[0].rstrip("/"),
        prometheus_url=urls[1].rstrip("/"),
        prometheus_cluster_url=cluster_url,
        registry=wanted.registry.rstrip("/") + "/" if wanted.cluster == "current" else "",
        tag=wanted.tag,
        gateway=wanted.gateway,
        rate=wanted.rate,
        keep=wanted.keep,
        plain=wanted.plain,
        figures=wanted.figures,
        transcript=wanted.transcript,
        extra_values=tuple(wanted.set),
    )


def check_loopback(url: str) -> None:
    """Refuse to send load anywhere but to this machine (a port-forward reaches any gateway). Raises WrongUsage."""
    host = urlsplit(url).hostname or ""
    if host != "localhost" and not _is_loopback(host):
        raise WrongUsage(f"load is only sent to this machine, not to {host!r}: kubectl port-forward the gateway")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def local_environment() -> dict[str, str]:
    """Return what `python -m local env` exports. Raises WrongUsage where the local cluster is not up."""
    done = subprocess.run([sys.executable, "-m", "local", "env"], cwd=ROOT, text=True, capture_output=True, check=False)
    if done.returncode:
        raise WrongUsage(f"the local cluster is not up (make up): {done.stderr.strip()}")
    return exports(done.stdout)


def exports(text: str) -> dict[str, str]:
    """Read `export NAME=value` lines."""
    lines = (line.removeprefix("export ") for line in text.splitlines() if line.startswith("export "))
    pairs = (line.split("=", 1) for line in lines)
    return {name: os.path.expandvars(value.strip("'\"")) for name, value in pairs}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make demo", description="Train, canary, promote, roll back; all of it real.")
    parser.add_argument("--cluster", choices=["local", "current"], default="local")
    parser.add_argument("--registry", default="", help="where trainyard's images are (--cluster current)")
    parser.add_argument("--tag", default="dev", help="tag of those images")
    parser.add_argument("--gateway", default="projectcontour/trainyard", help="NAMESPACE/NAME of the Gateway to use")
    parser.add_argument("--gateway-url", default="http://127.0.0.1:8080", help="the Gateway, port-forwarded to here")
    parser.add_argument("--prometheus-url", default="", help="Prometheus as the operator reaches it")
    parser.add_argument("--prometheus-query-url", default="http://127.0.0.1:9090", help="Prometheus as seen from here")
    parser.add_argument("--rate", type=float, default=40.0, help="requests per second")
    parser.add_argument("--set", action="append", default=[], help="a further value for Helm; repeatable")
    parser.add_argument("--keep", action="store_true", help="leave the namespace there, also after Ctrl-C")
    parser.add_argument("--plain", action="store_true", help="lines instead of a live screen")
    parser.add_argument("--figures", type=Path, default=ROOT / "build/demo/figures.json")
    parser.add_argument("--transcript", type=Path, default=ROOT / "build/demo/transcript.txt")
    return parser

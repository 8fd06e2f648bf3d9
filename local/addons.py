"""What runs beside the control plane: DNS, volumes, Contour and Envoy; files and command lines."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from string import Template

import yaml

from local import addresses, builds, places
from local.addresses import HOST

HELPER_IMAGE = "localhost/trainyard/base-python:3.11"
GATEWAY_NAMESPACE = "projectcontour"
GATEWAY_NAME = "trainyard"


def manifest(state: Path, name: str) -> str:
    """Text of manifests/<name>.yaml with addresses and paths of this cluster filled in."""
    values = {name: str(value) for name, value in vars(addresses).items() if name.isupper()}
    values |= {"VOLUMES": str(state / "volumes"), "HELPER_IMAGE": HELPER_IMAGE}
    return Template((places.LOCAL / "manifests" / f"{name}.yaml").read_text()).substitute(values)


def coredns(state: Path, kubeconfig: Path) -> list[str]:
    """Command line of CoreDNS on the bridge; it knows the cluster's names and nothing else."""
    corefile = state / "Corefile"
    # The kubernetes plugin wants a next one; forwarding to a closed port answers SERVFAIL at once.
    corefile.write_text(
        f"""\
.:{addresses.COREDNS} {{
    bind {HOST}
    errors
    ready {HOST}:{addresses.COREDNS_READY}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }}
    forward . 127.0.0.1:9
    cache 5
}}
"""
    )
    return [str(builds.program("coredns")), "-conf", str(corefile)]


def storage(state: Path, kubeconfig: Path) -> list[str]:
    """Command line of the provisioner behind the default StorageClass."""
    data = next(part["data"] for part in yaml.safe_load_all(manifest(state, "storage")) if part["kind"] == "ConfigMap")
    room = state / "storage"
    room.mkdir(parents=True, exist_ok=True)
    for file, text in data.items():
        (room / file).write_text(text)
    return [
        str(builds.program("local-path-provisioner")),
        "start",
        f"--config={room / 'config.json'}",
        f"--kubeconfig={kubeconfig}",
        "--namespace=local-path-storage",
        f"--helper-image={HELPER_IMAGE}",
        "--service-account-name=local-path-provisioner",
        "--configmap-name=local-path-config",
        f"--helper-pod-file={room / 'helperPod.yaml'}",
    ]


def contour(state: Path, kubeconfig: Path) -> list[str]:
    """Command line of Contour, which turns Gateway API objects into Envoy's configuration."""
    config = state / "contour.yaml"
    gateway = {"gatewayRef": {"namespace": GATEWAY_NAMESPACE, "name": GATEWAY_NAME}}
    # Envoy logs the answers of 500 and above, with why: it is where a lost request is looked for.
    config.write_text(json.dumps({"gateway": gateway, "accesslog-level": "critical"}))
    return [
        str(builds.program("contour")),
        "serve",
        f"--config-path={config}",
        f"--kubeconfig={kubeconfig}",
        "--insecure",
        "--disable-leader-election",
        "--envoy-service-name=envoy",
        f"--envoy-service-namespace={GATEWAY_NAMESPACE}",
        "--xds-address=127.0.0.1",
        f"--xds-port={addresses.CONTOUR_XDS}",
        "--health-address=127.0.0.1",
        f"--health-port={addresses.CONTOUR_HEALTH}",
        "--http-address=127.0.0.1",
        f"--http-port={addresses.CONTOUR_METRICS}",
        "--debug-http-address=127.0.0.1",
        "--debug-http-port=0",
        "--stats-address=127.0.0.1",
        f"--stats-port={addresses.ENVOY_STATS}",
    ]


def envoy(state: Path) -> list[str]:
    """Command line of Envoy; writes its bootstrap, which points at Contour."""
    bootstrap = state / "envoy.json"
    command = [
        str(builds.program("contour")),
        "bootstrap",
        str(bootstrap),
        "--xds-address=127.0.0.1",
        f"--xds-port={addresses.CONTOUR_XDS}",
        "--xds-resource-version=v3",
        f"--admin-address={state / 'envoy.sock'}",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return [
        str(builds.wheel_program("envoy")),
        # Envoy's parser takes no `--name=value`.
        *("--config-path", str(bootstrap)),
        *("--service-cluster", "trainyard"),
        *("--service-node", addresses.NODE),
        *("--concurrency", "2"),
        *("--log-level", "warn"),
        "--disable-hot-restart",
    ]

"""Prometheus: its configuration, and the discovery of pods that stands in for the one Debian leaves out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from local import addresses, places
from local.addresses import HOST
from local.certificates import Pair

SYSTEM_PYTHON = "/usr/bin/python3"


def targets(state: Path) -> Path:
    """File in which the discovery tells Prometheus of the pods."""
    return state / "prometheus-targets.json"


def discovery(state: Path, authority: Path, client: Pair) -> list[str]:
    """Command line of the discovery, copied into the state folder, on the machine's own Python."""
    script = state / "discovery.py"
    shutil.copyfile(places.LOCAL / "discovery.py", script)
    keys = [str(authority), str(client.certificate), str(client.key)]
    return [SYSTEM_PYTHON, "-I", str(script), addresses.API_URL, *keys, str(targets(state))]


def prometheus(state: Path, authority: Path, client: Pair) -> list[str]:
    """Command line of Prometheus."""
    config = state / "prometheus.yaml"
    config.write_text(yaml.safe_dump(configuration(targets(state), authority, client), sort_keys=False))
    return [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={state / 'prometheus'}",
        "--storage.tsdb.retention.time=2d",
        f"--web.listen-address={HOST}:{addresses.PROMETHEUS}",
        "--web.enable-lifecycle",
        "--log.level=warn",
    ]


def configuration(pods: Path, authority: Path, client: Pair) -> dict[str, Any]:
    """Scrape models and the operator from pods, Envoy, and the kubelet's container figures."""
    kubelet = {
        "job_name": "kubelet",
        "scrape_interval": "10s",
        "scrape_timeout": "8s",
        "scheme": "https",
        "metrics_path": "/metrics/cadvisor",
        "tls_config": {
            "ca_file": str(authority),
            "cert_file": str(client.certificate),
            "key_file": str(client.key),
        },
        "static_configs": [{"targets": [f"{HOST}:{addresses.KUBELET}"]}],
    }
    envoy = {
        "job_name": "envoy",
        "metrics_path": "/stats/prometheus",
        "static_configs": [{"targets": [f"127.0.0.1:{addresses.ENVOY_STATS}"]}],
    }
    models = _pods(pods, "trainyard-models", "labelpresent_trainyard_dev_rollout", "true")
    models["relabel_configs"] += [
        _copied(f"pod_label_trainyard_dev_{label}", label) for label in ("rollout", "revision", "version", "model")
    ]
    operator = _pods(pods, "trainyard-operator", "label_app_kubernetes_io_name", "trainyard")
    operator["honor_labels"] = True  # as the chart's jobs do: `namespace` of a Rollout's series is the Rollout's
    return {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
        "scrape_configs": [models, operator, envoy, kubelet],
    }


def _pods(file: Path, job: str, chosen_by: str, value: str) -> dict[str, Any]:
    """A job over the pods whose meta label `chosen_by` has this value; what they say of themselves does not win."""
    chosen = {"source_labels": [f"__meta_kubernetes_pod_{chosen_by}"], "regex": value, "action": "keep"}
    return {
        "job_name": job,
        "honor_labels": False,
        "file_sd_configs": [{"files": [str(file)]}],
        "relabel_configs": [chosen, _copied("namespace", "namespace"), _copied("pod_name", "pod")],
    }


def _copied(source: str, label: str) -> dict[str, Any]:
    return {"source_labels": [f"__meta_kubernetes_{source}"], "target_label": label}

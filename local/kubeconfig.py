"""Kubeconfig files with embedded certificates: one file is all that a client needs."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from local.certificates import Pair


def write(file: Path, server: str, authority: Path, client: Pair) -> Path:
    """Write a kubeconfig for `server` with this client certificate; JSON, which is YAML too."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "trainyard",
        "contexts": [{"name": "trainyard", "context": {"cluster": "trainyard", "user": "trainyard"}}],
        "clusters": [
            {"name": "trainyard", "cluster": {"server": server, "certificate-authority-data": _coded(authority)}}
        ],
        "users": [
            {
                "name": "trainyard",
                "user": {
                    "client-certificate-data": _coded(client.certificate),
                    "client-key-data": _coded(client.key),
                },
            }
        ],
    }
    half = file.with_name(file.name + ".part")
    half.touch(mode=0o600)
    half.write_text(json.dumps(content, indent=1))
    half.rename(file)
    return file


def _coded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()

"""The platform's part: Helm, a namespace with its Secrets, and the data set in MinIO."""

import asyncio
import base64
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from examples.demo.settings import RELEASE, ROOT, SYSTEM, Settings
from examples.demo.shell import Failed, Shell, until
from trainyard.naming import SECRET_DATA, SECRET_PUBLISHER, SECRET_READER, hash10
from trainyard.systems.artifacts.client import ObstoreArtifacts

LABEL = "trainyard.dev/demo"
CHART = ROOT / "charts/trainyard"
PENDING_SECONDS = 600  # how long somebody else's helm is waited for


def remove_old(shell: Shell) -> list[str]:
    """Delete what an earlier demo left, whole; return the namespaces' names."""
    text = shell.run("kubectl", "get", "namespaces", "-l", f"{LABEL}=true", "-o", "name")
    old = [name for name in text.split() if name != f"namespace/{shell.namespace}"]
    if old:
        shell.run("kubectl", "delete", *old, "--wait=true", "--timeout=5m", timeout=320)
    return old


def make_namespace(shell: Shell) -> None:
    """Make the demo's namespace."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": shell.namespace, "labels": {LABEL: "true"}},
    }
    shell.run("kubectl", "apply", "-f", "-", stdin=json.dumps(manifest))


def helm_command(settings: Settings, namespace: str) -> list[str]:
    """Return the command that installs or upgrades Trainyard, as a user types it."""
    values = [
        f"prometheus.url={settings.prometheus_cluster_url}",
        f"setup.namespaces={{{namespace}}}",
        *_images(settings),
        *settings.extra_values,
    ]
    files = ["-f", str(CHART / "ci/local-values.yaml")] if settings.local else []
    if settings.local:  # the tag stays `dev`: without this, an operator built anew would not be started
        values.append(f"operator.podAnnotations.checkout=sources-{sources()}")
    return [
        "helm", "upgrade", "--install", RELEASE, str(CHART), "--namespace", SYSTEM, "--create-namespace", *files,
        *(part for value in values for part in ("--set", value)), "--wait", "--timeout", "10m",
    ]  # fmt: skip


def sources() -> str:
    """Return a digest of what the operator's image is built from."""
    files = [ROOT / "Dockerfile", ROOT / "requirements.lock", *sorted((ROOT / "operator").rglob("*.py"))]
    return hash10([[str(path.relative_to(ROOT)), path.read_text()] for path in files])


def ran(shell: Shell, helm: list[str]) -> bool | None:
    """Run helm; None while another one is at work on the release. Raises Failed with what else it says."""
    try:
        shell.run(*helm, timeout=660)
    except Failed as error:
        if any(words in str(error) for words in ("another operation", "release: already exists")):
            return None
        raise
    return True


def install(shell: Shell, settings: Settings) -> None:
    """Install or upgrade with real Helm, and wait until the operator is there and the namespace has its Secrets."""
    command = helm_command(settings, shell.namespace)
    until("another helm is at work on the release", lambda: ran(shell, command), PENDING_SECONDS, 3)
    for name in (SECRET_DATA, SECRET_PUBLISHER, SECRET_READER):
        until(f"Secret {name}", lambda name=name: shell.get("secret", name), 180)  # type: ignore[misc] # a default


def put_data(shell: Shell, uri: str, region: str = "us-east-1") -> int:
    """Make the data set as CSV and put it where the pipeline reads it; return its bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "breast_cancer.csv"
        shell.run(sys.executable, str(ROOT / "examples/data/breast_cancer.py"), str(path))
        data = path.read_bytes()
    root = _secret(shell, f"{RELEASE}-minio")
    target = uri + "breast_cancer.csv" if uri.endswith("/") else uri
    with shell.forwarded(f"svc/{RELEASE}-minio", 9000, SYSTEM) as endpoint:
        store = ObstoreArtifacts(endpoint, region, root["root-user"], root["root-password"])
        asyncio.run(store.put(target, data))
    return len(data)


def remove(shell: Shell) -> None:
    """Delete the demo's namespace, without waiting."""
    shell.run("kubectl", "delete", "namespace", shell.namespace, "--wait=false", "--ignore-not-found")


def _images(settings: Settings) -> Sequence[str]:
    if settings.local:
        return ()
    return (
        f"image.repository={settings.registry}operator",
        f"image.tag={settings.tag}",
        f"servers.tensorflow.image.repository={settings.registry}server",
        f"servers.tensorflow.image.tag={settings.tag}",
    )


def _secret(shell: Shell, name: str) -> dict[str, str]:
    found = shell.get("secret", name, SYSTEM)
    if found is None:
        raise Failed(f"Secret {name} is missing in {SYSTEM}: is the chart's MinIO on?")
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

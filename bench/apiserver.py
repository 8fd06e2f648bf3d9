"""The API server of a run: our kinds and the Gateway API's in it, and its audit log. Used by `measuring`."""

import json
import subprocess
from pathlib import Path

from bench.objects import NAMESPACE
from local import builds
from local.rig import ApiServerRig

CRDS = Path(__file__).resolve().parent.parent / "crds"


def install(rig: ApiServerRig) -> None:
    """Install the kinds, wait until they are served, and make the namespace."""
    gateway, _ = builds.manifests("gateway")
    call = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig)]
    for source in (CRDS, gateway):
        _run([*call, "apply", "--server-side", "-f", str(source)])
        _run([*call, "wait", "--for=condition=Established", "--timeout=60s", "-f", str(source)])
    _run([*call, "create", "namespace", NAMESPACE])


def version(rig: ApiServerRig) -> str:
    """Return the version that the API server says it has."""
    told = json.loads(_run([rig.kubectl, "--kubeconfig", str(rig.kubeconfig), "version", "-o", "json"]))
    return str(told["serverVersion"]["gitVersion"])


def audit_lines(rig: ApiServerRig, mark: int) -> list[str]:
    """Return the whole lines that were added since the log had `mark` bytes."""
    with rig.audit_log.open("rb") as log:
        log.seek(mark)
        return whole_lines(log.read())


def whole_lines(text: bytes) -> list[str]:
    """Split a text into its lines; what follows the last line end is still being written, and is left out."""
    return text[: text.rfind(b"\n") + 1].decode().splitlines()


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

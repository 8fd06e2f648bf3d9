"""The API server of a run: the kinds in it, its version and its audit log. Used by the tools and `measuring`."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from bench.objects import NAMESPACE
from local.rig import ApiServerRig, RigFailed


def apply_manifests(rig: ApiServerRig, sources: Iterable[Path]) -> None:
    """Install kinds, and wait until they are served. Raises RigFailed."""
    call = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig)]
    files = [f"--filename={source}" for source in sources]
    _run([*call, "apply", "--server-side", *files])
    _run([*call, "wait", "--for=condition=Established", "--timeout=60s", *files])


def make_namespace(rig: ApiServerRig) -> None:
    """Make the namespace that all happens in."""
    _run([rig.kubectl, "--kubeconfig", str(rig.kubeconfig), "create", "namespace", NAMESPACE])


def audit_lines(rig: ApiServerRig, mark: int) -> list[str]:
    """Return the whole lines that began since the log had `mark` bytes."""
    with rig.audit_log.open("rb") as log:
        log.seek(max(0, mark - 1))
        text = log.read()
    return whole_lines(text if mark == 0 else text[text.find(b"\n") + 1 :])


def whole_lines(text: bytes) -> list[str]:
    """Split a text into its lines; what follows the last line end is still being written, and is left out."""
    return text[: text.rfind(b"\n") + 1].decode().splitlines()


def _run(command: list[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RigFailed(f"{' '.join(command[3:5])} exited {done.returncode}: {done.stderr[-500:]}")
    return done.stdout

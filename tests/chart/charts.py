"""The chart as the tests use it: helm, rendered objects, the values files that ship with it."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts/trainyard"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
NAMESPACE = "trainyard-system"
# A helm that is built from its module does not know which Kubernetes it belongs to.
KUBERNETES = ("--kube-version", "1.34.0")

Obj = dict[str, Any]
Helm = Callable[..., str]


class HelmFailed(Exception):
    """helm exited with an error; `str()` is what it said."""


def helm_at(program: Path, *environment: str) -> Helm:
    """Return `helm(...)`: its output; raises HelmFailed."""

    def helm(*arguments: str) -> str:
        command: Sequence[str] = [str(program), *arguments, *environment]
        done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=120)
        if done.returncode:
            raise HelmFailed(done.stderr.strip())
        return done.stdout

    return helm


def ci(name: str) -> tuple[str, str]:
    """Return helm's arguments for one of the values files that ship with the chart."""
    return "-f", str(CHART / f"ci/{name}-values.yaml")


def rendered(helm: Helm, *arguments: str) -> list[Obj]:
    """Return the objects of `helm template`."""
    text = helm("template", "trainyard", str(CHART), "--namespace", NAMESPACE, *KUBERNETES, *arguments)
    return [obj for obj in yaml.safe_load_all(text) if obj]


def one(objects: Sequence[Obj], kind: str, name: str = "") -> Obj:
    """Return the only object of a kind (and name)."""
    (found,) = (o for o in objects if o["kind"] == kind and name in ("", o["metadata"]["name"]))
    return found


def pod_specs(objects: Sequence[Obj]) -> dict[str, Obj]:
    """Return the pod templates of all workloads, by kind and name."""
    workloads = (o for o in objects if o["kind"] in ("Deployment", "StatefulSet", "Job"))
    return {f"{o['kind']}/{o['metadata']['name']}": o["spec"]["template"] for o in workloads}

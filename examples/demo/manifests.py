"""examples/quickstart as the demo applies it: unchanged on the local cluster, with the user's own images elsewhere."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from examples.demo.settings import LOCAL_IMAGES, ROOT, Settings

QUICKSTART = ROOT / "examples/quickstart"
Obj = dict[str, Any]


def load(folder: Path = QUICKSTART) -> list[Obj]:
    """Return every manifest of a folder, in the order in which kubectl applies them."""
    return [obj for path in sorted(folder.glob("*.y*ml")) for obj in yaml.safe_load_all(path.read_text()) if obj]


def adapt(manifests: Sequence[Obj], settings: Settings, namespace: str) -> list[Obj]:
    """Return the manifests for this cluster and namespace.

    Only the namespace is set on the local cluster; on a user's own also the registry of the images and the Gateway.
    """
    adapted = copy.deepcopy(list(manifests))
    for obj in adapted:
        obj["metadata"]["namespace"] = namespace
        if obj["kind"] == "TrainingPipeline":
            _pipeline(obj["spec"], settings)
        if obj["kind"] == "Rollout" and not settings.local:
            gateway_namespace, _, name = settings.gateway.partition("/")
            traffic = obj["spec"]["target"]["kubernetes"]["traffic"]
            traffic["parentRefs"] = [{"namespace": gateway_namespace, "name": name}]
    return adapted


def of_kind(manifests: Sequence[Obj], kind: str) -> Obj:
    """Return the manifest of a kind; there is one of each."""
    return next(obj for obj in manifests if obj["kind"] == kind)


def host(manifests: Sequence[Obj]) -> str:
    """Return the host name that the Rollout answers to, "" where it takes the listener's."""
    hosts = of_kind(manifests, "Rollout")["spec"]["target"]["kubernetes"]["traffic"].get("hostnames", ())
    return str(hosts[0]) if hosts else ""


def with_default(pipeline: Obj, name: str, value: Any) -> Obj:
    """Return the pipeline with another default of a parameter: what a person would edit. KeyError if it has none."""
    edited = copy.deepcopy(pipeline)
    found = {p["name"]: p for p in edited["spec"]["parameters"]}
    found[name]["default"] = value
    return edited


def text(manifests: Sequence[Obj]) -> str:
    """Return the manifests as YAML."""
    return yaml.safe_dump_all(list(manifests), sort_keys=False)


def _pipeline(spec: Obj, settings: Settings) -> None:
    template = spec["engine"]["job"]["template"]
    image = template["image"]
    if not settings.local and image.startswith(LOCAL_IMAGES):
        name = image.removeprefix(LOCAL_IMAGES).rpartition(":")[0] or image.removeprefix(LOCAL_IMAGES)
        template["image"] = f"{settings.registry}{name}:{settings.tag}"

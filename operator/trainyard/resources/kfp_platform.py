"""What a package's `platforms` section may say of its pods: an allow-list like a pod template's. Pure.

Kubeflow runs a package's pods under its own service account, and in a single-tenant installation in its own
namespace, so names of Secrets, claims and ConfigMaps are collected here and checked against the cluster by the rooms.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trainyard.resources.kfp_package import STUB, KfpPackage

Spec = Mapping[str, Any]

# What an executor may say, and which fields each part of it has.
PARTS: Mapping[str, frozenset[str]] = {
    "secretAsVolume": frozenset({"secretName", "secretNameParameter", "mountPath", "optional"}),
    "secretAsEnv": frozenset({"secretName", "secretNameParameter", "keyToEnv"}),
    "imagePullSecret": frozenset({"secretName", "secretNameParameter"}),
    "configMapAsVolume": frozenset({"configMapName", "configMapNameParameter", "mountPath", "optional"}),
    "configMapAsEnv": frozenset({"configMapName", "configMapNameParameter", "keyToEnv"}),
    "pvcMount": frozenset({"mountPath", "taskOutputParameter", "constant", "componentInputParameter",
                           "pvcNameParameter"}),
    "nodeSelector": frozenset({"labels", "nodeSelectorJson"}),
    "tolerations": frozenset({"key", "operator", "value", "effect", "tolerationSeconds", "tolerationJson"}),
    "nodeAffinity": frozenset({"matchExpressions", "matchFields", "weight", "nodeAffinityJson"}),
    "podAffinity": frozenset({"matchPodExpressions", "matchPodLabels", "topologyKey", "namespaces",
                              "matchNamespaceExpressions", "matchNamespaceLabels", "weight", "anti"}),
    "podMetadata": frozenset({"labels", "annotations"}),
    "fieldPathAsEnv": frozenset({"name", "fieldPath"}),
    "emptyDirMounts": frozenset({"volumeName", "mountPath", "medium", "sizeLimit"}),
    "enabledSharedMemory": frozenset({"volumeName", "size"}),
    "genericEphemeralVolume": frozenset({"volumeName", "mountPath", "accessModes", "size", "defaultStorageClass",
                                         "storageClassName"}),
}  # fmt: skip
PLAIN = frozenset({"imagePullPolicy", "activeDeadlineSeconds"})
PIPELINE = frozenset({"semaphoreKey", "mutexName", "resourceTtl"})
# Domains whose labels and annotations the machinery itself reads.
RESERVED = ("kubernetes.io", "k8s.io", "kubeflow.org", "argoproj.io", "istio.io", "trainyard.dev", "x-k8s.io")
SECRETS = ("secretAsVolume", "secretAsEnv", "imagePullSecret")
CONFIG_MAPS = ("configMapAsVolume", "configMapAsEnv")


@dataclass(frozen=True)
class Named:
    """The objects of the pods' namespace that a package names."""

    secrets: tuple[str, ...] = ()
    config_maps: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()


def problem(package: KfpPackage) -> str:
    """Return the sentence that says what a package may not have, "" where all of it is allowed."""
    return next(_problems(package), "")


def named(package: KfpPackage) -> Named:
    """Return what a package without `problem` names."""
    configs = list(_executors(package).values())
    return Named(
        _names(configs, SECRETS, "secretName", "secretNameParameter"),
        _names(configs, CONFIG_MAPS, "configMapName", "configMapNameParameter"),
        _names(configs, ("pvcMount",), "constant", "pvcNameParameter"),
    )


def _problems(package: KfpPackage) -> Iterator[str]:
    others = sorted(package.platforms.keys() - {"kubernetes"})
    if others:
        yield f"The platforms section may speak of kubernetes only, not of {', '.join(others)[:200]}."
    kubernetes = _map(package.platforms.get("kubernetes"))
    for key in sorted(kubernetes.keys() - {"deploymentSpec", "pipelineConfig"}):
        yield f"{key} is not allowed in a package's platforms section."
    for key in sorted(_map(kubernetes.get("pipelineConfig")).keys() - PIPELINE):
        yield f"pipelineConfig.{key} is not allowed in a package's platforms section."
    for key in sorted(_map(kubernetes.get("deploymentSpec")).keys() - {"executors"}):
        yield f"deploymentSpec.{key} is not allowed in a package's platforms section."
    for label, config in sorted(_executors(package).items()):
        yield from _of_executor(label, _map(config))
    yield from _of_claims(package)


def _of_executor(label: str, config: Spec) -> Iterator[str]:
    for key in sorted(config.keys() - PARTS.keys() - PLAIN):
        yield f"{label}: {key} is not allowed in a package's platforms section."
    for key, fields in PARTS.items():
        for field in sorted({field for part in _parts(config, key) for field in part} - fields):
            yield f"{label}: {key}.{field} is not allowed in a package's platforms section."
    yield from _of_metadata(label, config)
    yield from _unsettled(label, config, SECRETS, "secretName", "secretNameParameter", "Secret")
    yield from _unsettled(label, config, CONFIG_MAPS, "configMapName", "configMapNameParameter", "ConfigMap")
    for part in _parts(config, "pvcMount"):
        made = "taskOutputParameter" in part or "taskOutputParameter" in _map(part.get("pvcNameParameter"))
        if not made and not _name(part, "constant", "pvcNameParameter"):
            yield f"{label}: a claim's name must stand in the package, or come from the task that made the claim."


def _of_metadata(label: str, config: Spec) -> Iterator[str]:
    for part in _parts(config, "podMetadata"):
        for key in sorted([*_map(part.get("labels")), *_map(part.get("annotations"))]):
            domain = key.partition("/")[0] if "/" in key else ""
            if any(domain == reserved or domain.endswith("." + reserved) for reserved in RESERVED):
                yield f"{label}: pods may not carry the label or annotation {key}."


def _unsettled(label: str, config: Spec, keys: tuple[str, ...], field: str, parameter: str, what: str) -> Iterator[str]:
    """A name that only a parameter tells cannot be checked before the pods run."""
    for key in keys:
        for part in _parts(config, key):
            if not _name(part, field, parameter):
                yield f"{label}: {key}: the name of a {what} must stand in the package, not come from a parameter."


def _of_claims(package: KfpPackage) -> Iterator[str]:
    """A task may delete the claim that another one made, and no other."""
    stubs = {label for label, one in package.executors.items() if _image(one) == f"{STUB}deletepvc"}
    components = _map(package.spec.get("components"))
    deleting = {name for name, one in components.items() if _map(one).get("executorLabel") in stubs}
    for dag in (package.spec["root"], *components.values()):
        for name, task in sorted(_map(_map(_map(dag).get("dag")).get("tasks")).items()):
            reference = _map(_map(task).get("componentRef")).get("name")
            given = _map(_map(_map(_map(task).get("inputs")).get("parameters")).get("pvc_name"))
            if reference in deleting and "taskOutputParameter" not in given:
                yield f"Task {name} may delete only a claim that another task of the package made."


def _executors(package: KfpPackage) -> Mapping[str, Any]:
    return _map(_map(_map(package.platforms.get("kubernetes")).get("deploymentSpec")).get("executors"))


def _parts(config: Spec, key: str) -> list[Spec]:
    """Return a part of an executor's configuration as a list, whether the package has one or many."""
    value = config.get(key)
    return [_map(one) for one in value] if isinstance(value, list) else [_map(value)] if value is not None else []


def _name(part: Spec, field: str, parameter: str) -> str:
    """Return the name that stands in the package; "" where there is none, or where both are given and differ."""
    given = part.get(parameter)
    if given is None:
        return str(part.get(field) or "")
    constant = _map(_map(given).get("runtimeValue")).get("constant")
    return constant if isinstance(constant, str) and part.get(field) in (None, "", constant) else ""


def _names(configs: list[Any], keys: tuple[str, ...], field: str, parameter: str) -> tuple[str, ...]:
    found = {_name(p, field, parameter) for c in configs for key in keys for p in _parts(_map(c), key)}
    return tuple(sorted(found - {""}))


def _image(executor: Any) -> Any:
    return _map(_map(executor).get("container")).get("image")


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

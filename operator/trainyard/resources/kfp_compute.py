"""A pipeline's `spec.compute` and its caching, written into a package: Kubeflow compiles placement in. Pure."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from trainyard.resources.kfp_package import STUB, KfpPackage

Spec = Mapping[str, Any]
# What a package's pods have no place for.
NOT_FOR_KUBEFLOW = ("runtimeClassName", "priorityClassName", "queue")


def problem(package: KfpPackage, compute: Spec, outputs: Iterable[str] = ()) -> str:
    """Return why compute (in its JSON form) or the outputs' tasks do not fit the package, "" where they do."""
    for field in NOT_FOR_KUBEFLOW:
        if compute.get(field):
            return f"compute.{field}: a Kubeflow package has no place for it."
    known = {task.path[-1] for task in package.tasks}
    for step in compute.get("steps") or ():
        if step["name"] not in known:
            return f"compute.steps: the package has no task {step['name']}; it has {', '.join(sorted(known))[:500]}."
    for name in outputs:
        if name not in known:
            return f"The package has no task {name}; it has {', '.join(sorted(known))[:500]}."
    return ""


def placed(package: KfpPackage, compute: Spec, caching: bool, always_run: Iterable[str] = ()) -> KfpPackage:
    """Return the package with placement and caching settled; tasks in `always_run` are never taken from the cache."""
    spec, platforms = copy.deepcopy(dict(package.spec)), copy.deepcopy(dict(package.platforms))
    _settle_caching(spec, caching, frozenset(always_run))
    steps = {step["name"]: step for step in compute.get("steps") or ()}
    general = {field: compute[field] for field in ("accelerator", "nodeSelector", "tolerations") if compute.get(field)}
    if general or steps:
        for dag in _dags(spec):
            for name, task in sorted(dag["tasks"].items()):
                _place(spec, platforms, name, task, general | _given(steps.get(name, {})), name in steps)
    return KfpPackage(spec, platforms)


def _given(step: Spec) -> dict[str, Any]:
    return {field: value for field, value in step.items() if field != "name" and value}


def _settle_caching(spec: dict[str, Any], caching: bool, always_run: frozenset[str]) -> None:
    for dag in _dags(spec):
        for name, task in dag["tasks"].items():
            if not caching or name in always_run:
                task["cachingOptions"] = {}  # present and without enableCache: off


def _dags(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every dag with tasks."""
    components = [spec["root"], *(spec.get("components") or {}).values()]
    return [one["dag"] for one in components if one.get("dag", {}).get("tasks")]


def _place(
    spec: dict[str, Any], platforms: dict[str, Any], name: str, task: dict[str, Any], wanted: Spec, own: bool
) -> None:
    """Place one task's pod; a task with a placement of its own gets a component and an executor of its own."""
    reference = task["componentRef"]["name"]
    executors = spec["deploymentSpec"]["executors"]
    label = spec["components"][reference].get("executorLabel")
    if label is None or not wanted or _is_podless(executors[label]):
        return
    if own:
        old, label, reference = label, f"{label}-for-{name}", f"{reference}-for-{name}"
        spec["components"][reference] = {**spec["components"][task["componentRef"]["name"]], "executorLabel": label}
        executors[label] = copy.deepcopy(executors[old])
        task["componentRef"] = {"name": reference}
        _copy_config(platforms, old, label)
    _limit(executors[label]["container"], wanted.get("accelerator"))
    _configure(platforms, label, wanted)


def _is_podless(executor: Spec) -> bool:
    """Whether the driver does the work itself (a claim, an import)."""
    container = executor.get("container")
    return container is None or str(container.get("image", "")).startswith(STUB)


def _copy_config(platforms: dict[str, Any], old: str, label: str) -> None:
    configs = platforms.get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    if old in configs:
        configs[label] = copy.deepcopy(configs[old])


def _limit(container: dict[str, Any], accelerator: Spec | None) -> None:
    """Ask for a device: the newer pair of fields for new drivers, the older one for old ones."""
    if accelerator is None:
        return
    kind, count = accelerator.get("resource", "nvidia.com/gpu"), accelerator.get("count", 1)
    resources = container.setdefault("resources", {})
    resources["accelerator"] = {"resourceType": kind, "resourceCount": str(count), "type": kind, "count": str(count)}


def _configure(platforms: dict[str, Any], label: str, wanted: Spec) -> None:
    selector, tolerations = wanted.get("nodeSelector"), wanted.get("tolerations")
    if not selector and not tolerations:
        return
    deployment = platforms.setdefault("kubernetes", {}).setdefault("deploymentSpec", {})
    config = deployment.setdefault("executors", {}).setdefault(label, {})
    if selector:
        config["nodeSelector"] = {"labels": dict(selector)}
    if tolerations:
        there = list(config.get("tolerations") or ())
        config["tolerations"] = there + [dict(one) for one in tolerations if dict(one) not in there]

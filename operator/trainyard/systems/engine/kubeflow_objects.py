"""What the Kubeflow engine asks for: the package as it is submitted, the run, and the Job that publishes. Pure."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from trainyard.resources import kfp_compute, kfp_package, kfp_platform
from trainyard.resources.kfp_package import KfpPackage
from trainyard.systems.bundle import Config
from trainyard.systems.engine import job_objects
from trainyard.systems.engine.port import RunRequest

COLLECT = "collect"
UNUSABLE, MISSING = 3, 5  # the courier's exit codes that no other try changes (docs/contracts.md)
ROOT = "kubeflow"  # Kubeflow's own outputs lie in this folder of the attempt
PLACEMENT = ("nodeSelector", "tolerations", "priorityClassName")


def root(request: RunRequest) -> str:
    """Return the run's own pipeline root: nothing of another run lies below it."""
    return f"{request.output}{ROOT}"


def tasks(request: RunRequest) -> tuple[tuple[str, ...], ...]:
    """Return the paths of the package's steps; none where the request is only an identity."""
    try:
        return tuple(task.path for task in _package(request).tasks)
    except kfp_package.Malformed:
        return ()


def prepared(request: RunRequest) -> KfpPackage:
    """Return the package with the pipeline's placement and caching. Raises Malformed where it cannot be run.

    The steps whose outputs are published always run: one from the cache leaves nothing under this run's root.
    """
    package = _package(request)
    outputs = _published_tasks(request)
    refusal = kfp_platform.problem(package) or kfp_compute.problem(package, request.compute, outputs)
    refusal = refusal or kfp_package.inexact(request.parameters)
    if refusal:
        raise kfp_package.Malformed(refusal.removesuffix("."))
    return kfp_compute.placed(package, request.compute, bool(request.spec.get("caching", True)), outputs)


def makes_model(request: RunRequest) -> bool:
    """Whether an output of the run becomes a ModelVersion."""
    return bool(request.spec.get("modelOutput"))


def pipeline_name(request: RunRequest, multi_user: bool) -> str:
    """Name the pipeline on the server, where a single-tenant one has all namespaces' pipelines in one list."""
    return request.pipeline if multi_user else f"trainyard.{request.namespace}.{request.pipeline}"


def experiment_name(request: RunRequest, multi_user: bool) -> str:
    """Name the experiment: the run's own word, the pipeline's, or the pipeline's name."""
    named = request.experiment or str(request.spec.get("experiment") or "")
    return named or pipeline_name(request, multi_user)


def run_body(request: RunRequest, pipeline: str, version: str, experiment: str) -> dict[str, Any]:
    """Return what is posted. The run_id is honoured, though the server's own description calls it an output."""
    attempt = f" (attempt {request.attempt})" if request.attempt > 1 else ""
    return {
        "run_id": request.id,
        "display_name": f"{request.title or request.run}{attempt}",
        "description": _description(request),
        "experiment_id": experiment,
        "pipeline_version_reference": {"pipeline_id": pipeline, "pipeline_version_id": version},
        "runtime_config": {"parameters": dict(request.parameters), "pipeline_root": root(request)},
    }


def publish_job(request: RunRequest, config: Config) -> dict[str, Any]:
    """Render the Job that fetches the outputs from the run's root and publishes them as an artifact."""
    job = job_objects.publish_job(request, config)
    pod = job["spec"]["template"]["spec"]
    for field in PLACEMENT:  # those are the steps' own; nothing holds this pod to an accelerator's node
        pod.pop(field, None)
    pod["volumes"] = [{"name": v["name"], "emptyDir": {}} for v in pod["volumes"]]
    collector = copy.deepcopy(pod["containers"][0])
    collector |= {"name": COLLECT, "command": [*collector["command"][:-1], COLLECT]}
    collector["volumeMounts"][0].pop("readOnly", None)
    collector["env"] = [*collector["env"], {"name": "TRAINYARD_COLLECT", "value": _literal(_collecting(request))}]
    pod["initContainers"] = [collector]
    codes = {"containerName": COLLECT, "operator": "In", "values": [UNUSABLE, MISSING]}
    job["spec"]["podFailurePolicy"]["rules"].append({"action": "FailJob", "onExitCodes": codes})
    return job


def _collecting(request: RunRequest) -> str:
    wanted = {
        "root": f"{root(request)}/",
        "run": request.id,
        "model": _output(request.spec["modelOutput"]),
        "format": str(request.spec.get("format", "SavedModel")),
    }
    if request.spec.get("metricsOutput"):
        wanted["metrics"] = _output(request.spec["metricsOutput"])
    return json.dumps(wanted, sort_keys=True)


def _output(wanted: Mapping[str, Any]) -> dict[str, str]:
    return {"task": str(wanted["task"]), "artifact": str(wanted["artifact"])}


def _published_tasks(request: RunRequest) -> tuple[str, ...]:
    given = (request.spec.get(field) for field in ("modelOutput", "metricsOutput"))
    return tuple(str(one["task"]) for one in given if one)


def _description(request: RunRequest) -> str:
    """The run's own sentence, and what it is on our side: the server's runs carry no labels."""
    facts = {
        "TrainingRun": f"{request.namespace}/{request.run}",
        "TrainingPipeline": request.pipeline,
        "model": request.model,
    }
    told = "; ".join(f"{key} {value}" for key, value in facts.items())
    return f"{request.description}\n{told}".strip()


def _package(request: RunRequest) -> KfpPackage:
    text = (request.spec.get("package") or {}).get("inline")
    if not text:
        raise kfp_package.Malformed("the pipeline's revision keeps no package")
    return kfp_package.parse(str(text))


def _literal(value: str) -> str:
    return value.replace("$", "$$")

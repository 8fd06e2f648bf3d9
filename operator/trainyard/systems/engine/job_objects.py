"""What the job engine creates: one run's claims, headless Service, training Job and publishing Job. Pure.

Rendered once and created once; nothing here is ever re-applied. Used by `job`.
"""

import json
from collections.abc import Mapping
from typing import Any

from trainyard import naming
from trainyard.systems.bundle import Config
from trainyard.systems.engine import job_workers
from trainyard.systems.engine.port import RunRequest

ROOT = "/trainyard"
DATA = f"{ROOT}/data"
CHECKPOINT = f"{ROOT}/checkpoint"
USER_ID = 65532  # no name in any image; the volume belongs to it by fsGroup
NOTHING_TO_PUBLISH = 3  # docs/contracts.md, The courier
PUBLISH_RETRIES = 3  # and the pipeline's own retry.limit; each with the Job controller's doubled wait
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
# The Job keeps which pod was evicted, though the pod is gone by the time that somebody looks. No rule on exit codes: a
# queue that suspends the Job ends its pods with 143, and such a rule would take that for a failure (tried on 1.34).
FAIL_AT_ONCE = {
    "rules": [{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}],
}
TRAIN, PUBLISH, FETCH = "train", "publish", "data"  # roles, and the names of their containers

Rendered = dict[str, Any]


def identity_labels(request: RunRequest) -> dict[str, str]:
    """Return the labels by which everything of one attempt is found."""
    return {
        **naming.MANAGED_BY,
        naming.LABEL_RUN: request.run,
        naming.ANNOTATION_ENGINE_ID: request.id,
    }


def claims(request: RunRequest) -> tuple[Rendered, ...]:
    """Render the PersistentVolumeClaims of the run, which all its attempts share: its volume, and its checkpoints'."""
    volume = _claim(request, naming.volume_name(request.run), request.spec.get("volume") or {})
    if not request.spec.get("checkpoint"):
        return (volume,)
    return volume, _claim(request, naming.checkpoint_name(request.run), request.spec["checkpoint"])


def _claim(request: RunRequest, name: str, wanted: Mapping[str, Any]) -> Rendered:
    spec: Rendered = {
        "accessModes": [str(wanted.get("accessMode", "ReadWriteOnce"))],
        "resources": {"requests": {"storage": str(wanted.get("size", "1Gi"))}},
    }
    if wanted.get("storageClassName"):
        spec["storageClassName"] = wanted["storageClassName"]
    meta = _metadata(request, name, {})
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}


def service(request: RunRequest) -> Rendered:
    """Render the headless Service that gives the training pods names before they are ready."""
    meta = _metadata(request, naming.attempt_name(request.run, request.attempt), _role(request, TRAIN))
    selector = {naming.ANNOTATION_ENGINE_ID: request.id, naming.LABEL_ROLE: TRAIN}
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def train_job(request: RunRequest, config: Config) -> Rendered:
    """Render the training Job: the user's container, one for each worker, after its data was fetched.

    Under a queue it starts suspended: Kueue resumes it, and what Kueue writes is never overwritten.
    """
    name, count = naming.attempt_name(request.run, request.attempt), job_workers.workers(request)
    spec: Rendered = {
        "completionMode": "Indexed",
        "completions": count,
        "parallelism": count,
        "backoffLimit": 0,
        "podFailurePolicy": FAIL_AT_ONCE,
        "template": {"metadata": {"labels": _labels(request, TRAIN)}, "spec": _train_pod(request, name, config)},
    }
    queue = request.compute.get("queue")
    if not queue:
        return _job(request, name, TRAIN, spec)
    job = _job(request, name, TRAIN, spec | {"suspend": True})
    job["metadata"]["labels"][QUEUE_LABEL] = queue
    return job


def _train_pod(request: RunRequest, name: str, config: Config) -> Rendered:
    train = _train(request)
    pod = _pod(request, [train]) | {"subdomain": name}
    if request.spec.get("checkpoint"):
        claim = {"claimName": naming.checkpoint_name(request.run)}
        pod["volumes"].append({"name": "checkpoint", "persistentVolumeClaim": claim})
        train["volumeMounts"].append({"name": "checkpoint", "mountPath": CHECKPOINT})
    for wanted in request.spec["template"].get("volumes", ()):
        pod["volumes"].append(_users_volume(wanted))
        train["volumeMounts"].append({k: wanted[k] for k in ("name", "mountPath", "readOnly") if wanted.get(k)})
    if request.datasets:
        fetch = _courier(FETCH, naming.SECRET_DATA, _fetch_env(request), config)
        fetch["env"].insert(0, job_workers.index_variable())
        pod["initContainers"] = [fetch]
    if request.compute.get("runtimeClassName"):
        pod["runtimeClassName"] = request.compute["runtimeClassName"]
    return pod


def _users_volume(wanted: Mapping[str, Any]) -> Rendered:
    """Render one volume of the allow-list; any other kind is none (resources.pods.VolumeMount)."""
    name = wanted["name"]
    if "configMap" in wanted:
        return {"name": name, "configMap": {"name": wanted["configMap"]["name"]}}
    if "secret" in wanted:
        return {"name": name, "secret": {"secretName": wanted["secret"]["name"]}}
    if "persistentVolumeClaim" in wanted:
        return {"name": name, "persistentVolumeClaim": {"claimName": wanted["persistentVolumeClaim"]["claimName"]}}
    space = wanted.get("emptyDir") or {}
    return {"name": name, "emptyDir": {k: space[k] for k in ("sizeLimit", "medium") if space.get(k)}}


def publish_job(request: RunRequest, config: Config) -> Rendered:
    """Render the publishing Job: no accelerator, tried again without training again."""
    name = naming.publisher_name(request.run, request.attempt)
    container = _courier(PUBLISH, naming.SECRET_PUBLISHER, _publish_env(request), config)
    container["volumeMounts"][0]["readOnly"] = True
    failed = {"containerName": PUBLISH, "operator": "In", "values": [NOTHING_TO_PUBLISH]}
    spec = {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": PUBLISH_RETRIES + request.retry_limit,
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": failed}]},
        "template": {"metadata": {"labels": _labels(request, PUBLISH)}, "spec": _pod(request, [container])},
    }
    return _job(request, name, PUBLISH, spec)


def _job(request: RunRequest, name: str, role: str, spec: Rendered) -> Rendered:
    meta = _metadata(request, name, _role(request, role))
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}


def _metadata(request: RunRequest, name: str, labels: Mapping[str, str]) -> Rendered:
    owner = {
        "apiVersion": naming.API_VERSION,
        "kind": "TrainingRun",
        "name": request.owner.name,
        "uid": request.owner.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {
        "name": name,
        "namespace": request.namespace,
        "labels": {**identity_labels(request), **labels},
        "ownerReferences": [owner],
    }


def _role(request: RunRequest, role: str) -> dict[str, str]:
    return {
        naming.LABEL_ROLE: role,
        naming.LABEL_ATTEMPT: str(request.attempt),
        naming.LABEL_PIPELINE: request.pipeline,
        naming.LABEL_MODEL: request.model,
    }


def _labels(request: RunRequest, role: str) -> dict[str, str]:
    return {**identity_labels(request), **_role(request, role)}


def _pod(request: RunRequest, containers: list[Rendered]) -> Rendered:
    """Render what both pods share: the restricted standard, the volume, and placement.

    The publisher bears the same taints, for the volume may hold it to the accelerator's node.
    """
    claim = {"claimName": naming.volume_name(request.run)}
    pod: Rendered = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": containers,
        "volumes": [{"name": "run", "persistentVolumeClaim": claim}, {"name": "tmp", "emptyDir": {}}],
    }
    for field in ("nodeSelector", "tolerations", "priorityClassName"):
        if request.compute.get(field):
            pod[field] = request.compute[field]
    return pod


def _container(name: str, image: str, env: list[Rendered]) -> Rendered:
    return {
        "name": name,
        "image": image,
        "env": env,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "run", "mountPath": ROOT}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a volume of the pod
    }


def _train(request: RunRequest) -> Rendered:
    template = request.spec["template"]
    ours = [*_environment(_train_env(request)), *job_workers.variables(request)]
    rendered = _container(TRAIN, template["image"], [*_user_env(template), *ours])
    rendered |= {field: template[field] for field in ("command", "args") if template.get(field)}
    rendered["resources"] = _resources(template.get("resources", {}), request.compute.get("accelerator"))
    return rendered


def _resources(wanted: Mapping[str, Any], accelerator: Mapping[str, Any] | None) -> Rendered:
    """Lay the accelerator over the user's CPU and memory: an extended resource is a limit, its request follows."""
    resources = {field: dict(wanted[field]) for field in ("requests", "limits") if wanted.get(field)}
    if accelerator:
        device, count = accelerator["resource"], accelerator["count"]
        resources["limits"] = {**resources.get("limits", {}), device: count}
        resources.get("requests", {}).pop(device, None)
    return resources


def _user_env(template: Mapping[str, Any]) -> list[Rendered]:
    """Render the user's variables literally; the operator's own names cannot be taken. HOME is writable."""
    theirs = [e for e in template.get("env", ()) if not e["name"].startswith("TRAINYARD_")]
    rendered = [_variable(e) for e in theirs]
    if all(e["name"] != "HOME" for e in theirs):
        rendered.insert(0, {"name": "HOME", "value": "/tmp"})  # noqa: S108 - a volume of the pod
    return rendered


def _variable(entry: Mapping[str, Any]) -> Rendered:
    if entry.get("secretKeyRef"):
        return {"name": entry["name"], "valueFrom": {"secretKeyRef": dict(entry["secretKeyRef"])}}
    return {"name": entry["name"], "value": _literal(entry.get("value") or "")}


def _literal(value: str) -> str:
    """Keep Kubernetes from expanding `$(NAME)` in a value: `$$` always stands for `$`."""
    return value.replace("$", "$$")


def _environment(values: Mapping[str, str]) -> list[Rendered]:
    return [{"name": name, "value": _literal(value)} for name, value in values.items()]


def _output(request: RunRequest) -> str:
    return f"{ROOT}/output/{request.attempt}"


def _train_env(request: RunRequest) -> dict[str, str]:
    return {
        "TRAINYARD_PARAMETERS": json.dumps(dict(request.parameters), sort_keys=True, ensure_ascii=False),
        "TRAINYARD_DATASETS": json.dumps(dict(request.datasets), sort_keys=True),
        "TRAINYARD_DATA": DATA,
        "TRAINYARD_OUTPUT": _output(request),
        "TRAINYARD_CHECKPOINT": CHECKPOINT,
        "TRAINYARD_RUN": request.run,
        "TRAINYARD_ATTEMPT": str(request.attempt),
        "TRAINYARD_MODEL": request.model,
        "TRAINYARD_PIPELINE": request.pipeline,
    }


def _fetch_env(request: RunRequest) -> dict[str, str]:
    datasets = json.dumps(dict(request.datasets), sort_keys=True)
    attempt = str(request.attempt)
    return {"TRAINYARD_DATASETS": datasets, "TRAINYARD_DATA": DATA, "TRAINYARD_ATTEMPT": attempt}


def _publish_env(request: RunRequest) -> dict[str, str]:
    return {
        "TRAINYARD_OUTPUT": _output(request),
        "TRAINYARD_DATA": DATA,
        "TRAINYARD_ARTIFACT_URI": request.output,
    }


def _courier(verb: str, secret: str, env: Mapping[str, str], config: Config) -> Rendered:
    store = {"TRAINYARD_STORE_ENDPOINT": config.store_endpoint, "TRAINYARD_STORE_REGION": config.store_region}
    rendered = _container(verb, config.courier_image, _environment({**env, **store}))
    return rendered | {
        "imagePullPolicy": config.image_pull_policy,
        "command": ["python", "-m", "trainyard.courier", verb],
        "envFrom": [{"secretRef": {"name": secret}}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
    }

"""What serves: Deployment and Service, and the ControllerRevision that keeps them as rendered.

A revision is rendered once. Later operators re-apply what is stored, so that an upgrade restarts nobody's model
server. Owner and replicas are put on when applied: they are no part of the revision. Pure.
"""

from collections.abc import Mapping
from typing import Any

from trainyard import naming
from trainyard.resources.rollout import RevisionStatus, Rollout, Serving
from trainyard.rollout.state import Candidate, Stored
from trainyard.systems.bundle import Config

Rendered = dict[str, Any]
PORT = 8080
MODELS = "/models"
USER_ID = 65532  # no name in any image; the model's volume belongs to it by fsGroup
DRAIN_SECONDS = 5  # the gateway learns of a leaving pod within this; the server answers meanwhile
GRACE_SECONDS = 45


def is_owner(rollout: Rollout) -> bool:
    """Whether what a Rollout makes carries it as owner.

    The garbage collector deletes dependents at once when their owner is deleted in the foreground, whatever
    `blockOwnerDeletion` says, so what is to stay (Orphan) must have no owner from the beginning.
    """
    return rollout.spec.deletion_policy != "Orphan"


def belonging(rollout: Rollout, left: bool) -> Rendered:
    """Return the metadata that ties an object to its Rollout, or marks it as left by it."""
    if left:
        return {"annotations": {naming.ANNOTATION_ORPHANED: "true"}}
    return {"ownerReferences": owner(rollout)} if is_owner(rollout) else {}


def owner(rollout: Rollout) -> list[Rendered]:
    """Return the owner references of everything a Rollout makes."""
    reference = {
        "apiVersion": naming.API_VERSION,
        "kind": "Rollout",
        "name": rollout.metadata.name,
        "uid": rollout.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return [reference]


def revision_object(
    rollout: Rollout, revision: RevisionStatus, candidate: Candidate, config: Config, number: int
) -> Rendered:
    """Render the ControllerRevision of a revision, its objects inside. number: greater for later ones."""
    name = naming.revision_object(rollout.metadata.name, revision.revision)
    data = {
        "version": revision.version,
        "digest": revision.digest,
        "run": revision.run or "",
        "createdAt": candidate.created_at,
        "deployment": _deployment(rollout, revision, candidate, config),
        "service": _service(rollout, revision),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": rollout.metadata.namespace,
            "labels": _labels(rollout, revision),
            **belonging(rollout, left=False),
        },
        "revision": number,
        "data": data,
    }


def stored_revision(stored: Stored, rollout: Rollout, *, left: bool = False) -> Rendered:
    """Return a kept ControllerRevision to apply again."""
    meta = {key: stored.obj["metadata"][key] for key in ("name", "namespace", "labels")}
    body = {key: stored.obj[key] for key in ("apiVersion", "kind", "revision", "data")}
    return {**body, "metadata": meta | belonging(rollout, left)}


def deployment(stored: Mapping[str, Any], rollout: Rollout, replicas: int, *, left: bool = False) -> Rendered:
    """Return the Deployment of a kept revision at a size; `left`: as it stays when the Rollout goes."""
    rendered = service(stored, rollout, left=left)
    return {**rendered, "spec": {**rendered["spec"], "replicas": replicas}}


def service(stored: Mapping[str, Any], rollout: Rollout, *, left: bool = False) -> Rendered:
    """Return the Service of a kept revision; `left`: as it stays when the Rollout goes."""
    return {**stored, "metadata": {**stored["metadata"], **belonging(rollout, left)}}


def server_image(serving: Serving, config: Config) -> str:
    """Return the image of the model server, "" where there is none for the runtime."""
    return serving.image or config.server_images.get(serving.runtime, "")


def _selector(rollout: Rollout, revision: RevisionStatus) -> dict[str, str]:
    return {naming.LABEL_ROLLOUT: rollout.metadata.name, naming.LABEL_REVISION: revision.revision}


def _labels(rollout: Rollout, revision: RevisionStatus) -> dict[str, str]:
    return {
        **naming.MANAGED_BY,
        **_selector(rollout, revision),
        naming.LABEL_MODEL: rollout.spec.model,
        naming.LABEL_VERSION: revision.version,
        naming.LABEL_ROLE: "serve",
        "app.kubernetes.io/name": "model-server",
        "app.kubernetes.io/instance": rollout.metadata.name,
        "app.kubernetes.io/component": "serving",
    }


def _metadata(rollout: Rollout, revision: RevisionStatus) -> Rendered:
    name = naming.revision_object(rollout.metadata.name, revision.revision)
    return {"name": name, "namespace": rollout.metadata.namespace, "labels": _labels(rollout, revision)}


def _service(rollout: Rollout, revision: RevisionStatus) -> Rendered:
    port = {"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}
    spec = {"selector": _selector(rollout, revision), "ports": [port]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(rollout, revision), "spec": spec}


def _deployment(rollout: Rollout, revision: RevisionStatus, candidate: Candidate, config: Config) -> Rendered:
    target = rollout.spec.target.kubernetes
    assert target is not None  # noqa: S101 - the union's only branch
    serving = target.serving
    spec = {
        "revisionHistoryLimit": 1,
        "minReadySeconds": serving.min_ready_seconds,
        # The API server wants the deadline to be beyond the time that a pod must be ready.
        "progressDeadlineSeconds": max(serving.progress_deadline_seconds, serving.min_ready_seconds + 1),
        "selector": {"matchLabels": _selector(rollout, revision)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
        "template": {
            "metadata": {"labels": _labels(rollout, revision), "annotations": _scraping()},
            "spec": _pod(rollout, serving, candidate, config),
        },
    }
    meta = _metadata(rollout, revision)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def _scraping() -> dict[str, str]:
    return {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT), "prometheus.io/path": "/metrics"}


def _pod(rollout: Rollout, serving: Serving, candidate: Candidate, config: Config) -> Rendered:
    pod: Rendered = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_fetch(candidate, config)],
        "containers": [_server(rollout, serving, config)],
        "volumes": [{"name": "model", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }
    compute = serving.compute.to_wire()
    for field in ("nodeSelector", "tolerations", "runtimeClassName", "priorityClassName"):
        if compute.get(field):
            pod[field] = compute[field]
    return pod


def _container(name: str, image: str, config: Config, env: list[Rendered]) -> Rendered:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": config.image_pull_policy,
        "env": env,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "model", "mountPath": MODELS}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a volume of the pod
    }


def _fetch(candidate: Candidate, config: Config) -> Rendered:
    env = {
        "TRAINYARD_ARTIFACT_URI": candidate.uri,
        "TRAINYARD_ARTIFACT_DIGEST": candidate.digest,
        "TRAINYARD_MODEL_DIR": MODELS,
        "TRAINYARD_STORE_ENDPOINT": config.store_endpoint,
        "TRAINYARD_STORE_REGION": config.store_region,
    }
    return _container("fetch", config.courier_image, config, _literals(env)) | {
        "command": ["python", "-m", "trainyard.courier", "fetch"],
        "envFrom": [{"secretRef": {"name": naming.SECRET_READER}}],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
    }


def _server(rollout: Rollout, serving: Serving, config: Config) -> Rendered:
    env = {"TRAINYARD_MODEL": rollout.spec.model, "TRAINYARD_MODEL_DIR": MODELS}
    container = _container("server", server_image(serving, config), config, _user_env(serving) + _literals(env))
    return container | {
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "resources": _resources(serving),
        # A model may take minutes to load before it answers at all.
        "startupProbe": _probe("/v2/health/live", period=2, failures=450),
        "readinessProbe": _probe("/v2/health/ready", period=2, failures=2),
        "livenessProbe": _probe("/v2/health/live", period=10, failures=3),
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
    }


def _probe(path: str, period: int, failures: int) -> Rendered:
    return {
        "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _resources(serving: Serving) -> Rendered:
    resources = {k: v for k, v in serving.resources.to_wire().items() if v}
    accelerator = serving.compute.accelerator
    if accelerator:
        resources["limits"] = {**resources.get("limits", {}), accelerator.resource: accelerator.count}
        requests = {k: v for k, v in resources.get("requests", {}).items() if k != accelerator.resource}
        resources |= {"requests": requests} if requests else {}
    return resources


def _user_env(serving: Serving) -> list[Rendered]:
    """Render the user's variables literally; the operator's own names cannot be taken. HOME is writable."""
    theirs = [e for e in serving.env if not e.name.startswith("TRAINYARD_")]
    home = [] if any(e.name == "HOME" for e in theirs) else [{"name": "HOME", "value": "/tmp"}]  # noqa: S108 - a volume of the pod
    return home + [_variable(e) for e in theirs]


def _variable(entry: Any) -> Rendered:
    if entry.secret_key_ref:
        return {"name": entry.name, "valueFrom": {"secretKeyRef": entry.secret_key_ref.to_wire()}}
    return {"name": entry.name, "value": _literal(entry.value or "")}


def _literals(values: Mapping[str, str]) -> list[Rendered]:
    return [{"name": name, "value": _literal(value)} for name, value in values.items()]


def _literal(value: str) -> str:
    """Keep Kubernetes from expanding `$(NAME)` in a value: `$$` always stands for `$`."""
    return value.replace("$", "$$")

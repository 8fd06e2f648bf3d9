"""What tells the workers of one attempt of each other, in the words of their framework. Pure; used by `job_objects`.

Worker i is the pod of index i of the attempt's Indexed Job; its name in DNS comes from the headless Service. The index
reaches the other variables by Kubernetes' own `$(NAME)` expansion, so that no shell and no helper is needed in the
training image; for that TRAINYARD_WORKER has to stand before them.
"""

import json
from collections.abc import Mapping
from typing import Any

from trainyard import naming
from trainyard.systems.engine.port import RunRequest

WORKER = "TRAINYARD_WORKER"
INDEX = f"$({WORKER})"
ANNOTATION_INDEX = "batch.kubernetes.io/job-completion-index"
TENSORFLOW_PORT = 2222
TORCH_PORT = 29500

Variables = list[dict[str, Any]]


def workers(request: RunRequest) -> int:
    """Return how many pods train together."""
    return int(request.spec.get("workers", 1))


def hosts(request: RunRequest) -> list[str]:
    """Return the DNS name of each worker, by index."""
    job = naming.attempt_name(request.run, request.attempt)
    return [f"{job}-{index}.{job}.{request.namespace}.svc" for index in range(workers(request))]


def index_variable() -> dict[str, Any]:
    """Return the variable that holds the worker's own index."""
    path = f"metadata.annotations['{ANNOTATION_INDEX}']"
    return {"name": WORKER, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def variables(request: RunRequest) -> Variables:
    """Return the variables of one worker; what the user sets of the framework's own names stays the user's."""
    theirs = {entry["name"] for entry in request.spec["template"].get("env", ())}
    told = _own(request) | {k: v for k, v in _framework(request).items() if k not in theirs}
    return [index_variable(), *({"name": name, "value": value} for name, value in told.items())]


def _own(request: RunRequest) -> dict[str, str]:
    return {"TRAINYARD_WORKERS": str(workers(request)), "TRAINYARD_WORKER_HOSTS": ",".join(hosts(request))}


def _framework(request: RunRequest) -> Mapping[str, str]:
    match request.spec.get("framework", "None"):
        case "TensorFlow":
            return {"TF_CONFIG": _tf_config(request)}
        case "PyTorch":
            return _torch(request)
        case _:
            return {}


def _tf_config(request: RunRequest) -> str:
    """Return cluster and task; the index is a number, so it stands outside of the JSON text's quotes."""
    cluster = json.dumps({"worker": [f"{host}:{TENSORFLOW_PORT}" for host in hosts(request)]})
    return f'{{"cluster": {cluster}, "task": {{"type": "worker", "index": {INDEX}}}}}'


def _torch(request: RunRequest) -> dict[str, str]:
    """Return what torchrun reads (PET_*), and what torch.distributed itself reads where it is started without it.

    Static rendezvous: the workers are a fixed set, and a failed one ends the attempt. torchrun sets WORLD_SIZE and
    RANK anew for the processes that it starts.
    """
    count, (first, *_) = str(workers(request)), hosts(request)
    accelerator = request.compute.get("accelerator") or {}
    return {
        "MASTER_ADDR": first,
        "MASTER_PORT": str(TORCH_PORT),
        "WORLD_SIZE": count,
        "RANK": INDEX,
        "PET_MASTER_ADDR": first,
        "PET_MASTER_PORT": str(TORCH_PORT),
        "PET_NNODES": count,
        "PET_NODE_RANK": INDEX,
        "PET_NPROC_PER_NODE": str(accelerator.get("count", 1)),
        "PET_RDZV_BACKEND": "static",
        "PET_RDZV_ENDPOINT": f"{first}:{TORCH_PORT}",
        "PET_RDZV_ID": naming.attempt_name(request.run, request.attempt),
    }

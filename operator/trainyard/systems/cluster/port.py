"""The Kubernetes API as the rooms see it: six verbs over plain JSON objects.

The client (`client.py`, on kubernetes.aio) and the in-memory fake (`tests/fakes/cluster.py`) pass one contract
suite. Every write may raise Conflict, Invalid, Forbidden, Unavailable or Fenced.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

Obj = Mapping[str, Any]
# Types of what JSON writes as one value. Asked for first: whether something is a map or a list takes far longer.
SCALARS: frozenset[type] = frozenset({str, int, float, bool, type(None)})


class Kind(NamedTuple):
    """A resource type: `Kind("apps", "v1", "Deployment", "deployments")`; the core group is ""."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


class Ref(NamedTuple):
    """The address of one namespaced object."""

    kind: Kind
    namespace: str
    name: str


TRAINING_PIPELINE = Kind("trainyard.dev", "v1alpha1", "TrainingPipeline", "trainingpipelines")
TRAINING_RUN = Kind("trainyard.dev", "v1alpha1", "TrainingRun", "trainingruns")
MODEL_VERSION = Kind("trainyard.dev", "v1alpha1", "ModelVersion", "modelversions")
ROLLOUT = Kind("trainyard.dev", "v1alpha1", "Rollout", "rollouts")
CONTROLLER_REVISION = Kind("apps", "v1", "ControllerRevision", "controllerrevisions")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
SERVICE = Kind("", "v1", "Service", "services")
POD = Kind("", "v1", "Pod", "pods")
SECRET = Kind("", "v1", "Secret", "secrets")
# A Secret without its content: for those who only look at its labels.
SECRET_METADATA = Kind("", "v1", "PartialObjectMetadata", "secrets")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
EVENT = Kind("", "v1", "Event", "events")
VOLUME_CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
JOB = Kind("batch", "v1", "Job", "jobs")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
WORKFLOW = Kind("argoproj.io", "v1alpha1", "Workflow", "workflows")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
GATEWAY = Kind("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
GATEWAY_CLASS = Kind("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses")  # of no namespace: ""

KINDS: Mapping[tuple[str, str], Kind] = {
    (k.api_version, k.kind): k
    for k in (
        TRAINING_PIPELINE, TRAINING_RUN, MODEL_VERSION, ROLLOUT, CONTROLLER_REVISION, DEPLOYMENT, SERVICE, POD, SECRET,
        EVENT, VOLUME_CLAIM, JOB, HTTP_ROUTE, GATEWAY, GATEWAY_CLASS, LEASE, CONFIG_MAP, WORKFLOW,
    )
}  # fmt: skip

# Fields that objects are looked for by: how Rollouts, versions and runs find each other among thousands.
FIELDS: Mapping[Kind, tuple[str, ...]] = {
    TRAINING_PIPELINE: ("spec.model",),
    TRAINING_RUN: ("spec.pipeline",),
    MODEL_VERSION: ("spec.model",),
    ROLLOUT: (
        "spec.model",
        "spec.target.kubernetes.traffic.hostnames",
        "status.stable.version",
        "status.canary.version",
        "status.history.version",
    ),
}


class ClusterError(Exception):
    """The API server answered a request with something other than success, or not at all."""


class Conflict(ClusterError):
    """409: the object changed since the resourceVersion that the write was decided on, or uid differs."""


class AlreadyExists(ClusterError):
    """409: an object of that name is there already."""


class NotFound(ClusterError):
    """404 for a write; reads return None instead."""


class Invalid(ClusterError):
    """400 or 422: the API server refuses the object; `str()` is its sentence."""


class Forbidden(ClusterError):
    """401 or 403."""


class Unavailable(ClusterError):
    """No answer, 429 or 5xx: the write may or may not have happened.

    retry_after: the seconds that the API server asks to be left in peace, 0 where it asks for none. answered: whether
    there was an answer over HTTP, of whatever status.
    """

    def __init__(self, message: str = "", retry_after: float = 0.0, *, answered: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.answered = answered


class Fenced(ClusterError):
    """Refused on our side: this process does not hold the Lease (any more)."""


def number(version: str) -> int:
    """Return a resourceVersion as the number it is on every real API server, 0 where it is none."""
    return int(version) if version.isdigit() else 0


class Cluster(Protocol):
    """Six verbs. Reads come from a store where the kind is reflected, live where asked or where it is not."""

    async def get(self, ref: Ref, *, live: bool = False) -> Obj | None:
        """Return the object, or None where it does not exist. Raises Forbidden, Unavailable."""
        ...

    async def list(
        self,
        kind: Kind,
        namespace: str,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        *,
        live: bool = False,
    ) -> tuple[Obj, ...]:
        """Return the objects of a namespace that carry all these labels, sorted by name.

        fields: dotted path -> a text that must stand there, in one item where a list is on the way; "" for none at
        all. Quick for `FIELDS`.
        """
        ...

    async def create(self, obj: Obj) -> Obj:
        """Create, or raise AlreadyExists. Not idempotent by itself: derived names make it so."""
        ...

    async def apply(self, obj: Obj, manager: str, *, resource_version: str | None = None) -> Obj:
        """Server-side apply with force as one field manager; idempotent.

        A resource_version makes it conditional (Conflict if the object moved on since).
        """
        ...

    async def patch(self, ref: Ref, body: Obj, *, status: bool = False, resource_version: str | None = None) -> Obj:
        """Merge-patch the object, or its status subresource; conditional with a resource_version."""
        ...

    async def delete(
        self, ref: Ref, *, uid: str | None = None, propagation: Literal["Background", "Foreground"] = "Background"
    ) -> None:
        """Delete; an object that is not there counts as done. A uid guards against a namesake."""
        ...

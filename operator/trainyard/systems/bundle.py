"""The outside world as one frozen value, made by `wiring` and handed to every observe and act."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trainyard.systems.artifacts.port import Artifacts
from trainyard.systems.cluster.port import Cluster
from trainyard.systems.engine.port import Engine
from trainyard.systems.metadata.port import Metadata
from trainyard.systems.prometheus.port import Prometheus


@dataclass(frozen=True)
class KubeflowConfig:
    """A Kubeflow Pipelines server.

    url: its REST API. namespace: where its Workflows run in a single-tenant installation; namespaces: those of ours
    that may use it then (every run has its one shared service account). multi_user: runs live in their own
    namespace, and Kubeflow itself says who may. token_file: a projected token, "" for none. workflows: whether the
    Workflows are in this cluster and may be read; without, the REST API alone tells. ui_url: where people open its
    pages, "" for nowhere.
    """

    url: str
    namespace: str = "kubeflow"
    namespaces: tuple[str, ...] = ()
    multi_user: bool = False
    token_file: str = ""
    workflows: bool = True
    ui_url: str = ""

    def workflows_of(self, namespace: str) -> str:
        """Return the namespace in which the pods of a namespace's runs live."""
        return namespace if self.multi_user else self.namespace

    def page_of(self, run_id: str) -> str:
        """Return the address of a run's own page, "" where nobody said where the pages are."""
        return f"{self.ui_url.rstrip('/')}/#/runs/details/{run_id}" if self.ui_url else ""

    def serves(self, namespace: str) -> bool:
        """Whether a namespace may use it."""
        return self.multi_user or namespace in self.namespaces


@dataclass(frozen=True)
class Config:
    """What the operator's configuration says to the rooms (from `settings`, never from a tenant's object).

    courier_image: the image that publishes and fetches (the operator's own). server_images: the stock model
    server per runtime. bucket: where artifacts go. store_endpoint: the S3 endpoint as pods see it, "" for AWS.
    data_locations: prefixes below which datasets may lie, beside those in the bucket; "{namespace}" in one is the
    run's own. trigger_secrets: the only Secrets that the events' receiver may read, by name; none for no limit.
    store_region. scrape_interval_seconds: Prometheus' own; pod_scrape_interval_seconds: of the kubelets and of GPUs.
    custom_queries: whether Rollouts may bring PromQL; enforce_namespace: then held inside their namespace.
    source_labels: labels that a source's series must have, by its name (Kubelet and DCGM for figures of pods and GPUs).
    kubeflow: None where there is none. proven_actions: whether the API server checks who a Rollout's action is by.
    """

    courier_image: str
    server_images: Mapping[str, str]
    bucket: str
    store_endpoint: str
    store_region: str = "us-east-1"
    image_pull_policy: str = "IfNotPresent"
    scrape_interval_seconds: int = 15
    pod_scrape_interval_seconds: int = 30
    custom_queries: bool = False
    enforce_namespace: bool = True
    source_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    kubeflow: KubeflowConfig | None = None
    data_locations: tuple[str, ...] = ()
    proven_actions: bool = False
    trigger_secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Systems:
    """One port per outside system. `engines` is keyed by the engine's branch name in the API (job, kubeflow)."""

    cluster: Cluster
    engines: Mapping[str, Engine]
    artifacts: Artifacts
    prometheus: Prometheus
    metadata: Metadata
    config: Config

    def offers(self, engine: str, namespace: str) -> bool:
        """Whether this operator has the engine, and the namespace may use it."""
        if engine == "kubeflow" and not (self.config.kubeflow and self.config.kubeflow.serves(namespace)):
            return False
        return engine in self.engines

"""The outside world as one frozen value, made by `wiring` and handed to every observe and act."""

from collections.abc import Mapping
from dataclasses import dataclass

from trainyard.systems.artifacts.port import Artifacts
from trainyard.systems.cluster.port import Cluster
from trainyard.systems.engine.port import Engine
from trainyard.systems.metadata.port import Metadata
from trainyard.systems.prometheus.port import Prometheus


@dataclass(frozen=True)
class Config:
    """What the operator's configuration says to the rooms (from `settings`, never from a tenant's object).

    courier_image: the image that publishes and fetches (the operator's own). server_images: the stock model
    server per runtime. bucket: where artifacts go. store_endpoint: the S3 endpoint as pods see it, "" for AWS.
    store_region. scrape_interval_seconds: Prometheus' own. custom_queries: whether Rollouts may bring PromQL.
    """

    courier_image: str
    server_images: Mapping[str, str]
    bucket: str
    store_endpoint: str
    store_region: str = "us-east-1"
    image_pull_policy: str = "IfNotPresent"
    scrape_interval_seconds: int = 15
    custom_queries: bool = False


@dataclass(frozen=True)
class Systems:
    """One port per outside system. `engines` is keyed by the engine's branch name in the API (job)."""

    cluster: Cluster
    engines: Mapping[str, Engine]
    artifacts: Artifacts
    prometheus: Prometheus
    metadata: Metadata
    config: Config

"""Settings become clients, and clients one frozen Systems bundle. Called once, by `running`."""

import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from trainyard import naming
from trainyard.reconciling.cycle import Recorder
from trainyard.reconciling.leadership import FencedCluster, Leadership, fenced
from trainyard.reconciling.plan import Record
from trainyard.reconciling.tracking import TrackedCluster
from trainyard.settings import Database, Settings
from trainyard.systems.artifacts.client import ObstoreArtifacts
from trainyard.systems.bundle import Config, KubeflowConfig, Systems
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    HTTP_ROUTE,
    JOB,
    MODEL_VERSION,
    POD,
    ROLLOUT,
    SERVICE,
    TRAINING_PIPELINE,
    TRAINING_RUN,
    VOLUME_CLAIM,
    WORKFLOW,
    Cluster,
)
from trainyard.systems.cluster.reflector import Mirror, OnChange
from trainyard.systems.cluster.transport import Transport, connect
from trainyard.systems.engine.job import JobEngine
from trainyard.systems.engine.kubeflow import RUN_LABEL, KubeflowEngine
from trainyard.systems.engine.kubeflow_api import KubeflowApi
from trainyard.systems.engine.port import Engine
from trainyard.systems.metadata.port import Metadata, MetadataUnavailable, Row
from trainyard.systems.prometheus.client import HttpPrometheus
from trainyard.systems.prometheus.connection import Entry
from trainyard.systems.prometheus.port import Prometheus

log = logging.getLogger(__name__)

OURS = (TRAINING_PIPELINE, TRAINING_RUN, MODEL_VERSION, ROLLOUT)
CHILDREN = (DEPLOYMENT, SERVICE, JOB, POD, HTTP_ROUTE, CONTROLLER_REVISION, VOLUME_CLAIM)
SELECTOR = ",".join(f"{key}={value}" for key, value in naming.MANAGED_BY.items())


Closer = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Wired:
    """Everything that lives as long as the process. record: None where no database is configured."""

    transport: Transport
    mirror: Mirror
    leadership: Leadership
    systems: Systems
    record: Recorder | None
    closers: tuple[Closer, ...]

    async def close(self) -> None:
        """Close every client, the API server's last."""
        for close in (*self.closers, self.transport.close):
            await close()


async def wire(settings: Settings, on_change: OnChange, wall: Callable[[], datetime]) -> Wired:
    """Make the clients. Nothing is connected to yet; only the Kubernetes login is read."""
    transport = Transport(await connect())
    kubeflow = settings.kubeflow
    kinds = dict.fromkeys(OURS, "") | dict.fromkeys(CHILDREN, SELECTOR)
    kinds |= {WORKFLOW: RUN_LABEL} if kubeflow and kubeflow.workflows else {}
    places = {} if kubeflow is None or kubeflow.multi_user else {WORKFLOW: (kubeflow.namespace,)}
    mirror = Mirror(transport, kinds, settings.namespaces, on_change, places)
    place = f"{settings.pod_name}_{settings.pod_uid}_" if settings.pod_uid else ""
    leadership = Leadership(
        KubernetesCluster(transport),
        namespace=settings.pod_namespace,
        name=settings.lease_name,
        identity=f"{place or settings.pod_name + '_'}{uuid.uuid4()}",
        lease_seconds=settings.lease_seconds,
        wall=wall,
        place=place,
        age_seconds=process_age_seconds(),
    )
    cluster = TrackedCluster(FencedCluster(KubernetesCluster(transport, mirror), leadership.holds))
    metadata = _metadata(settings.database)
    prometheus = HttpPrometheus(settings.prometheus_url, Entry(**asdict(settings.prometheus_entry)))
    systems, closers = _systems(settings, cluster, metadata, prometheus, wall)
    record = fenced(_recorder(metadata), leadership.holds) if settings.database else None
    return Wired(transport, mirror, leadership, systems, record, (prometheus.close, metadata.close, *closers))


def process_age_seconds() -> float:
    """Return how long this process has been running, 0 where the system does not tell (it is no Linux)."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # since the machine started (proc(5))
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)


def _systems(
    settings: Settings, cluster: Cluster, metadata: Metadata, prometheus: Prometheus, wall: Callable[[], datetime]
) -> tuple[Systems, tuple[Closer, ...]]:
    config = Config(
        courier_image=settings.courier_image,
        server_images=settings.server_images,
        bucket=settings.store.bucket,
        store_endpoint=settings.store.endpoint,
        store_region=settings.store.region,
        data_locations=settings.store.data_locations,
        trigger_secrets=settings.trigger_secrets,
        image_pull_policy=settings.image_pull_policy,
        scrape_interval_seconds=settings.scrape_interval_seconds,
        custom_queries=settings.custom_queries,
        enforce_namespace=settings.enforce_namespace,
        source_labels=settings.source_labels,
        pod_scrape_interval_seconds=settings.pod_scrape_interval_seconds,
        proven_actions=settings.proven_actions,
        kubeflow=KubeflowConfig(**asdict(settings.kubeflow)) if settings.kubeflow else None,
    )
    store = settings.store
    artifacts = ObstoreArtifacts(store.endpoint, store.region, store.access_key, store.secret_key)
    engines: dict[str, Engine] = {"job": JobEngine(cluster, artifacts, config)}
    closers: tuple[Closer, ...] = ()
    if config.kubeflow:
        api = KubeflowApi(config.kubeflow.url, config.kubeflow.token_file)
        engines["kubeflow"] = KubeflowEngine(cluster, artifacts, config, api, wall)
        closers = (api.close,)
    systems = Systems(
        cluster=cluster, engines=engines, artifacts=artifacts, prometheus=prometheus, metadata=metadata, config=config
    )
    return systems, closers


class Records(Metadata, Protocol):
    """A metadata client that can be closed."""

    async def close(self) -> None:
        """Close its connections."""
        ...


def _metadata(database: Database | None) -> Records:
    if database is None:
        return NoDatabase()
    from trainyard.systems.metadata.client import MySQLMetadata  # SQLAlchemy is loaded where it is used

    return MySQLMetadata(database.host, database.port, database.name, database.user, database.password)


class NoDatabase:
    """The `Metadata` port where no database is configured: rows go nowhere, as the cluster is the truth."""

    async def record(self, rows: Sequence[Row]) -> None:
        """See the port."""

    async def close(self) -> None:
        """There is nothing to close."""


def _recorder(metadata: Metadata) -> Recorder:
    async def record(rows: Sequence[Record]) -> bool:
        try:
            await metadata.record(rows)
        except MetadataUnavailable as error:
            log.warning("the metadata database does not take rows: %s", error)
            return False
        return True

    return record

"""The operator's settings: the only reader of the environment. The Helm chart sets what is read here."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

Value = TypeVar("Value")
# Whose series can be told by labels: the sources of a Rollout's analysis, kubelets, GPU exporters.
SOURCES = ("ModelServer", "Contour", "EnvoyGateway", "Istio", "Traefik", "KServe", "Kubelet", "DCGM")


class SettingsWrong(Exception):
    """One or more settings are missing or malformed; `str()` has a sentence for each."""


@dataclass(frozen=True)
class Database:
    """Where the metadata database is."""

    host: str
    port: int
    name: str
    user: str
    password: str


@dataclass(frozen=True)
class Store:
    """The object store: bucket, endpoint URL ("" for AWS' own), region, and the operator's reader identity.

    Without keys the pod's own cloud identity is used. data_locations: see `systems.bundle.Config`.
    """

    bucket: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str
    data_locations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kubeflow:
    """A Kubeflow Pipelines server; the fields are those of `systems.bundle.KubeflowConfig`."""

    url: str
    namespace: str
    namespaces: tuple[str, ...]
    multi_user: bool
    token_file: str
    workflows: bool
    ui_url: str = ""


@dataclass(frozen=True)
class PrometheusEntry:
    """How Prometheus is entered; the fields are those of `systems.prometheus.connection.Entry`."""

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    token_file: str = ""
    username: str = ""
    password_file: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """Everything that is configurable.

    namespaces: empty for the whole cluster. database, kubeflow: None for none. prometheus_url: "" for none, then
    analyses have no data. pod_uid: "" where this is no pod, then no process takes over the Lease of the one before.
    """

    namespaces: tuple[str, ...]
    pod_namespace: str
    pod_name: str
    pod_uid: str
    lease_name: str
    lease_seconds: int
    visit_seconds: int
    workers: int
    probe_port: int
    metrics_port: int
    log_format: Literal["text", "json"]
    courier_image: str
    server_images: Mapping[str, str]
    image_pull_policy: str
    store: Store
    database: Database | None
    prometheus_url: str
    scrape_interval_seconds: int
    custom_queries: bool
    proven_actions: bool
    kubeflow: Kubeflow | None
    trigger_secrets: tuple[str, ...] = ()
    prometheus_entry: PrometheusEntry = PrometheusEntry()
    enforce_namespace: bool = True
    pod_scrape_interval_seconds: int = 30
    source_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment. Raises SettingsWrong with a sentence for every setting that is wrong."""
    read = _Reader(os.environ if environment is None else environment)
    settings = Settings(
        namespaces=read.names("TRAINYARD_NAMESPACES"),
        pod_namespace=read.text("TRAINYARD_POD_NAMESPACE"),
        pod_name=read.text("TRAINYARD_POD_NAME"),
        pod_uid=read.text("TRAINYARD_POD_UID", ""),
        lease_name=read.text("TRAINYARD_LEASE_NAME", "trainyard-operator"),
        lease_seconds=read.number("TRAINYARD_LEASE_SECONDS", 15, low=5, high=3600),
        visit_seconds=read.number("TRAINYARD_VISIT_SECONDS", 600, low=1, high=86_400),
        workers=read.number("TRAINYARD_WORKERS", 10, low=1, high=1000),
        probe_port=read.number("TRAINYARD_PROBE_PORT", 8080, low=1, high=65_535),
        metrics_port=read.number("TRAINYARD_METRICS_PORT", 9090, low=1, high=65_535),
        log_format=read.word("TRAINYARD_LOG_FORMAT", "text", "json"),
        courier_image=read.text("TRAINYARD_COURIER_IMAGE"),
        server_images={"TensorFlow": read.text("TRAINYARD_SERVER_IMAGE_TENSORFLOW")},
        image_pull_policy=read.word("TRAINYARD_IMAGE_PULL_POLICY", "IfNotPresent", "Always", "Never"),
        store=_store(read),
        database=_database(read),
        prometheus_url=read.url("TRAINYARD_PROMETHEUS_URL"),
        scrape_interval_seconds=read.number("TRAINYARD_SCRAPE_INTERVAL_SECONDS", 15, low=1, high=3600),
        custom_queries=read.word("TRAINYARD_CUSTOM_QUERIES", "false", "true") == "true",
        proven_actions=read.word("TRAINYARD_PROVEN_ACTIONS", "false", "true") == "true",
        kubeflow=_kubeflow(read),
        trigger_secrets=read.names("TRAINYARD_EVENTS_SECRET_NAMES"),
        prometheus_entry=_prometheus_entry(read),
        source_labels=read.labels("TRAINYARD_SOURCE_LABELS", SOURCES),
        pod_scrape_interval_seconds=read.number("TRAINYARD_POD_SCRAPE_INTERVAL_SECONDS", 30, low=1, high=3600),
        enforce_namespace=read.word("TRAINYARD_ENFORCE_NAMESPACE", "true", "false") == "true",
    )
    if settings.custom_queries and not settings.enforce_namespace and len(settings.namespaces) != 1:
        read.wrong(
            "TRAINYARD_CUSTOM_QUERIES is true and TRAINYARD_ENFORCE_NAMESPACE false: that is for an installation "
            "that serves exactly one namespace, or every tenant could read the others' series."
        )
    read.finish()
    return settings


def _prometheus_entry(read: "_Reader") -> PrometheusEntry:
    prefix = "TRAINYARD_PROMETHEUS"
    found = PrometheusEntry(
        ca_file=read.text(f"{prefix}_CA_FILE", ""),
        certificate_file=read.text(f"{prefix}_CERTIFICATE_FILE", ""),
        key_file=read.text(f"{prefix}_KEY_FILE", ""),
        token_file=read.text(f"{prefix}_TOKEN_FILE", ""),
        username=read.text(f"{prefix}_USERNAME", ""),
        password_file=read.text(f"{prefix}_PASSWORD_FILE", ""),
        headers=read.headers(f"{prefix}_HEADERS"),
    )
    for one, other in (("certificate_file", "key_file"), ("username", "password_file")):
        if bool(getattr(found, one)) != bool(getattr(found, other)):
            read.wrong(f"{prefix}_{one.upper()} and {prefix}_{other.upper()} need each other.")
    if found.token_file and found.username:
        read.wrong(f"{prefix}_TOKEN_FILE and {prefix}_USERNAME exclude each other: both are the Authorization header.")
    return found


def _store(read: "_Reader") -> Store:
    return Store(
        bucket=read.text("TRAINYARD_STORE_BUCKET"),
        endpoint=read.url("TRAINYARD_STORE_ENDPOINT"),
        region=read.text("TRAINYARD_STORE_REGION", "us-east-1"),
        access_key=read.text("AWS_ACCESS_KEY_ID", ""),
        secret_key=read.text("AWS_SECRET_ACCESS_KEY", ""),
        data_locations=read.folders("TRAINYARD_DATA_LOCATIONS"),
    )


def _database(read: "_Reader") -> Database | None:
    host = read.text("TRAINYARD_DATABASE_HOST", "")
    if not host:
        return None
    return Database(
        host=host,
        port=read.number("TRAINYARD_DATABASE_PORT", 3306, low=1, high=65_535),
        name=read.text("TRAINYARD_DATABASE_NAME"),
        user=read.text("TRAINYARD_DATABASE_USER"),
        password=read.text("TRAINYARD_DATABASE_PASSWORD"),
    )


def _kubeflow(read: "_Reader") -> Kubeflow | None:
    found = Kubeflow(
        url=read.url("TRAINYARD_KUBEFLOW_URL"),
        namespace=read.text("TRAINYARD_KUBEFLOW_NAMESPACE", "kubeflow"),
        namespaces=read.names("TRAINYARD_KUBEFLOW_NAMESPACES"),
        multi_user=read.word("TRAINYARD_KUBEFLOW_MULTI_USER", "false", "true") == "true",
        token_file=read.text("TRAINYARD_KUBEFLOW_TOKEN_FILE", ""),
        workflows=read.word("TRAINYARD_KUBEFLOW_WORKFLOWS", "true", "false") == "true",
        ui_url=read.url("TRAINYARD_KUBEFLOW_UI_URL"),
    )
    return found if found.url else None


def _are_labels(told: object) -> bool:
    return isinstance(told, dict) and all(
        key.isascii() and key.isidentifier() and isinstance(value, str) and value.isprintable()
        for key, value in told.items()
    )


def _is_header(name: str, value: object) -> bool:
    named = name.isascii() and name.replace("-", "").isalnum() and name.lower() != "authorization"
    return named and isinstance(value, str) and value.isprintable()


class _Reader:
    """Reads one variable after the other and collects what is wrong, so that all of it is told at once."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._wrong: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        value = self._environment.get(name, "").strip()
        if not value and default is None:
            self._wrong.append(f"{name} is not set; it must be.")
        return value or default or ""

    def number(self, name: str, default: int, *, low: int, high: int) -> int:
        text = self.text(name, str(default))
        if not text.isdigit() or not low <= int(text) <= high:
            self._wrong.append(f"{name} is {text!r}; it must be a whole number from {low} to {high}.")
            return default
        return int(text)

    def word(self, name: str, default: Value, *others: Value) -> Value:
        """Return one of the allowed words."""
        allowed = (default, *others)
        text = self.text(name, str(default))
        found = next((word for word in allowed if word == text), None)
        if found is None:
            self._wrong.append(f"{name} is {text!r}; it must be one of {', '.join(map(str, allowed))}.")
        return default if found is None else found

    def names(self, name: str) -> tuple[str, ...]:
        parts = (part.strip() for part in self._environment.get(name, "").split(","))
        return tuple(sorted({part for part in parts if part}))

    def folders(self, name: str) -> tuple[str, ...]:
        """Return places in object stores, each s3://<bucket>/<prefix>/."""
        found = self.names(name)
        wrong = [place for place in found if not place.startswith("s3://") or not place.endswith("/") or "*" in place]
        self._wrong += [f"{name} names {place!r}; a place is s3://<bucket>/<prefix>/." for place in wrong]
        return found

    def url(self, name: str) -> str:
        """Return an address, or "" where none is set."""
        text = self.text(name, "").rstrip("/")
        if text and not text.startswith(("http://", "https://")):
            self._wrong.append(f"{name} is {text!r}; it must be an address that starts with http:// or https://.")
        return text

    def labels(self, name: str, known: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return a JSON object: one of the known words -> label -> value."""
        try:
            found = json.loads(self.text(name, "{}"))
        except ValueError:
            found = None
        fine = isinstance(found, dict) and all(word in known and _are_labels(told) for word, told in found.items())
        if not fine:
            self.wrong(f"{name} must be a JSON object: one of {', '.join(known)} -> label -> value.")
        return found if fine else {}

    def headers(self, name: str) -> dict[str, str]:
        """Return a JSON object of header names and values."""
        try:
            found = json.loads(self.text(name, "{}"))
        except ValueError:
            found = None
        fine = isinstance(found, dict) and all(_is_header(key, value) for key, value in found.items())
        if not fine:
            self.wrong(f"{name} must be a JSON object of header names and values, without Authorization.")
        return found if fine else {}

    def wrong(self, sentence: str) -> None:
        """Note what is wrong with several settings together."""
        self._wrong.append(sentence)

    def finish(self) -> None:
        if self._wrong:
            raise SettingsWrong("\n".join(self._wrong))


# What a caller needs to read the settings late.
ReadSettings = Callable[[], Settings]

"""The operator's settings: the only reader of the environment. The Helm chart sets what is read here."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

Value = TypeVar("Value")


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

    Without keys the pod's own cloud identity is used.
    """

    bucket: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Kubeflow:
    """A Kubeflow Pipelines server; the fields are those of `systems.bundle.KubeflowConfig`."""

    url: str
    namespace: str
    namespaces: tuple[str, ...]
    multi_user: bool
    token_file: str
    workflows: bool


@dataclass(frozen=True)
class Settings:
    """Everything that is configurable.

    namespaces: empty for the whole cluster. database, kubeflow: None for none. prometheus_url: "" for none, then
    analyses have no data.
    """

    namespaces: tuple[str, ...]
    pod_namespace: str
    pod_name: str
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
    kubeflow: Kubeflow | None


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment. Raises SettingsWrong with a sentence for every setting that is wrong."""
    read = _Reader(os.environ if environment is None else environment)
    settings = Settings(
        namespaces=read.names("TRAINYARD_NAMESPACES"),
        pod_namespace=read.text("TRAINYARD_POD_NAMESPACE"),
        pod_name=read.text("TRAINYARD_POD_NAME"),
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
        kubeflow=_kubeflow(read),
    )
    read.finish()
    return settings


def _store(read: "_Reader") -> Store:
    return Store(
        bucket=read.text("TRAINYARD_STORE_BUCKET"),
        endpoint=read.url("TRAINYARD_STORE_ENDPOINT"),
        region=read.text("TRAINYARD_STORE_REGION", "us-east-1"),
        access_key=read.text("AWS_ACCESS_KEY_ID", ""),
        secret_key=read.text("AWS_SECRET_ACCESS_KEY", ""),
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
    )
    return found if found.url else None


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

    def url(self, name: str) -> str:
        """Return an address, or "" where none is set."""
        text = self.text(name, "").rstrip("/")
        if text and not text.startswith(("http://", "https://")):
            self._wrong.append(f"{name} is {text!r}; it must be an address that starts with http:// or https://.")
        return text

    def finish(self) -> None:
        if self._wrong:
            raise SettingsWrong("\n".join(self._wrong))


# What a caller needs to read the settings late.
ReadSettings = Callable[[], Settings]

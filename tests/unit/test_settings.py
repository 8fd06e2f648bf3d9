from typing import Any

import pytest

from trainyard.settings import Database, Kubeflow, SettingsWrong, Store, read_settings

LEAST = {
    "TRAINYARD_POD_NAMESPACE": "trainyard",
    "TRAINYARD_POD_NAME": "trainyard-0",
    "TRAINYARD_COURIER_IMAGE": "trainyard:1",
    "TRAINYARD_SERVER_IMAGE_TENSORFLOW": "server:1",
    "TRAINYARD_STORE_BUCKET": "models",
}


def test_little_is_needed() -> None:
    settings = read_settings(LEAST)
    assert settings.namespaces == ()
    assert settings.lease_name == "trainyard-operator"
    assert (settings.lease_seconds, settings.visit_seconds, settings.workers) == (15, 600, 10)
    assert (settings.probe_port, settings.metrics_port, settings.log_format) == (8080, 9090, "text")
    assert settings.server_images == {"TensorFlow": "server:1"}
    assert settings.store == Store("models", "", "us-east-1", "", "")
    assert settings.database is None
    assert settings.kubeflow is None
    assert (settings.prometheus_url, settings.scrape_interval_seconds, settings.custom_queries) == ("", 15, False)


def test_all_can_be_set() -> None:
    settings = read_settings(
        LEAST
        | {
            "TRAINYARD_NAMESPACES": "b, a,,b",
            "TRAINYARD_VISIT_SECONDS": "30",
            "TRAINYARD_LOG_FORMAT": "json",
            "TRAINYARD_STORE_ENDPOINT": "http://minio:9000/",
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
            "TRAINYARD_DATABASE_HOST": "mysql",
            "TRAINYARD_DATABASE_NAME": "trainyard",
            "TRAINYARD_DATABASE_USER": "u",
            "TRAINYARD_DATABASE_PASSWORD": "p",
            "TRAINYARD_PROMETHEUS_URL": "https://prometheus",
            "TRAINYARD_CUSTOM_QUERIES": "true",
            "TRAINYARD_KUBEFLOW_URL": "http://ml-pipeline:8888/",
            "TRAINYARD_KUBEFLOW_NAMESPACES": "b,a",
            "TRAINYARD_KUBEFLOW_TOKEN_FILE": "/token",
            "TRAINYARD_KUBEFLOW_WORKFLOWS": "false",
        }
    )
    assert settings.namespaces == ("a", "b")
    assert settings.visit_seconds == 30
    assert settings.log_format == "json"
    assert settings.store == Store("models", "http://minio:9000", "us-east-1", "k", "s")
    assert settings.database == Database("mysql", 3306, "trainyard", "u", "p")
    assert settings.custom_queries
    assert settings.kubeflow == Kubeflow("http://ml-pipeline:8888", "kubeflow", ("a", "b"), False, "/token", False)


@pytest.mark.parametrize("name", LEAST)
def test_what_is_missing_is_named(name: str) -> None:
    without: dict[str, Any] = {k: v for k, v in LEAST.items() if k != name}
    with pytest.raises(SettingsWrong, match=f"^{name} is not set; it must be.$"):
        read_settings(without)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TRAINYARD_LEASE_SECONDS", "4", "it must be a whole number from 5 to 3600"),
        ("TRAINYARD_WORKERS", "many", "TRAINYARD_WORKERS is 'many'; it must be a whole number"),
        ("TRAINYARD_LOG_FORMAT", "xml", "it must be one of text, json"),
        ("TRAINYARD_CUSTOM_QUERIES", "yes", "it must be one of false, true"),
        ("TRAINYARD_PROMETHEUS_URL", "prometheus:9090", "must be an address that starts with http"),
        ("TRAINYARD_DATABASE_HOST", "mysql", "TRAINYARD_DATABASE_USER is not set"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsWrong, match=sentence):
        read_settings(LEAST | {name: value})


def test_all_of_it_is_told_at_once() -> None:
    with pytest.raises(SettingsWrong) as caught:
        read_settings({})
    assert len(str(caught.value).splitlines()) == len(LEAST)


def test_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LEAST.items():
        monkeypatch.setenv(name, value)
    assert read_settings().pod_name == "trainyard-0"

from typing import Any

import pytest

from trainyard.settings import Database, Kubeflow, PrometheusEntry, SettingsWrong, Store, read_settings

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
            "TRAINYARD_PROVEN_ACTIONS": "true",
            "TRAINYARD_KUBEFLOW_URL": "http://ml-pipeline:8888/",
            "TRAINYARD_KUBEFLOW_NAMESPACES": "b,a",
            "TRAINYARD_KUBEFLOW_TOKEN_FILE": "/token",
            "TRAINYARD_KUBEFLOW_WORKFLOWS": "false",
            "TRAINYARD_KUBEFLOW_UI_URL": "https://kubeflow.example.com/_/pipeline/",
            "TRAINYARD_DATA_LOCATIONS": "s3://lake/{namespace}/,s3://open/",
        }
    )
    assert settings.namespaces == ("a", "b")
    assert settings.visit_seconds == 30
    assert settings.log_format == "json"
    assert settings.store == Store(
        "models", "http://minio:9000", "us-east-1", "k", "s", ("s3://lake/{namespace}/", "s3://open/")
    )
    assert settings.database == Database("mysql", 3306, "trainyard", "u", "p")
    assert settings.custom_queries
    assert settings.proven_actions
    assert settings.kubeflow == Kubeflow(
        "http://ml-pipeline:8888",
        "kubeflow",
        ("a", "b"),
        False,
        "/token",
        False,
        "https://kubeflow.example.com/_/pipeline",
    )


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
        (
            "TRAINYARD_DATA_LOCATIONS",
            "s3://lake",
            "TRAINYARD_DATA_LOCATIONS names 's3://lake'; a place is s3://<bucket>/",
        ),
        ("TRAINYARD_DATA_LOCATIONS", "s3://lake/*/", "a place is s3://<bucket>/<prefix>/"),
        ("TRAINYARD_LOG_FORMAT", "xml", "it must be one of text, json"),
        ("TRAINYARD_CUSTOM_QUERIES", "yes", "it must be one of false, true"),
        ("TRAINYARD_PROVEN_ACTIONS", "1", "it must be one of false, true"),
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


ENTRY = {
    "TRAINYARD_PROMETHEUS_CA_FILE": "/ca",
    "TRAINYARD_PROMETHEUS_CERTIFICATE_FILE": "/crt",
    "TRAINYARD_PROMETHEUS_KEY_FILE": "/key",
    "TRAINYARD_PROMETHEUS_USERNAME": "trainyard",
    "TRAINYARD_PROMETHEUS_PASSWORD_FILE": "/password",
    "TRAINYARD_PROMETHEUS_HEADERS": '{"X-Scope-OrgID": "team"}',
}


def test_how_prometheus_is_entered() -> None:
    assert read_settings(LEAST).prometheus_entry == PrometheusEntry()
    wanted = PrometheusEntry("/ca", "/crt", "/key", "", "trainyard", "/password", {"X-Scope-OrgID": "team"})
    assert read_settings(LEAST | ENTRY).prometheus_entry == wanted
    assert read_settings(LEAST | {"TRAINYARD_PROMETHEUS_TOKEN_FILE": "/t"}).prometheus_entry.token_file == "/t"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"TRAINYARD_PROMETHEUS_KEY_FILE": ""}, "CERTIFICATE_FILE and TRAINYARD_PROMETHEUS_KEY_FILE need each other"),
        ({"TRAINYARD_PROMETHEUS_USERNAME": ""}, "USERNAME and TRAINYARD_PROMETHEUS_PASSWORD_FILE need each other"),
        ({"TRAINYARD_PROMETHEUS_TOKEN_FILE": "/t"}, "exclude each other"),
        ({"TRAINYARD_PROMETHEUS_HEADERS": "X: y"}, "must be a JSON object of header names"),
        ({"TRAINYARD_PROMETHEUS_HEADERS": "[]"}, "must be a JSON object of header names"),
        ({"TRAINYARD_PROMETHEUS_HEADERS": '{"X": 1}'}, "must be a JSON object of header names"),
        ({"TRAINYARD_PROMETHEUS_HEADERS": '{"X": "a\\nb"}'}, "must be a JSON object of header names"),
        ({"TRAINYARD_PROMETHEUS_HEADERS": '{"authorization": "a"}'}, "without Authorization"),
    ],
)
def test_a_wrong_entry_is_told(more: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsWrong, match=sentence):
        read_settings(LEAST | ENTRY | more)


def test_labels_of_sources() -> None:
    assert read_settings(LEAST | {"TRAINYARD_SOURCE_LABELS": '{"Contour": {"job": "envoy"}}'}).source_labels == {
        "Contour": {"job": "envoy"}
    }
    for wrong in ("x", "[]", '{"Nginx": {}}', '{"Contour": {"a-b": "c"}}', '{"Contour": {"a": 1}}', '{"Contour": 1}'):
        with pytest.raises(SettingsWrong, match="one of ModelServer, Contour"):
            read_settings(LEAST | {"TRAINYARD_SOURCE_LABELS": wrong})


def test_queries_outside_their_namespace_only_where_there_is_one() -> None:
    open_queries = LEAST | {"TRAINYARD_CUSTOM_QUERIES": "true", "TRAINYARD_ENFORCE_NAMESPACE": "false"}
    for several in ("", "a,b"):
        with pytest.raises(SettingsWrong, match="serves exactly one namespace"):
            read_settings(open_queries | {"TRAINYARD_NAMESPACES": several})
    assert not read_settings(open_queries | {"TRAINYARD_NAMESPACES": "a"}).enforce_namespace
    assert read_settings(LEAST | {"TRAINYARD_POD_SCRAPE_INTERVAL_SECONDS": "10"}).pod_scrape_interval_seconds == 10
    assert read_settings(LEAST | {"TRAINYARD_CUSTOM_QUERIES": "true"}).enforce_namespace

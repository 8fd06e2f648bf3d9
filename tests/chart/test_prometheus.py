"""How the operator enters Prometheus, as the chart's values say it: settings it reads, files that are there."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.chart.charts import Helm, one, rendered
from trainyard.settings import PrometheusEntry, Settings, read_settings

pytestmark = pytest.mark.rig
FOLDER = "/var/run/secrets/prometheus"


def operator(helm: Helm, *values: str) -> tuple[Settings, list[dict[str, Any]]]:
    """Return what the operator reads, and the sources of its Prometheus volume."""
    arguments = [part for value in values for part in ("--set", value)]
    spec = one(rendered(helm, *arguments), "Deployment", "trainyard")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    told = {e["name"]: e.get("value", "from-a-secret") for e in container["env"]}
    sources: Sequence[Any] = [v["projected"]["sources"] for v in spec["volumes"] if v["name"] == "prometheus"]
    mounts = [m["mountPath"] for m in container["volumeMounts"] if m["name"] == "prometheus"]
    assert mounts == [FOLDER] * len(sources)
    return read_settings(told), [source for found in sources for source in found]


def test_nothing_of_it_where_nothing_is_said(helm: Helm) -> None:
    settings, sources = operator(helm)
    assert settings.prometheus_entry == PrometheusEntry()
    assert settings.custom_queries
    assert settings.enforce_namespace
    assert sources == []


def test_tls_and_a_password(helm: Helm) -> None:
    settings, sources = operator(
        helm, "prometheus.tls.existingSecret=prom-tls", "prometheus.tls.clientCertificate=true",
        "prometheus.basicAuth.username=ada", "prometheus.basicAuth.existingSecret=prom-user",
        "prometheus.headers.X-Scope-OrgID=team", "prometheus.sourceLabels.Contour.job=envoy",
    )  # fmt: skip
    assert settings.prometheus_entry == PrometheusEntry(
        f"{FOLDER}/ca.crt", f"{FOLDER}/tls.crt", f"{FOLDER}/tls.key", "", "ada", f"{FOLDER}/password",
        {"X-Scope-OrgID": "team"},
    )  # fmt: skip
    assert settings.source_labels == {"Contour": {"job": "envoy"}}
    assert [(s["secret"]["name"], [i["path"] for i in s["secret"]["items"]]) for s in sources] == [
        ("prom-tls", ["ca.crt", "tls.crt", "tls.key"]), ("prom-user", ["password"]),
    ]  # fmt: skip


def test_a_token_from_a_secret_or_of_its_own(helm: Helm) -> None:
    settings, sources = operator(helm, "prometheus.bearerToken.existingSecret=prom", "prometheus.bearerToken.key=jwt")
    assert settings.prometheus_entry == PrometheusEntry(token_file=f"{FOLDER}/token")
    assert sources == [{"secret": {"name": "prom", "items": [{"key": "jwt", "path": "token"}]}}]
    settings, sources = operator(helm, "prometheus.bearerToken.audience=thanos")
    assert settings.prometheus_entry.token_file == f"{FOLDER}/token"
    assert sources == [{"serviceAccountToken": {"path": "token", "audience": "thanos", "expirationSeconds": 3600}}]

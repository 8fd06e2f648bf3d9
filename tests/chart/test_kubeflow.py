"""What the chart renders for a Kubeflow that the user has: settings, a projected token, rights, and nothing without."""

from typing import Any

import pytest

from tests.chart.charts import NAMESPACE, Helm, HelmFailed, Obj, one, rendered
from trainyard.settings import Kubeflow, read_settings

pytestmark = pytest.mark.rig

URL = "http://ml-pipeline.kubeflow.svc:8888"
SINGLE = ("--set", f"kubeflow.url={URL},kubeflow.namespaces={{team-a,team-b}}")
MANY = ("--set", f"kubeflow.url={URL},kubeflow.multiUser=true,kubeflow.tokenAudience=pipelines.kubeflow.org")


def operator(objects: list[Obj]) -> dict[str, Any]:
    spec: dict[str, Any] = one(objects, "Deployment", "trainyard")["spec"]["template"]["spec"]
    return spec


def settings(objects: list[Obj]) -> Kubeflow | None:
    env = {v["name"]: v.get("value", "given") for v in operator(objects)["containers"][0]["env"]}
    return read_settings(env).kubeflow


def may(objects: list[Obj], group: str, resource: str) -> dict[str, set[str]]:
    """Return the verbs on a resource by role and namespace ("" for the cluster)."""
    found: dict[str, set[str]] = {}
    for role in (o for o in objects if o["kind"] in ("Role", "ClusterRole")):
        for rule in role["rules"]:
            if group in rule["apiGroups"] and resource in rule["resources"]:
                found.setdefault(role["metadata"].get("namespace", ""), set()).update(rule["verbs"])
    return found


def test_the_operator_knows_which_secrets_the_receiver_may_read(helm: Helm) -> None:
    def names(*values: str) -> tuple[str, ...]:
        env = {v["name"]: v.get("value", "given") for v in operator(rendered(helm, *values))["containers"][0]["env"]}
        return read_settings(env).trigger_secrets

    assert names() == ()
    assert names("--set", "events.enabled=true") == ("trainyard-triggers",)
    assert names("--set", "events.enabled=true,events.secretNames={b,a}") == ("a", "b")


def test_the_pages_and_the_places_of_data_reach_the_operator(helm: Helm) -> None:
    objects = rendered(
        helm, *SINGLE, "--set", "kubeflow.uiUrl=https://kf/_/pipeline,store.dataLocations={s3://lake/\\{namespace\\}/,s3://open/}"
    )  # fmt: skip
    found = settings(objects)
    assert found is not None
    assert found.ui_url == "https://kf/_/pipeline"
    env = {v["name"]: v.get("value", "given") for v in operator(objects)["containers"][0]["env"]}
    assert read_settings(env).store.data_locations == ("s3://lake/{namespace}/", "s3://open/")
    for place in ("s3://lake", "lake/", "s3://lake/*/"):
        with pytest.raises(HelmFailed, match="dataLocations"):
            rendered(helm, "--set", f"store.dataLocations={{{place}}}")


def test_nothing_without_a_url(helm: Helm) -> None:
    objects = rendered(helm)
    assert settings(objects) is None
    assert may(objects, "argoproj.io", "workflows") == {}
    assert all(v["name"] != "kubeflow" for v in operator(objects)["volumes"])


def test_single_tenant(helm: Helm) -> None:
    objects = rendered(helm, *SINGLE)
    assert settings(objects) == Kubeflow(URL, "kubeflow", ("team-a", "team-b"), False, "", True)
    assert may(objects, "argoproj.io", "workflows") == {"kubeflow": {"get", "list", "watch", "delete"}}
    assert may(objects, "", "secrets")["kubeflow"] == {"get"}
    (subject,) = one(objects, "RoleBinding", "trainyard-kubeflow")["subjects"]
    assert (subject["name"], subject["namespace"]) == ("trainyard", NAMESPACE)


def test_multi_user(helm: Helm) -> None:
    objects = rendered(helm, *MANY)
    token = "/var/run/secrets/kubeflow/token"
    assert settings(objects) == Kubeflow(URL, "kubeflow", (), True, token, True)
    assert may(objects, "argoproj.io", "workflows") == {"": {"get", "list", "watch", "delete"}}
    (volume,) = (v for v in operator(objects)["volumes"] if v["name"] == "kubeflow")
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"
    mounts = operator(objects)["containers"][0]["volumeMounts"]
    assert {"name": "kubeflow", "mountPath": "/var/run/secrets/kubeflow", "readOnly": True} in mounts


def test_without_workflows_the_api_alone_is_asked(helm: Helm) -> None:
    objects = rendered(helm, *SINGLE, "--set", "kubeflow.workflows=false")
    found = settings(objects)
    assert found is not None
    assert not found.workflows
    assert may(objects, "argoproj.io", "workflows") == {}


def test_an_address_that_is_none(helm: Helm) -> None:
    with pytest.raises(HelmFailed, match="kubeflow"):
        rendered(helm, "--set", "kubeflow.url=ml-pipeline:8888")

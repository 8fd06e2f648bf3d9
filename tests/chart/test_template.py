"""What `helm template` makes of the values: lint, refusals, least privilege, settings that the operator can read."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.charts import CHART, NAMESPACE, VALUES, Helm, HelmFailed, Obj, ci, one, pod_specs, rendered
from trainyard.events.configuration import read as read_events
from trainyard.resources.crd import KINDS
from trainyard.settings import read_settings

pytestmark = pytest.mark.rig

each_file = pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
CLUSTER_SCOPED = {
    "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace", "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}  # fmt: skip


@each_file
def test_lint(values: Path, helm: Helm) -> None:
    helm("lint", "--strict", str(CHART), "-f", str(values))


@each_file
def test_the_values_files_say_something_else_than_the_defaults(values: Path, helm: Helm) -> None:
    assert rendered(helm, "-f", str(values)) != rendered(helm)


USER = "prometheus.basicAuth.username=ada,prometheus.basicAuth.existingSecret=user"
REFUSED = [
    ("operator.replica=2", "operator", "replica"),
    ("mysql.externl.host=x", "mysql", "externl"),
    ("unknown=1", "unknown"),
    ("crds.keep=maybe", "crds/keep"),
    ("operator.workers=0", "operator/workers"),
    ("image.pullPolicy=Sometimes", "image/pullPolicy"),
    ("prometheus.url=prometheus:9090", "prometheus/url"),
    ("prometheus.sourceLabels.Nginx.job=x", "Nginx"),
    ("store.bucket=Models", "store/bucket"),
    ("setup.namespaces={a,a}", "setup/namespaces"),
    ("namespaces={Team_A}", "namespaces/0"),
    ("events.perMinute=0", "events/perMinute"),
    ("events.httpRoute.enabled=true", "events/httpRoute/parentRefs"),
    ("events.ingress.enabled=true", "events/ingress/host"),
    ("events.oidcIssuers[0].issuer=http://issuer", "events/oidcIssuers/0/issuer"),
    ("mysql.enabled=false,mysql.external.host=db", "mysql/external/existingSecret"),
    ("fullnameOverride=Ty_X", "fullnameOverride"),
    ("fullnameOverride=9ty", "fullnameOverride"),
    ("prometheus.enforceNamespace=false", "namespaces"),
    ("prometheus.enforceNamespace=false,namespaces={a,b}", "namespaces"),
    ("prometheus.basicAuth.username=ada", "prometheus/basicAuth/existingSecret"),
    ("prometheus.basicAuth.existingSecret=user", "prometheus/basicAuth/username"),
    (f"{USER},prometheus.bearerToken.existingSecret=token", "prometheus/bearerToken/existingSecret"),
    (f"{USER},prometheus.bearerToken.audience=thanos", "prometheus/bearerToken/audience"),
    ("prometheus.tls.clientCertificate=true", "prometheus/tls/existingSecret"),
    ("prometheus.headers.authorization=secret", "authorization"),
    ("prometheus.sourceLabels.Contour.a-b=x", "a-b"),
]
ACCEPTED = [
    USER,
    "fullnameOverride=ty-2",
    "prometheus.enforceNamespace=false,namespaces={a}",
    "prometheus.enforceNamespace=false,prometheus.customQueries=false",
    "prometheus.tls.clientCertificate=true,prometheus.tls.existingSecret=prom-tls",
    "prometheus.headers.X-Scope-OrgID=team",
]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row[0])
def test_wrong_values_are_refused_by_name(row: tuple[str, ...], helm: Helm) -> None:
    setting, *words = row
    with pytest.raises(HelmFailed) as refusal:
        rendered(helm, "--set", setting)
    said = str(refusal.value).replace(".", "/")
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize("setting", ACCEPTED)
def test_what_the_chart_accepts_the_operator_takes(setting: str, helm: Helm) -> None:
    objects = rendered(helm, "--set", setting)
    (operator,) = (o for o in objects if o["kind"] == "Deployment" and _is_operator(o))
    read_settings(Environment(operator["spec"]["template"]["spec"]["containers"][0]["env"]))


def test_every_section_of_the_values_is_explained() -> None:
    text = (CHART / "values.yaml").read_text()
    sections = re.findall(r"(?m)^(# .*\n)?([a-zA-Z]+):(.*\n(?:[ ].*\n|\n)*)", text)
    assert {name for _, name, _ in sections} == set(yaml.safe_load(text))
    assert [name for comment, name, body in sections if not comment and "# " not in body] == []


def test_the_schema_knows_every_value() -> None:
    """Each default is a key of values.schema.json, and the other way round (`global` is Helm's own)."""

    def keys(value: Any, at: str = "") -> set[str]:
        children = value.items() if isinstance(value, dict) else ()
        return {at} | {key for name, child in children for key in keys(child, f"{at}.{name}")}

    def declared(schema: Obj, at: str = "") -> set[str]:
        schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        children = schema.get("properties", {}).items()
        return {at} | {key for name, child in children for key in declared(child, f"{at}.{name}")}

    schema = json.loads((CHART / "values.schema.json").read_text())
    definitions = schema["$defs"]
    free = (".resources.requests", ".resources.limits")
    written = {
        key for key in keys(yaml.safe_load((CHART / "values.yaml").read_text())) if not any(f in key for f in free)
    }
    assert written == {key for key in declared(schema) if not any(f in key for f in free)} - {".global"}


@each_file
def test_rbac_has_no_wildcard_and_lists_no_secrets(values: Path, helm: Helm) -> None:
    rules = [
        (obj["metadata"]["name"], rule)
        for obj in rendered(helm, "-f", str(values))
        if obj["kind"] in ("Role", "ClusterRole")
        for rule in obj["rules"]
    ]
    assert rules
    for name, rule in rules:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"], name
        if "secrets" in rule["resources"]:
            assert not {"list", "watch", "deletecollection"} & set(rule["verbs"]), name


def test_a_namespaced_install_needs_nothing_of_the_cluster(helm: Helm) -> None:
    objects = rendered(helm, *ci("namespaced"))
    assert [o["kind"] for o in objects if o["kind"] in CLUSTER_SCOPED] == []
    roles = {o["metadata"]["namespace"] for o in objects if o["kind"] == "Role"}
    assert roles == {NAMESPACE, "team-a", "team-b"}


README_VALUES = (
    "--set", "setup.namespaces={team-a}", "--set", "kubeflow.url=http://ml-pipeline.kubeflow.svc:8888",
)  # fmt: skip


@pytest.mark.parametrize("arguments", [README_VALUES, *(("-f", str(path)) for path in VALUES)], ids=str)
def test_every_object_names_its_own_namespace(arguments: tuple[str, ...], helm: Helm) -> None:
    """They lie in several, so `kubectl apply` takes no -n for them; the README gives none."""
    places = {(o["kind"], o["metadata"].get("namespace")) for o in rendered(helm, *arguments)}
    assert [kind for kind, namespace in places if (kind in CLUSTER_SCOPED) != (namespace is None)] == []
    readme = (CHART.parents[1] / "README.md").read_text()
    (line,) = (line for line in readme.splitlines() if line.startswith("helm template"))
    assert line.endswith("| kubectl apply --server-side -f -")


def test_crds_are_those_of_the_models(helm: Helm) -> None:
    crds = [o for o in rendered(helm) if o["kind"] == "CustomResourceDefinition"]
    assert len(crds) == len(KINDS)
    for crd in crds:
        plural = crd["spec"]["names"]["plural"]
        source = yaml.safe_load((CHART.parents[1] / f"crds/trainyard.dev_{plural}.yaml").read_text())
        assert crd["spec"] == source["spec"]
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_crds_can_be_left_out_or_be_let_go(helm: Helm) -> None:
    assert not [o for o in rendered(helm, "--set", "crds.install=false") if o["kind"] == "CustomResourceDefinition"]
    let_go = [o for o in rendered(helm, "--set", "crds.keep=false") if o["kind"] == "CustomResourceDefinition"]
    assert all("helm.sh/resource-policy" not in crd["metadata"]["annotations"] for crd in let_go)


class Environment(Mapping[str, str]):
    """The container's environment, which notes what is read of it. What the cluster fills in stands as `given`."""

    def __init__(self, variables: list[Obj]) -> None:
        self.values_by_name: dict[str, str] = {v["name"]: v.get("value", "given") for v in variables}
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return self.values_by_name[name]

    def __iter__(self) -> Any:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


@each_file
def test_the_operator_reads_every_setting_that_the_chart_writes(values: Path, helm: Helm) -> None:
    (container,) = one(rendered(helm, "-f", str(values)), "Deployment", "trainyard")["spec"]["template"]["spec"][
        "containers"
    ]
    environment = Environment(container["env"])
    read_settings(environment)
    assert set(environment) == environment.read


def test_settings_arrive(helm: Helm) -> None:
    def settings(*arguments: str) -> Any:
        (container,) = one(rendered(helm, *arguments), "Deployment", "trainyard")["spec"]["template"]["spec"][
            "containers"
        ]
        return read_settings(Environment(container["env"]))

    default, external = settings(), settings(*ci("external"))
    assert default.store.endpoint == f"http://trainyard-minio.{NAMESPACE}.svc:9000"
    assert default.database.host == f"trainyard-mysql.{NAMESPACE}.svc"
    assert (external.database.host, external.database.port) == ("mysql.databases.svc", 3307)
    assert external.store.bucket == "models"
    assert settings("--set", "mysql.enabled=false").database is None
    assert settings(*ci("namespaced")).namespaces == ("team-a", "team-b")
    assert settings("--set", "operator.visitSeconds=30").visit_seconds == 30


def test_the_setup_job_is_named_by_what_it_does(helm: Helm) -> None:
    first = one(rendered(helm), "Job")["metadata"]["name"]
    assert one(rendered(helm, "--is-upgrade"), "Job")["metadata"]["name"] == first
    assert one(rendered(helm, "--set", "operator.workers=3"), "Job")["metadata"]["name"] == first
    assert one(rendered(helm, "--set", "setup.namespaces={team-a}"), "Job")["metadata"]["name"] != first


def test_the_setup_runs_only_what_is_needed(helm: Helm) -> None:
    def steps(*arguments: str) -> list[str]:
        pod = one(rendered(helm, *arguments), "Job")["spec"]["template"]["spec"]
        return [c["name"] for c in [*pod.get("initContainers", []), *pod["containers"]]]

    assert steps() == ["secrets", "store"]
    assert steps("--set", "minio.enabled=false") == ["secrets"]
    assert steps("--set", "mysql.enabled=false") == ["secrets", "store"]
    assert not [o for o in rendered(helm, *ci("external")) if o["kind"] == "Job"]


def test_no_password_is_rendered_and_none_changes(helm: Helm) -> None:
    """`helm template` twice gives the same bytes: nothing random, and no Secret of ours."""
    assert rendered(helm) == rendered(helm)
    assert [o for o in rendered(helm) if o["kind"] == "Secret"] == []


def test_data_lies_on_claims(helm: Helm) -> None:
    for name, mounted in (("trainyard-mysql", "/var/lib/mysql"), ("trainyard-minio", "/data")):
        spec = one(rendered(helm), "StatefulSet", name)["spec"]
        assert [c["metadata"]["name"] for c in spec["volumeClaimTemplates"]] == ["data"]
        mounts = {m["name"]: m["mountPath"] for m in spec["template"]["spec"]["containers"][0]["volumeMounts"]}
        assert mounts["data"] == mounted
        assert "persistentVolumeClaimRetentionPolicy" not in spec, "claims outlive the StatefulSet"


def test_model_servers_are_named_by_their_pods_labels_only(helm: Helm) -> None:
    (endpoint,) = one(rendered(helm, *ci("external")), "PodMonitor", "trainyard-models")["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is False
    ours = ("rollout", "revision", "version", "model")
    wanted = {name: f"__meta_kubernetes_pod_label_trainyard_dev_{name}" for name in ours}
    assert {r["targetLabel"]: r["sourceLabels"][0] for r in endpoint["relabelings"]} == wanted
    text = one(rendered(helm), "ConfigMap", "trainyard-scrape")["data"]["scrape.yaml"]
    job, operator = yaml.safe_load(text)
    assert operator["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": [NAMESPACE]}}]
    assert job["honor_labels"] is False
    assert job["scrape_interval"] == "15s"
    copied = {r["target_label"]: r["source_labels"][0] for r in job["relabel_configs"] if "target_label" in r}
    assert copied == {
        **wanted,
        "namespace": "__meta_kubernetes_namespace",
        "pod": "__meta_kubernetes_pod_name",
    }


def test_two_replicas_get_a_disruption_budget(helm: Helm) -> None:
    assert not [o for o in rendered(helm) if o["kind"] == "PodDisruptionBudget"]
    budget = one(rendered(helm, "--set", "operator.replicas=2"), "PodDisruptionBudget")
    assert budget["spec"]["minAvailable"] == 1


def test_two_replicas_stand_on_two_nodes_where_there_are_two(helm: Helm) -> None:
    def spread(*arguments: str) -> Any:
        operator = next(o for o in rendered(helm, *arguments) if o["kind"] == "Deployment" and _is_operator(o))
        return operator["spec"]["template"]["spec"].get("topologySpreadConstraints"), operator["spec"]["selector"]

    assert spread()[0] is None
    (constraint,), selector = spread("--set", "operator.replicas=2")
    assert (constraint["topologyKey"], constraint["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    assert constraint["labelSelector"] == selector


def _is_operator(obj: Obj) -> bool:
    return bool(obj["spec"]["template"]["spec"]["containers"][0]["name"] == "operator")


@each_file
def test_selectors_tell_the_components_apart(values: Path, helm: Helm) -> None:
    labels = [template["metadata"]["labels"] for template in pod_specs(rendered(helm, "-f", str(values))).values()]
    names = [one_pod["app.kubernetes.io/name"] for one_pod in labels]
    assert len(set(names)) == len(names)


def test_minio_gets_further_variables(helm: Helm) -> None:
    told = '[{"name": "MINIO_NOTIFY_WEBHOOK_ENABLE_TRAINYARD", "value": "on"}]'
    spec = one(rendered(helm, "--set-json", f"minio.env={told}"), "StatefulSet", "trainyard-minio")["spec"]
    assert spec["template"]["spec"]["containers"][0]["env"][-1]["value"] == "on"


def _receiver(objects: list[Obj]) -> Environment:
    (container,) = one(objects, "Deployment", "trainyard-events")["spec"]["template"]["spec"]["containers"]
    return Environment(container["env"])


@pytest.mark.parametrize("name", ["external", "namespaced"])
def test_the_receiver_of_events_reads_every_setting_that_the_chart_writes(name: str, helm: Helm) -> None:
    environment = _receiver(rendered(helm, *ci(name)))
    found = read_events(environment)
    assert set(environment) == environment.read - {"TRAINYARD_EVENTS_DRAIN_SECONDS"}
    google = {"https://accounts.google.com": "https://www.googleapis.com/oauth2/v3/certs"}
    assert found.issuers == ({**google, "https://issuer.example.com": ""} if name == "external" else {})
    assert (found.port, found.probe_port, found.body_bytes) == (8090, 8080, 1_048_576)


def test_the_receiver_of_events_may_little(helm: Helm) -> None:
    on = ("--set", "events.enabled=true")
    assert not [o for o in rendered(helm) if o["metadata"]["name"] == "trainyard-events"]
    rules = one(rendered(helm, *on), "ClusterRole", "trainyard-events")["rules"]
    secrets = [rule for rule in rules if rule["resources"] == ["secrets"]]
    assert [(r["verbs"], r["resourceNames"]) for r in secrets] == [(["get"], ["trainyard-triggers"])]
    created = {r["resources"][0] for r in rules if "create" in r["verbs"]}
    assert created == {"trainingruns", "localsubjectaccessreviews", "tokenreviews"}
    every = one(rendered(helm, *on, "--set", "events.secretNames=null"), "ClusterRole", "trainyard-events")["rules"]
    assert [r for r in every if r["resources"] == ["secrets"]] == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    ]


def test_the_receiver_of_events_is_reached_as_the_values_say(helm: Helm) -> None:
    route = one(rendered(helm, *ci("external")), "HTTPRoute")["spec"]
    assert (route["hostnames"], route["rules"][0]["backendRefs"][0]["name"]) == (
        ["events.example.com"],
        "trainyard-events",
    )
    policy = one(rendered(helm, *ci("external")), "NetworkPolicy", "trainyard-events")["spec"]
    assert policy["ingress"][1]["from"][0]["namespaceSelector"]["matchLabels"]
    ingress = one(rendered(helm, *ci("namespaced")), "Ingress")["spec"]
    assert ingress["tls"] == [{"hosts": ["events.example.com"], "secretName": "events-tls"}]
    budgets = [o["metadata"]["name"] for o in rendered(helm, *ci("external")) if o["kind"] == "PodDisruptionBudget"]
    assert budgets == ["trainyard-events", "trainyard"]

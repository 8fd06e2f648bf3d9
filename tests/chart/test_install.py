"""The chart on a real API server: accepted, restricted, installed, upgraded, uninstalled and installed again."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from local import builds
from local.rig import ApiServerRig
from tests.chart.charts import CHART, NAMESPACE, VALUES, Helm, ci, helm_at, pod_specs, rendered
from tests.rig.kinds import full

pytestmark = pytest.mark.rig

Kubectl = Callable[..., str]
OPERATOR = f"system:serviceaccount:{NAMESPACE}:trainyard"


@pytest.fixture(scope="module")
def kubectl(rig: ApiServerRig) -> Kubectl:
    """`kubectl(...)` with the namespaces of the values files; its output, whatever the exit status of `auth can-i`."""

    def call(*arguments: str, stdin: str | None = None) -> str:
        command = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig), *arguments]
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0 or arguments[0] == "auth", done.stderr
        return done.stdout.strip()

    for namespace in (NAMESPACE, "team-a", "team-b"):
        call("create", "namespace", namespace)
        call("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    call("apply", "--server-side", "-f", str(builds.manifests("gateway")[0]))
    return call


@pytest.fixture(scope="module")
def live_helm(rig: ApiServerRig) -> Helm:
    return helm_at(builds.program("helm"), "--kubeconfig", str(rig.kubeconfig), "--namespace", NAMESPACE)


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_api_server_accepts_what_is_rendered(values: Path, helm: Helm, kubectl: Kubectl) -> None:
    # Two are the Prometheus Operator's kinds, which is not here.
    objects = [o for o in rendered(helm, "-f", str(values)) if o["kind"] not in ("PodMonitor", "PrometheusRule")]
    kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(objects))


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_pods_pass_the_restricted_standard(values: Path, helm: Helm, kubectl: Kubectl) -> None:
    templates = pod_specs(rendered(helm, "-f", str(values)))
    assert templates
    for name, template in templates.items():
        pod = {**template, "apiVersion": "v1", "kind": "Pod"}
        pod["metadata"] = {**pod["metadata"], "name": "pod", "namespace": NAMESPACE}
        claims = [m["name"] for c in pod["spec"]["containers"] for m in c["volumeMounts"]]
        declared = {v["name"] for v in pod["spec"]["volumes"]}
        pod["spec"]["volumes"] += [{"name": c, "emptyDir": {}} for c in claims if c not in declared]
        said = kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))
        assert "created (server dry run)" in said, name


@pytest.fixture(scope="module")
def release(live_helm: Helm, kubectl: Kubectl) -> Iterator[Helm]:
    """Install the chart as the local cluster does, without waiting: nothing runs pods here."""
    live_helm("install", "trainyard", str(CHART), *ci("local"))
    yield live_helm
    live_helm("uninstall", "trainyard")


ALLOWED = ["patch rollouts.trainyard.dev/status", "create jobs.batch", "patch httproutes.gateway.networking.k8s.io"]
FORBIDDEN = [
    "list secrets",
    "watch secrets",
    "create secrets",
    "delete secrets",
    "create pods",
    "create pods/exec",
    "get configmaps",
    "create clusterroles.rbac.authorization.k8s.io",
    "delete rollouts.trainyard.dev",
    "list nodes",
    "impersonate users",
    "create serviceaccounts/token",
]


def test_the_operator_may_what_it_must_and_no_more(release: Helm, kubectl: Kubectl) -> None:
    def may(what: str) -> str:
        verb, resource = what.split()
        resource, _, sub = resource.partition("/")
        named = [f"--subresource={sub}"] if sub else []
        return kubectl("auth", "can-i", verb, resource, *named, "--as", OPERATOR, "-n", "team-a")

    assert {what: may(what) for what in ALLOWED} == dict.fromkeys(ALLOWED, "yes")
    assert {what: may(what) for what in FORBIDDEN} == dict.fromkeys(FORBIDDEN, "no")


def test_an_upgrade_that_changes_nothing_leaves_every_spec_alone(release: Helm, kubectl: Kubectl) -> None:
    def generations() -> dict[str, int]:
        text = kubectl("get", "deployments,statefulsets,jobs,crds,roles", "-n", NAMESPACE, "-o", "json")
        return {
            o["kind"] + o["metadata"]["name"]: o["metadata"].get("generation", 0) for o in json.loads(text)["items"]
        }

    before = generations()
    release("upgrade", "trainyard", str(CHART), *ci("local"))
    assert generations() == before


def test_an_upgrade_brings_the_crds(release: Helm, kubectl: Kubectl, tmp_path: Path) -> None:
    """By hand they are only brought by force: they are Helm's."""

    def short_names() -> str:
        return kubectl("get", "crd", "rollouts.trainyard.dev", "-o", "jsonpath={.spec.names.shortNames}")

    older = Path(shutil.copytree(CHART, tmp_path / "trainyard"))
    crd = older / "files/crds/trainyard.dev_rollouts.yaml"
    crd.write_text(crd.read_text().replace("- tyro\n", "- older\n"))
    release("upgrade", "trainyard", str(older), *ci("local"))
    assert short_names() == '["older"]'
    by_hand = ("apply", "--server-side", "--dry-run=server", "-f", str(CHART / "files/crds"))
    with pytest.raises(AssertionError, match='conflict with "helm"'):
        kubectl(*by_hand)
    assert kubectl(*by_hand, "--force-conflicts").count("serverside-applied") == 4
    release("upgrade", "trainyard", str(CHART), *ci("local"))
    assert short_names() == '["tyro"]'


def test_objects_and_crds_outlive_the_release(release: Helm, kubectl: Kubectl) -> None:
    run, *_ = full("TrainingRun")
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump({k: v for k, v in run.items() if k != "status"}))
    release("uninstall", "trainyard")
    assert kubectl("get", "trainingruns", "-o", "name") == "trainingrun.trainyard.dev/full"
    assert kubectl("get", "deployments", "-n", NAMESPACE, "-o", "name") == ""
    release("install", "trainyard", str(CHART), *ci("local"))
    assert kubectl("get", "trainingruns", "-o", "name") == "trainingrun.trainyard.dev/full"


def test_the_aggregated_roles_name_our_kinds(release: Helm, kubectl: Kubectl) -> None:
    view = json.loads(kubectl("get", "clusterrole", "trainyard-view", "-o", "json"))
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}

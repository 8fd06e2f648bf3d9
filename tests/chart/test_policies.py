"""Who may move a Rollout, and what may not be deleted: the chart's policies on a real API server, with real users."""

import json
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import yaml

from local import builds
from local.rig import ApiServerRig
from tests.chart.charts import NAMESPACE, Helm, ci, one, rendered
from tests.golden.rollout.manifests import version
from tests.rig.kinds import CRDS
from tests.rig.place import Place, connect
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import MODEL_VERSION, Forbidden, Ref

pytestmark = pytest.mark.rig

OPERATOR = f"system:serviceaccount:{NAMESPACE}:trainyard"
KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ClusterRole", "ClusterRoleBinding")
CONTROLLERS = "garbage-collector-controller,namespace-controller,clusterrole-aggregation-controller"
READY_SECONDS = 60.0
TEAM = "team"
# Users and what they are in namespace `team`; carl may edit Rollouts and has none of the verbs.
ROLES = {"ada": "admin", "eve": "edit", "vic": "view", "carl": "writer"}
WRITER = {
    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "writer"},
    "rules": [
        {"apiGroups": ["trainyard.dev"], "resources": ["rollouts"], "verbs": ["get", "create", "patch", "update"]}
    ],
}  # fmt: skip

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def rig() -> Iterator[ApiServerRig]:
    """A rig of its own, with the controllers that add up ClusterRoles and empty namespaces."""
    with ApiServerRig(kube_controllers=CONTROLLERS) as started:
        yield started


@pytest.fixture(scope="module")
def kubectl(rig: ApiServerRig, helm: Helm) -> Call:
    """`kubectl(...)`; `by`: as whom. The policies are at work, and everybody has their role."""

    def call(*arguments: str, stdin: str | None = None, by: str = "") -> subprocess.CompletedProcess[str]:
        config = rig.kubeconfig_for(by) if by else rig.kubeconfig
        command = [rig.kubectl, "--kubeconfig", str(config), "-n", TEAM, *arguments]
        return subprocess.run(command, input=stdin, text=True, capture_output=True, check=False, timeout=60)

    def must(*arguments: str, stdin: str | None = None) -> None:
        done = call(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr

    for folder in (CRDS, builds.manifests("gateway")[0]):
        must("apply", "--server-side", "-f", str(folder))
        must("wait", "--for=condition=Established", "--timeout=60s", "-f", str(folder))
    must("create", "namespace", TEAM)
    objects = [o for o in rendered(helm) if o["kind"] in KINDS]
    must("apply", "-f", "-", stdin=yaml.safe_dump_all([*objects, WRITER]))
    for user, role in ROLES.items():
        must("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}")
    _until_at_work(call)
    return call


def _until_at_work(call: Call) -> None:
    """Wait until the API server knows the policies and the summed roles: it learns of both a little later."""
    probe = yaml.safe_dump(_rollout("probe", action={"kind": "Promote", "id": "1", "by": "nobody"}))
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        denied = call("create", "--dry-run=server", "-f", "-", stdin=probe).returncode != 0
        may = call("auth", "can-i", "promote", "rollouts.trainyard.dev", by="ada").returncode == 0
        if denied and may:
            return
        time.sleep(0.2)
    raise AssertionError("the policies are not at work")


def _rollout(name: str, **spec: Any) -> dict[str, Any]:
    base = {
        "model": "churn",
        "version": {"latest": {}},
        "target": {"kubernetes": {"traffic": {"parentRefs": [{"name": "gate"}]}}},
        "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}},
    }
    meta = {"name": name, "namespace": TEAM}
    return {"apiVersion": "trainyard.dev/v1alpha1", "kind": "Rollout", "metadata": meta, "spec": base | spec}


@pytest.fixture
def churn(kubectl: Call) -> Iterator[str]:
    """A Rollout that stands there; its name."""
    made = kubectl("create", "-f", "-", stdin=yaml.safe_dump(_rollout("churn")))
    assert made.returncode == 0, made.stderr
    yield "churn"
    kubectl("delete", "rollout", "churn")


def act(kubectl: Call, by: str, kind: str = "Promote", claimed: str | None = None, id: str = "1") -> str:
    """Write an action as a user; what the API server says against it, "" where it takes it."""
    action = {"kind": kind, "id": id} | ({} if claimed == "" else {"by": claimed or by})
    body = json.dumps({"spec": {"action": action}})
    done = kubectl("patch", "rollout", "churn", "--type=merge", "-p", body, by=by)
    return done.stderr if done.returncode else ""


@pytest.mark.parametrize("kind", ["Promote", "PromoteFull", "Abort", "Retry"])
@pytest.mark.parametrize("user", ["ada", "eve"])
def test_who_has_the_verb_may_and_says_who_they_are(user: str, kind: str, kubectl: Call, churn: str) -> None:
    assert act(kubectl, user, kind) == ""


def test_nobody_speaks_for_somebody_else(kubectl: Call, churn: str) -> None:
    for claimed in ("eve", ""):
        assert "spec.action.by must say who you are: ada" in act(kubectl, "ada", claimed=claimed)
    assert act(kubectl, "ada", id="2") == ""


@pytest.mark.parametrize(("kind", "verb"), [("Promote", "promote"), ("Abort", "abort"), ("Retry", "promote")])
def test_to_edit_a_rollout_is_not_to_move_it(kind: str, verb: str, kubectl: Call, churn: str) -> None:
    said = act(kubectl, "carl", kind)
    assert f"carl may not {verb} rollouts.trainyard.dev in namespace team: spec.action.kind {kind} needs that" in said
    assert (
        kubectl("patch", "rollout", churn, "--type=merge", "-p", '{"spec":{"paused":true}}', by="carl").returncode == 0
    )


def test_what_stands_there_stays_and_may_be_taken_back_by_who_edits(kubectl: Call, churn: str) -> None:
    assert act(kubectl, "ada") == ""
    edit = '{"spec":{"scaleDownDelaySeconds":5}}'
    assert kubectl("patch", "rollout", churn, "--type=merge", "-p", edit, by="carl").returncode == 0
    assert "must say who you are" in act(kubectl, "carl", claimed="ada", id="2")
    gone = kubectl("patch", "rollout", churn, "--type=merge", "-p", '{"spec":{"action":null}}', by="carl")
    assert gone.returncode == 0, gone.stderr
    assert "may not promote" in act(kubectl, "carl", id="3")


def test_an_action_at_birth_counts_too(kubectl: Call) -> None:
    born = yaml.safe_dump(_rollout("born", action={"kind": "Promote", "id": "1", "by": "carl"}))
    assert "may not promote" in kubectl("create", "-f", "-", stdin=born, by="carl").stderr
    by_ada = born.replace("carl", "ada")
    assert kubectl("create", "--dry-run=server", "-f", "-", stdin=by_ada, by="ada").returncode == 0


def test_who_only_looks_may_not(kubectl: Call, churn: str) -> None:
    assert 'cannot patch resource "rollouts"' in act(kubectl, "vic")


def test_the_operator_sets_no_action(kubectl: Call, churn: str) -> None:
    assert "spec.action is for people; the operator does not set it" in act(kubectl, OPERATOR)


@pytest.fixture
async def operator(rig: ApiServerRig, kubectl: Call) -> AsyncIterator[Place]:
    """The operator as the chart binds it, in a place of its own; people act as ada."""
    theirs, one = await connect(rig.kubeconfig)
    ours, other = await connect(rig.kubeconfig_for(OPERATOR))
    yield Place(rig, theirs, ours, TEAM)
    await one.close()
    await other.close()


async def test_the_operator_works_and_what_serves_stays(operator: Place, kubectl: Call) -> None:
    for n, name in enumerate(("v1", "v2"), start=1):
        await operator.add(version(name, n))
    await operator.rollout(version={"name": "v1"}, strategy={"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}})
    await operator.settle()
    await operator.edit(version={"name": "v2"})
    await operator.settle()
    assert await operator.shares() == {"v1": 80, "v2": 20}
    assert act(kubectl, "ada", id="go") == ""
    await operator.settle(60)
    assert await operator.shares() == {"v2": 100}
    assert (await operator.object())["status"]["handledAction"] == "go"
    await _serves(operator.cluster, "v2", "churn", "shop")
    told = kubectl("delete", "modelversion", "v2", by="ada").stderr
    assert "ModelVersion v2 is served by Rollout churn, shop: let that serve another version first" in told
    with pytest.raises(Forbidden, match="is served by Rollout churn, shop"):
        await operator.cluster.delete(Ref(MODEL_VERSION, TEAM, "v2"))
    assert kubectl("delete", "modelversion", "v1", by="ada").returncode == 0
    await _serves(operator.cluster, "v2")
    assert kubectl("delete", "modelversion", "v2", by="ada").returncode == 0
    kubectl("delete", "rollout", "churn", "--wait=false")
    await operator.settle()


async def test_a_version_that_is_given_up_goes_though_it_serves(operator: Place, kubectl: Call) -> None:
    await operator.add(version("given", 1))
    await _serves(operator.cluster, "given", "churn")
    assert kubectl("delete", "modelversion", "given").returncode != 0
    kubectl("annotate", "modelversion", "given", "trainyard.dev/skip-cleanup=true")
    assert kubectl("delete", "modelversion", "given").returncode == 0


async def test_with_its_namespace_everything_goes(rig: ApiServerRig, kubectl: Call) -> None:
    assert kubectl("create", "namespace", "doomed").returncode == 0
    theirs, one = await connect(rig.kubeconfig)
    place = Place(rig, theirs, theirs, "doomed")
    await place.add(version("v1", 1))
    await _serves(theirs, "v1", "churn", namespace="doomed")
    assert kubectl("delete", "modelversion", "v1", "-n", "doomed").returncode != 0
    gone = kubectl("delete", "namespace", "doomed", "--timeout=60s")
    await one.close()
    assert gone.returncode == 0, gone.stderr


async def _serves(cluster: KubernetesCluster, name: str, *rollouts: str, namespace: str = TEAM) -> None:
    """Say in a version's status who serves it, as its room does."""
    body = {"status": {"servedBy": list(rollouts)}}
    await cluster.patch(Ref(MODEL_VERSION, namespace, name), body, status=True)


def test_each_policy_can_be_left_out(helm: Helm) -> None:
    def names(*arguments: str) -> set[str]:
        return {
            f"{o['kind'].removeprefix('ValidatingAdmissionPolicy')}/{o['metadata']['name']}"
            for o in rendered(helm, *arguments)
            if o["kind"].startswith("ValidatingAdmissionPolicy")
        }

    actions = {"/trainyard-actions", "Binding/trainyard-actions"}
    deletions = {"/trainyard-deletions", "Binding/trainyard-deletions"}
    assert names() == actions | deletions
    assert names("--set", "policies.actions=false") == deletions
    assert names("--set", "policies.deletions=false") == actions
    assert names("--set", "policies.actions=false,policies.deletions=false") == set()
    assert names(*ci("namespaced")) == set()


def test_the_policies_know_the_operator_by_its_name(helm: Helm) -> None:
    named = rendered(helm, "--set", "fullnameOverride=yard")
    policy = next(o for o in named if o["metadata"]["name"] == "yard-actions" and "matchConstraints" in o["spec"])
    assert f"'system:serviceaccount:{NAMESPACE}:yard'" in policy["spec"]["validations"][0]["expression"]


@pytest.mark.parametrize(
    ("arguments", "proven"),
    [((), "true"), (("--set", "policies.actions=false"), "false"), (ci("namespaced"), "false")],
)
def test_the_operator_is_told_whether_a_name_is_proven(arguments: tuple[str, ...], proven: str, helm: Helm) -> None:
    operator = one(rendered(helm, *arguments), "Deployment", "trainyard")
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    assert {"name": "TRAINYARD_PROVEN_ACTIONS", "value": proven} in container["env"]

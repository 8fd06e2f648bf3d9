"""A second Kubeflow Pipelines, in multi-user mode: whoever asks shows a token, and may do what RBAC lets them do.

It shares the first one's images, MinIO, ML Metadata and MariaDB (with a database of its own), and keeps to one user
namespace: a persistence agent that saw the first one's Workflows would delete them as strangers'.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from local import builds
from local.kubeflow import objects
from tests.scenarios.cluster import SYSTEM, Cluster, Obj, Objs
from tests.scenarios.kubeflow import NAMESPACE

SPACE = "kubeflow-users"
DATABASE = "mlpipeline_users"
RUNNER = "default-editor"  # what Kubeflow's profiles call the account of a user's steps
PARTS = ("ml-pipeline", "ml-pipeline-persistenceagent", "workflow-controller")
ACCOUNTS = ("ml-pipeline", "ml-pipeline-persistenceagent", "argo")
AUDIENCE = "pipelines.kubeflow.org"


def install(first: Cluster, user: str) -> str:
    """Start it for one user namespace that exists; return its cluster IP's URL. Harmless when done before."""
    here = Cluster(first.env, SPACE)
    first.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
    _make_database(first)
    (config,) = (file for file in builds.manifests("kubeflow") if file.name == "config.json")
    made = [_moved(one) for one in objects.objects(config.read_text()) if _is_used(one)]
    here.apply(*_copied_secrets(first, SPACE), *_accounts(), *(_for_users(one, user) for one in made))
    _furnish(first, user)
    for name in PARTS:
        here.kubectl("rollout", "status", f"deployment/{name}", "--timeout=240s", timeout=250)
    service = here.get("service", "ml-pipeline")
    assert service
    return f"http://{service['spec']['clusterIP']}:8888"


def remove(first: Cluster) -> None:
    """Take it down; its database stays for the next time."""
    first.kubectl("delete", "namespace", SPACE, "--wait=false", "--ignore-not-found")
    first.kubectl("delete", "clusterrolebinding", SPACE, "--ignore-not-found")


def let_in(first: Cluster, user: str) -> None:
    """Let the operator do in a user's namespace what Kubeflow's own role lets an editor do."""
    Cluster(first.env, user).apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "trainyard", "namespace": user},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kubeflow-pipelines-edit",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "trainyard", "namespace": SYSTEM}],
        }
    )  # fmt: skip


def token(first: Cluster, audience: str = AUDIENCE) -> str:
    """Return a token of the operator's own account, as the kubelet projects one into its pod."""
    return Cluster(first.env, SYSTEM).kubectl("create", "token", "trainyard", f"--audience={audience}").strip()


def _make_database(first: Cluster) -> None:
    line = f"CREATE DATABASE IF NOT EXISTS {DATABASE}; GRANT ALL ON {DATABASE}.* TO '{objects.MYSQL_USER}'@'%';"
    client = 'MYSQL_PWD="$MYSQL_ROOT_PASSWORD" exec mysql --host=127.0.0.1 --user=root'
    pod = f"{objects.CHART_RELEASE}-mysql-0"
    Cluster(first.env, SYSTEM).kubectl("exec", "-i", pod, "--", "sh", "-c", client, stdin=line)


def _is_used(one: Obj) -> bool:
    return one["kind"] != "Deployment" or one["metadata"]["name"] in PARTS


def _moved(one: Obj) -> Obj:
    """Return one of the first Kubeflow's objects in our namespace; its other hosts stay the first one's."""
    moved: Obj = json.loads(json.dumps(one))
    moved["metadata"]["namespace"] = SPACE
    moved.get("spec", {}).pop("clusterIP", None)
    return moved


def _for_users(one: Obj, user: str) -> Obj:
    """Turn on multi-user mode, and keep agent and controller to the user's namespace."""
    if one["kind"] != "Deployment":
        return one
    (container,) = one["spec"]["template"]["spec"]["containers"]
    name = one["metadata"]["name"]
    if name == "ml-pipeline":
        given = {
            "POD_NAMESPACE": SPACE, "MULTIUSER": "true", "DEFAULTPIPELINERUNNERSERVICEACCOUNT": RUNNER,
            "DBCONFIG_MYSQLCONFIG_DBNAME": DATABASE,
        }  # fmt: skip
        kept = [entry for entry in container["env"] if entry["name"] not in given]
        container["env"] = kept + [{"name": key, "value": value} for key, value in given.items()]
    elif name == "workflow-controller":
        container["command"].append(f"--managed-namespace={user}")
    else:
        container["command"] = [
            f"--namespace={user}" if part.startswith("--namespace=") else part for part in container["command"]
        ]
    return one


def _copied_secrets(first: Cluster, namespace: str) -> Objs:
    found = [first.get("secret", name) for name in (objects.MYSQL_SECRET, objects.STORE_SECRET)]
    return [_copy(one, namespace) for one in found if one]


def _copy(one: Obj, namespace: str) -> Obj:
    head = {"name": one["metadata"]["name"], "namespace": namespace}
    return {key: value for key, value in one.items() if key in ("apiVersion", "kind", "data", "rules")} | {
        "metadata": head
    }


def _accounts() -> Objs:
    """Return Kubeflow's own accounts; what they may do is not what is tested."""
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": SPACE} for name in ACCOUNTS]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    binding: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": SPACE},
        "roleRef": role,
        "subjects": subjects,
    }
    return [*({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}} for name in ACCOUNTS), binding]


def _furnish(first: Cluster, user: str) -> None:
    """Give a user's namespace what Kubeflow's profile controller gives it: account, key to the store, settings."""
    role = first.get("role", "pipeline-runner")
    launcher = first.get("configmap", "kfp-launcher")
    assert role
    assert launcher
    metadata = {
        "METADATA_GRPC_SERVICE_HOST": f"metadata-grpc-service.{NAMESPACE}",
        "METADATA_GRPC_SERVICE_PORT": "8080",
    }
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "pipeline-runner"}
    Cluster(first.env, user).apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": RUNNER}},
        _copy(role, user),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "pipeline-runner"},
            "roleRef": reference,
            "subjects": [{"kind": "ServiceAccount", "name": RUNNER, "namespace": user}],
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "metadata-grpc-configmap"}, "data": metadata},
        *(_copy(one, user) for one in (launcher, first.get("secret", objects.STORE_SECRET)) if one),
    )


def kubeflow_roles() -> Objs:
    """Return Kubeflow's own roles for its users."""
    (file,) = (file for file in builds.manifests("kubeflow") if file.name == "view-edit-cluster-roles.yaml")
    return [part for part in yaml.safe_load_all(file.read_text()) if part]

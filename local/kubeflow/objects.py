"""What of Kubeflow Pipelines is deployed: single-tenant, in namespace `kubeflow`, on the chart's MySQL and MinIO.

Its permissions and custom resources come from its own manifests (`local/versions.toml`); here are the rest, as dicts.
"""

from __future__ import annotations

from typing import Any

from local import addresses, image_table

Obj = dict[str, Any]

NAMESPACE = "kubeflow"
MYSQL_USER = "kubeflow"
DATABASES = ("mlpipeline", "metadb")
CHART_NAMESPACE, CHART_RELEASE = "trainyard-system", "trainyard"
MYSQL_SECRET = "mysql-secret"  # noqa: S105 - the name that Kubeflow's own manifests give it
STORE_SECRET = "mlpipeline-minio-artifact"  # noqa: S105 - the launcher looks for this very name
STORE_HOST = f"minio-service.{NAMESPACE}"
_MYSQL_HOST = f"{CHART_RELEASE}-mysql.{CHART_NAMESPACE}.svc.cluster.local"
_TOKENS = "/var/run/secrets/kubeflow/tokens"
_AUDIENCE = "pipelines.kubeflow.org"

_PROVIDERS = f"""\
s3:
  default:
    endpoint: {STORE_HOST}:9000
    region: us-east-1
    disableSSL: true
    credentials:
      fromEnv: false
      secretRef: {{secretName: {STORE_SECRET}, accessKeyKey: accesskey, secretKeyKey: secretkey}}
"""


def objects(server_config: str) -> list[Obj]:
    """Everything besides Secrets; `server_config` is the API server's own config.json."""
    return [*_settings(server_config), *_services(), *_deployments()]


def secret(name: str, **values: str) -> Obj:
    """A Secret of the namespace."""
    return {**_head("v1", "Secret", name), "stringData": values}


def placed(part: Obj) -> Obj:
    """An object of Kubeflow's own manifests; kustomize, which they are made for, would add the accounts' namespace."""
    for subject in part.get("subjects", []):
        subject["namespace"] = NAMESPACE
    return part


def deployment_names() -> list[str]:
    """The Deployments, as `status` lists them."""
    return [one["metadata"]["name"] for one in _deployments()]


def _head(version: str, kind: str, name: str, **labels: str) -> Obj:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels}}


def _settings(server_config: str) -> list[Obj]:
    def config(name: str, **data: str) -> Obj:
        return {**_head("v1", "ConfigMap", name), "data": data}

    return [
        config("ml-pipeline-config", **{"config.json": server_config}),
        # Pipeline roots s3://… are in the same MinIO as minio://…, the default.
        config("kfp-launcher", providers=_PROVIDERS),
        config(
            "metadata-grpc-configmap",
            METADATA_GRPC_SERVICE_HOST="metadata-grpc-service",
            METADATA_GRPC_SERVICE_PORT="8080",
        ),
        config("workflow-controller-configmap"),
    ]


def _services() -> list[Obj]:
    def service(name: str, **spec: Any) -> Obj:
        return {**_head("v1", "Service", name), "spec": spec}

    api_ports = [{"name": "http", "port": 8888}, {"name": "grpc", "port": 8887}]
    return [
        service("ml-pipeline", clusterIP=addresses.KUBEFLOW, selector={"app": "ml-pipeline"}, ports=api_ports),
        service("metadata-grpc-service", selector={"app": "metadata-grpc"}, ports=[{"name": "grpc-api", "port": 8080}]),
        service(
            "minio-service",
            type="ExternalName",
            externalName=f"{CHART_RELEASE}-minio.{CHART_NAMESPACE}.svc.cluster.local",
        ),
    ]


def _deployments() -> list[Obj]:
    return [_api_server(), _persistence_agent(), _scheduled_workflows(), _workflow_controller(), _ml_metadata()]


def _api_server() -> Obj:
    images = image_table.read()
    settings = {
        "POD_NAMESPACE": NAMESPACE,
        "DBCONFIG_MYSQLCONFIG_HOST": _MYSQL_HOST,
        "DBCONFIG_MYSQLCONFIG_PORT": "3306",
        "OBJECTSTORECONFIG_HOST": STORE_HOST,
        "OBJECTSTORECONFIG_PORT": "9000",
        "OBJECTSTORECONFIG_SECURE": "false",
        "V2_DRIVER_IMAGE": images["kfp-driver"].reference,
        "V2_LAUNCHER_IMAGE": images["kfp-launcher"].reference,
        # There is no such server; without an address the API server does not start.
        "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_HOST": "127.0.0.1",
        "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_PORT": "8889",
    }
    env = [
        *_plain(settings),
        _from_secret("DBCONFIG_MYSQLCONFIG_USER", MYSQL_SECRET, "username"),
        _from_secret("DBCONFIG_MYSQLCONFIG_PASSWORD", MYSQL_SECRET, "password"),
        _from_secret("OBJECTSTORECONFIG_ACCESSKEY", STORE_SECRET, "accesskey"),
        _from_secret("OBJECTSTORECONFIG_SECRETACCESSKEY", STORE_SECRET, "secretkey"),
    ]
    made = _deployment(
        "ml-pipeline", "kubeflow", ["apiserver", "--config=/config", "--logtostderr=true"], env, account="ml-pipeline"
    )
    spec = made["spec"]["template"]["spec"]
    health = {"httpGet": {"path": "/apis/v2beta1/healthz", "port": 8888}}
    spec["containers"][0] |= {
        "readinessProbe": {**health, "periodSeconds": 2},
        "startupProbe": {**health, "periodSeconds": 2, "failureThreshold": 150},
        "livenessProbe": {**health, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "volumeMounts": [{"name": "config", "mountPath": "/config"}],
    }
    spec["volumes"] = [{"name": "config", "configMap": {"name": "ml-pipeline-config"}}]
    return made


def _persistence_agent() -> Obj:
    command = ["persistence_agent", "--logtostderr=true", f"--namespace={NAMESPACE}", "--numWorker=2"]
    name = "ml-pipeline-persistenceagent"
    made = _deployment(name, "kubeflow", [*command, "--ttlSecondsAfterWorkflowFinish=86400"], [], account=name)
    return _with_token(made, "persistenceagent-sa-token")


def _scheduled_workflows() -> Obj:
    name = "ml-pipeline-scheduledworkflow"
    command = ["scheduledworkflow", "--logtostderr=true", f"--namespace={NAMESPACE}"]
    made = _deployment(name, "kubeflow", command, _plain({"CRON_SCHEDULE_TIMEZONE": "UTC"}), account=name)
    return _with_token(made, "scheduledworkflow-sa-token")


def _workflow_controller() -> Obj:
    command = ["workflow-controller", "--configmap=workflow-controller-configmap", "--namespaced"]
    command.append(f"--executor-image={image_table.read()['argo'].reference}")
    # A workflow is looked at again this long after its pod changed; the default of 10 s is for thousands of them.
    env = _plain({"LEADER_ELECTION_IDENTITY": "workflow-controller", "DEFAULT_REQUEUE_TIME": "1s"})
    return _deployment("workflow-controller", "argo", command, env, account="argo")


def _ml_metadata() -> Obj:
    env = [
        *_plain({"MYSQL_HOST": _MYSQL_HOST, "MYSQL_PORT": "3306", "MYSQL_DATABASE": "metadb"}),
        _from_secret("MYSQL_USER", MYSQL_SECRET, "username"),
        _from_secret("MYSQL_PASSWORD", MYSQL_SECRET, "password"),
    ]
    made = _deployment("metadata-grpc", "ml-metadata", [], env, account="default")
    made["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = {
        "tcpSocket": {"port": 8080},
        "periodSeconds": 2,
    }
    return made


def _deployment(name: str, image: str, command: list[str], env: list[Obj], *, account: str) -> Obj:
    images = image_table.read()
    container = {
        "name": "main",
        "image": images[image].reference,
        "imagePullPolicy": "Never",
        "env": env,
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        **({"command": command} if command else {}),
    }
    pod = {
        "serviceAccountName": account,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "fsGroup": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    # An image built anew keeps its tag: the digest of what it is made of has the pod replaced.
    marked = {"labels": {"app": name}, "annotations": {"trainyard.dev/made-of": image_table.digest(images, image)}}
    return {
        **_head("apps/v1", "Deployment", name),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": marked, "spec": pod},
        },
    }


def _with_token(deployment: Obj, name: str) -> Obj:
    """Project the token that the API server asks of its own agents."""
    spec = deployment["spec"]["template"]["spec"]
    spec["containers"][0]["volumeMounts"] = [{"name": "token", "mountPath": _TOKENS}]
    token = {"path": name, "expirationSeconds": 3600, "audience": _AUDIENCE}
    spec["volumes"] = [{"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}}]
    return deployment


def _plain(values: dict[str, str]) -> list[Obj]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _from_secret(name: str, secret_name: str, key: str) -> Obj:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret_name, "key": key}}}

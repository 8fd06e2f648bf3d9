"""The parts of `up --kubeflow`: Trainyard's chart with its MySQL and MinIO, then Kubeflow Pipelines on them."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess

import yaml

from local import addresses, builds, places, processes
from local.cluster import Cluster, NotReady, answers, comes
from local.kubeflow import objects
from local.kubeflow.objects import CHART_NAMESPACE, CHART_RELEASE, NAMESPACE, Obj
from local.progress import Part

PART = "kubeflow"
"""What rows of versions.toml and images.toml call it in `only`."""
CHART_IMAGES = ("operator", "minio", "mysql")
READY_SECONDS = 300


class Kubeflow:
    """Kubeflow Pipelines of one local cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def chart_images(self) -> tuple[str, ...]:
        """Images that the chart needs; none where it is installed, so that a changed operator is not built for it."""
        return () if self._cluster.supervisor() and self._chart_is_there() else CHART_IMAGES

    def _chart_is_there(self) -> bool:
        release = f"owner=helm,name={CHART_RELEASE},status=deployed"
        try:
            return bool(self._cluster.kubectl("get", "secrets", "-n", CHART_NAMESPACE, "-l", release, "-o", "name"))
        except NotReady:
            return False

    def parts(self, images: list[str], chart_images: tuple[str, ...]) -> list[Part]:
        """What comes after the cluster's own parts; `images` are all that the pods of it need."""
        chart = [f"import {name}" for name in chart_images]
        return [
            Part("kubeflow manifests", self._manifests, needs=("packages",)),
            Part("chart", self.install_chart, needs=("storage class", "contour", "scheduler", "build helm", *chart)),
            Part(
                "kubeflow",
                self.install,
                needs=("chart", "kubeflow manifests", *(f"import {name}" for name in images)),
            ),
        ]

    def _manifests(self) -> str:
        return f"{len(builds.manifests('kubeflow')) + len(builds.manifests('argo'))} files"

    def install_chart(self) -> str:
        """Install Trainyard where it is not: whoever comes later upgrades this release."""
        state = self._chart_state()
        if state == "pending-install" and not _helm_runs():
            # The one who installed it was killed; its volumes and passwords stay.
            self._helm("uninstall", CHART_RELEASE, "--wait")
            state = ""
        if state not in ("", "failed"):
            return f"already there ({state})"
        chart = places.CHECKOUT / "charts/trainyard"
        self._helm(
            *("upgrade", "--install", CHART_RELEASE, str(chart), "--create-namespace"),
            *("--values", str(chart / "ci/local-values.yaml")),
            *("--set", f"prometheus.url={addresses.PROMETHEUS_URL}"),
            *("--wait", "--timeout", f"{READY_SECONDS * 2}s"),
        )
        return "installed"

    def _chart_state(self) -> str:
        releases = json.loads(self._helm("list", "--all", "--filter", f"^{CHART_RELEASE}$", "-o", "json"))
        return str(releases[0]["status"]) if releases else ""

    def _helm(self, *arguments: str) -> str:
        command = [str(builds.program("helm")), *arguments, "--namespace", CHART_NAMESPACE]
        env = {**os.environ, "KUBECONFIG": str(self._cluster.kubeconfig)}
        done = subprocess.run([*processes.BOUND, *command], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotReady(f"helm {arguments[0]}: {done.stderr.strip()[-800:]}")
        return done.stdout

    def install(self) -> str:
        """Apply everything and wait until it answers; harmless when done before."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        self._apply([namespace])
        upstream = [*builds.manifests("argo"), *builds.manifests("kubeflow")]
        texts = [file.read_text() for file in upstream if file.suffix == ".yaml"]
        self._apply([objects.placed(part) for text in texts for part in yaml.safe_load_all(text)])
        (config,) = (file for file in upstream if file.name == "config.json")
        self._prepare_store()
        self._prepare_database()
        self._apply(objects.objects(config.read_text()))
        for name in objects.deployment_names():
            self._kubectl("rollout", "status", f"deployment/{name}", f"--timeout={READY_SECONDS}s")
        self._until_it_answers()
        return addresses.KUBEFLOW_URL

    def _prepare_store(self) -> None:
        root = self._secret(f"{CHART_RELEASE}-minio", CHART_NAMESPACE)
        keys = {"accesskey": root["root-user"], "secretkey": root["root-password"]}
        self._apply([objects.secret(objects.STORE_SECRET, **keys)])

    def _prepare_database(self) -> None:
        """Make Kubeflow's user and both databases: its cache points from one into the other, so they live together."""
        found = self._secret(objects.MYSQL_SECRET, NAMESPACE)
        password = found.get("password") or secrets.token_hex(16)
        self._apply([objects.secret(objects.MYSQL_SECRET, username=objects.MYSQL_USER, password=password)])
        who = f"'{objects.MYSQL_USER}'@'%'"
        lines = [f"CREATE USER IF NOT EXISTS {who};", f"ALTER USER {who} IDENTIFIED BY '{password}';"]
        for name in objects.DATABASES:
            lines += [f"CREATE DATABASE IF NOT EXISTS {name};", f"GRANT ALL ON {name}.* TO {who};"]
        client = 'MYSQL_PWD="$MYSQL_ROOT_PASSWORD" exec mysql --host=127.0.0.1 --user=root'
        pod = f"{CHART_RELEASE}-mysql-0"
        self._cluster.kubectl(
            *("exec", "-i", "-n", CHART_NAMESPACE, pod, "--", "sh", "-c", client), given="\n".join(lines)
        )

    def _secret(self, name: str, namespace: str) -> dict[str, str]:
        text = self._cluster.kubectl("get", "secret", name, "-n", namespace, "-o", "json", "--ignore-not-found")
        data = json.loads(text)["data"] if text else {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def _until_it_answers(self) -> None:
        if not comes(lambda: answers(f"{addresses.KUBEFLOW_URL}/apis/v2beta1/healthz"), READY_SECONDS):
            raise NotReady(f"{addresses.KUBEFLOW_URL} does not answer; see `kubectl -n {NAMESPACE} logs`")

    def _apply(self, parts: list[Obj]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": parts}
        self._kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=json.dumps(listed))

    def _kubectl(self, *arguments: str, given: str | None = None) -> str:
        return self._cluster.kubectl("-n", NAMESPACE, *arguments, given=given)


def deployments(cluster: Cluster) -> list[tuple[str, str, str]]:
    """Name, state and image of each Deployment of Kubeflow; empty where it is not installed."""
    text = cluster.kubectl("get", "deployments", "-n", NAMESPACE, "--request-timeout=5s", "-o", "json")
    return [_row(one) for one in json.loads(text)["items"]]


def _row(deployment: Obj) -> tuple[str, str, str]:
    status = deployment.get("status", {})
    state = "running" if status.get("availableReplicas") else "not ready"
    return deployment["metadata"]["name"], state, deployment["spec"]["template"]["spec"]["containers"][0]["image"]


def _helm_runs() -> bool:
    return any(command[:1] and command[0].endswith("/helm") for _, command in processes.running())

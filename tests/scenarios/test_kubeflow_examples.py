"""The examples of examples/kubeflow, applied as docs/kubeflow.md says; the model trained there is served here."""

import json

import pytest
import yaml

from tests.scenarios.cluster import ROOT, Cluster, wait_until
from tests.scenarios.step_images import step_images

__all__ = ["step_images"]  # a fixture
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500), pytest.mark.usefixtures("step_images")]
EXAMPLES = ROOT / "examples/kubeflow"
CUSTOMERS = [[1, 110.0, 6, 4, 1], [70, 25.0, 0, 0, 24]]  # one who leaves, one who stays


def newest_run(ns: Cluster, pipeline: str) -> str:
    """Wait for the run that the applied pipeline starts by itself; return its name."""

    def name() -> str | None:
        found = ns.get("trainingpipeline", pipeline) or {}
        return found.get("status", {}).get("lastRun") or None

    return wait_until(f"a run of {pipeline}", name, 120)


def test_two_steps(kubeflow_ns: Cluster) -> None:
    kubeflow_ns.kubectl("create", "configmap", "two-steps", f"--from-file={EXAMPLES / 'two-steps.yaml'}")
    kubeflow_ns.kubectl("apply", "-f", str(EXAMPLES / "two-steps-pipeline.yaml"))
    run = newest_run(kubeflow_ns, "two-steps")
    kubeflow_ns.wait("trainingrun", run, "Succeeded", timeout=600)
    version = kubeflow_ns.wait("modelversion", run, "Ready")
    assert version["spec"]["metrics"] == {"mean": "3", "examples": "3"}


def test_churn_from_data_to_live_traffic(kubeflow_ns: Cluster) -> None:
    kubeflow_ns.kubectl("apply", "-k", str(EXAMPLES))
    run = newest_run(kubeflow_ns, "churn")
    kubeflow_ns.wait("trainingrun", run, "Succeeded", timeout=900)
    version = kubeflow_ns.wait("modelversion", run, "Ready")
    metrics = version["spec"]["metrics"]
    assert float(metrics["auc"]) >= 0.85
    rollout = yaml.safe_load((ROOT / "examples/quickstart/rollout.yaml").read_text())
    rollout["metadata"] = {"name": "churn"}
    rollout["spec"]["model"] = "churn"
    rollout["spec"]["target"]["kubernetes"]["traffic"]["hostnames"] = [f"churn.{kubeflow_ns.namespace}.example.com"]
    kubeflow_ns.apply(rollout)
    kubeflow_ns.wait("rollout", "churn", "Ready", timeout=400)
    assert predicted(kubeflow_ns) == (True, False)


def predicted(ns: Cluster) -> tuple[bool, ...]:
    """Ask the served model, inside one of its own pods, whether the two customers leave."""
    (pod, *_) = ns.list("pods", "trainyard.dev/rollout=churn")
    ask = (
        "import json, sys, urllib.request as u;"
        "body = json.dumps({'instances': json.loads(sys.argv[1])}).encode();"
        "print(u.urlopen('http://127.0.0.1:8080/v1/models/churn:predict', body).read().decode())"
    )
    said = ns.kubectl("exec", pod["metadata"]["name"], "--", "python", "-c", ask, json.dumps(CUSTOMERS))
    return tuple(probability > 0.5 for probability in json.loads(said)["predictions"])

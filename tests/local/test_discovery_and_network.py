"""What Prometheus is told of pods, and which packet rules `down` keeps."""

from pathlib import Path
from typing import Any

from local import discovery, monitoring, network
from local.certificates import Pair


def pod(**changes: Any) -> dict[str, Any]:
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"} | changes.pop("annotations", {})
    status = {"podIP": "10.244.0.9", "phase": "Running"} | changes.pop("status", {})
    labels = {"trainyard.dev/rollout": "fraud", "trainyard.dev/version": "v2", "app.kubernetes.io/name": "x"}
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "1", "labels": labels, "annotations": annotations},
        "status": status,
    }


def test_an_annotated_pod_becomes_a_target_with_the_labels_of_kubernetes_discovery():
    found = discovery.target(pod())
    assert found is not None
    assert found["targets"] == ["10.244.0.9:8080"]
    assert found["labels"]["__metrics_path__"] == "/metrics"
    assert found["labels"]["__meta_kubernetes_namespace"] == "n"
    assert found["labels"]["__meta_kubernetes_pod_label_trainyard_dev_rollout"] == "fraud"
    assert found["labels"]["__meta_kubernetes_pod_labelpresent_trainyard_dev_rollout"] == "true"


def test_the_path_is_the_annotations():
    found = discovery.target(pod(annotations={"prometheus.io/path": "/other"}))
    assert found is not None
    assert found["labels"]["__metrics_path__"] == "/other"


def test_pods_that_cannot_or_shall_not_be_scraped_are_left_out():
    assert discovery.target(pod(annotations={"prometheus.io/scrape": "false"})) is None
    assert discovery.target(pod(annotations={"prometheus.io/port": ""})) is None
    assert discovery.target(pod(status={"podIP": None})) is None
    assert discovery.target(pod(status={"phase": "Succeeded"})) is None


def test_models_are_labelled_from_pod_labels_only(tmp_path: Path):
    client = Pair(tmp_path / "c", tmp_path / "k")
    jobs = {job["job_name"]: job for job in monitoring.configuration(tmp_path, tmp_path, client)["scrape_configs"]}
    assert set(jobs) == {"trainyard-models", "trainyard-operator", "envoy", "kubelet"}
    models = jobs["trainyard-models"]
    assert models["honor_labels"] is False
    assert jobs["trainyard-operator"]["honor_labels"] is True
    targets = {rule.get("target_label") for rule in models["relabel_configs"]} - {None}
    assert targets == {"namespace", "pod", "rollout", "revision", "version", "model"}


RULES = """\
*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:CNI-0123456789abcdef01234567 - [0:0]
:MINE - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A PREROUTING -j MINE
-A POSTROUTING -s 10.244.0.5/32 -m comment --comment "name: \\"trainyard\\"" -j CNI-0123456789abcdef01234567
-A KUBE-SERVICES -j RETURN
COMMIT"""


def test_only_the_clusters_own_rules_are_taken_away():
    kept = network.without_ours(RULES.splitlines())
    assert kept == ["*nat", ":PREROUTING ACCEPT [0:0]", ":MINE - [0:0]", "-A PREROUTING -j MINE", "COMMIT"]

"""What the Job controller and a kubelet do, over the fake cluster: pods for Jobs, and statuses as scripted.

The statuses are those that a real kubelet writes (containerd, Kubernetes 1.34); the rig tests send the same ones to
a real API server.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.fakes.artifacts import FakeArtifacts, etag
from tests.fakes.cluster import FakeCluster
from trainyard import naming
from trainyard.systems.artifacts.datasets import Listing
from trainyard.systems.artifacts.port import Manifest, ManifestFile, ObjectInfo
from trainyard.systems.cluster.port import JOB, POD, Ref
from trainyard.systems.engine.job_workers import ANNOTATION_INDEX

IMAGE = "sha256:" + "a" * 64
ROWS = b"1,2\n"  # the data that the fake training reads, as s3://data/churn/rows.csv
DATASET = {
    "name": "train",
    "uri": "s3://data/churn/",
    "digest": Listing("s3://data/churn/", (ObjectInfo("rows.csv", len(ROWS), etag(ROWS)),)).digest,
}
FILES = (ManifestFile("model/saved_model.pb", 12, "b" * 64),)
MANIFEST = Manifest("SavedModel", FILES, {"auc": "0.91"}, {"datasets": [DATASET]})
Status = dict[str, Any]
Moment = Callable[[str], Status]  # the time as RFC 3339 -> the pod's status


def waiting(reason: str, message: str = "", container: str = "train") -> Moment:
    """A container that cannot begin."""
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    return lambda _at: _status("Pending", container, state)


def unschedulable(message: str) -> Moment:
    """No node takes the pod."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return lambda _at: {"phase": "Pending", "conditions": [condition]}


def running(container: str = "train") -> Moment:
    """A container that runs."""
    return lambda at: _status("Running", container, {"running": {"startedAt": at}})


def exited(code: int, message: str = "", reason: str = "", container: str = "train") -> Moment:
    """A container that ended."""

    def status(at: str) -> Status:
        terminated = {"exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error")}
        terminated |= {"startedAt": at, "finishedAt": at, **({"message": message} if message else {})}
        return _status("Succeeded" if code == 0 else "Failed", container, {"terminated": terminated})

    return status


def evicted(message: str) -> Moment:
    """The kubelet took the pod off its node; no container tells anything."""
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": message}
    return lambda _at: {"phase": "Failed", "reason": "Evicted", "message": message, "conditions": [condition]}


def lost() -> Moment:
    """The node is gone."""
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    condition |= {"message": "Taint manager: deleting due to NoExecute taint"}
    return lambda _at: {"phase": "Failed", "conditions": [condition]}


def _status(phase: str, container: str, state: Mapping[str, Any]) -> Status:
    told = [{"name": container, "state": dict(state), "imageID": f"localhost/image@{IMAGE}"}]
    return {"phase": phase, "containerStatuses": told}


@dataclass
class Kubelet:
    """One tick moves every pod one moment on in the script of its role; the last moment stays.

    `scripts`: role to moments, or `<role>-<n>` for the n-th pod, `@<n>` after either for an attempt. A publisher
    that exits 0 has stored `manifest` (None: nothing). `stops`: whether containers end when their pod is deleted.
    """

    cluster: FakeCluster
    artifacts: FakeArtifacts
    now: Callable[[], datetime]
    scripts: dict[str, list[Moment]] = field(
        default_factory=lambda: {
            "train": [running(), exited(0)],
            "publish": [running("publish"), exited(0, container="publish")],
        }
    )
    manifest: Manifest | None = MANIFEST
    stops: bool = True
    _moment: dict[str, int] = field(default_factory=dict)

    def tick(self) -> bool:
        """Let the Job controller, the kubelet and the garbage collector each do one thing; True if any did."""
        before = self.cluster._version
        for job in self.cluster.all(JOB):
            self._control(job)
        for pod in self.cluster.all(POD):
            self._run(pod)
        if self.stops:
            self._take_away()
        self.cluster.collect_garbage()
        return self.cluster._version != before

    def _control(self, job: Mapping[str, Any]) -> None:
        meta, spec = job["metadata"], job["spec"]
        if "deletionTimestamp" in meta or job.get("status", {}).get("conditions"):
            return
        pods = [p for p in self.cluster.all(POD, meta["namespace"]) if _owner(p) == meta["uid"]]
        if spec.get("suspend"):
            self._delete(pods)
            return
        phases = [p.get("status", {}).get("phase", "Pending") for p in pods]
        failed = phases.count("Failed")
        if phases.count("Succeeded") >= spec["completions"]:
            self._conclude(job, "Complete", "")
        elif why := _fails_for_good(spec, pods):
            self._fail(job, pods, why)
        elif failed > spec["backoffLimit"]:
            self._fail(job, pods, "Job has reached the specified backoff limit")
        else:
            self._create_pods(job, pods)

    def _fail(self, job: Mapping[str, Any], pods: list[Any], why: str) -> None:
        self._conclude(job, "Failed", why)
        self._delete([p for p in pods if p.get("status", {}).get("phase") not in ("Failed", "Succeeded")])

    def _delete(self, pods: list[Any]) -> None:
        for pod in pods:
            self.cluster.remove(_ref(POD, pod))

    def _conclude(self, job: Mapping[str, Any], kind: str, message: str) -> None:
        condition = {"type": kind, "status": "True", "message": message, "lastTransitionTime": self._stamp()}
        ended = {"completionTime": self._stamp()} if kind == "Complete" else {}
        self.cluster.edit(_ref(JOB, job), {"status": {"conditions": [condition], **ended}}, status=True)

    def _create_pods(self, job: Mapping[str, Any], pods: list[Any]) -> None:
        if job["spec"].get("completionMode") == "Indexed":
            there = {p["metadata"]["annotations"][ANNOTATION_INDEX] for p in pods}
            for index in range(job["spec"]["completions"]):
                if str(index) not in there:
                    self._create_pod(job, index, {ANNOTATION_INDEX: str(index)})
        elif all(p.get("status", {}).get("phase") == "Failed" for p in pods):
            self._create_pod(job, len(pods), {})

    def _create_pod(self, job: Mapping[str, Any], number: int, annotations: Mapping[str, str]) -> None:
        meta, template = job["metadata"], job["spec"]["template"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
        pod_meta = {
            "name": f"{meta['name']}-{number}",
            "namespace": meta["namespace"],
            "labels": template["metadata"]["labels"],
            "annotations": dict(annotations),
            "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
            "finalizers": ["test/kubelet"],  # a pod that runs goes when its kubelet lets it go
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": pod_meta, "spec": template["spec"]}
        self.cluster.seed(pod, status={"phase": "Pending"})

    def _run(self, pod: Mapping[str, Any]) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            return
        labels, number = pod["metadata"]["labels"], pod["metadata"]["name"].rpartition("-")[2]
        role, attempt = labels[naming.LABEL_ROLE], labels[naming.LABEL_ATTEMPT]
        names = (f"{role}-{number}@{attempt}", f"{role}@{attempt}", f"{role}-{number}", role)
        script = next((self.scripts[name] for name in names if name in self.scripts), [])
        at = self._moment.get(pod["metadata"]["uid"], 0)
        if at >= len(script):
            return
        self._moment[pod["metadata"]["uid"]] = at + 1
        status = script[at](self._stamp())
        before = {c["name"]: c for c in pod.get("status", {}).get("containerStatuses", ())}
        for told in status.get("containerStatuses", ()):
            _keep_start(told["state"], before.get(told["name"], {}).get("state", {}))
        if status["phase"] == "Succeeded":
            self._publish(pod)
        if "containerStatuses" in status and "initContainers" in pod["spec"]:
            status.setdefault("initContainerStatuses", [_fetched(self._stamp())])
        self.cluster.edit(_ref(POD, pod), {"status": status}, status=True)

    def _publish(self, pod: Mapping[str, Any]) -> None:
        env = {e["name"]: e.get("value") for e in pod["spec"]["containers"][0]["env"]}
        uri = env.get("TRAINYARD_ARTIFACT_URI")
        if uri and self.manifest is not None:
            self.artifacts.publish(uri, self.manifest)

    def _take_away(self) -> None:
        for pod in self.cluster.all(POD):
            if "deletionTimestamp" in pod["metadata"]:
                self.cluster.edit(_ref(POD, pod), {"metadata": {"finalizers": []}})

    def _stamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def environment(container: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rendered container's variables, JSON ones decoded."""
    pairs = {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}
    as_json = {
        name: json.loads(pairs[name]) for name in ("TRAINYARD_PARAMETERS", "TRAINYARD_DATASETS") if name in pairs
    }
    return {**pairs, **as_json}


def _fails_for_good(spec: Mapping[str, Any], pods: list[Any]) -> str:
    """Return what the Job controller says of the first pod that fits the Job's failure policy, "" for none."""
    rules = spec.get("podFailurePolicy", {}).get("rules", ())
    told = (
        f"Pod {pod['metadata']['namespace']}/{pod['metadata']['name']}-x matches FailJob rule at index {at}"
        for pod in pods
        for at, rule in enumerate(rules)
        if pod.get("status", {}).get("phase") == "Failed" and _fits(rule, pod["status"])
    )
    return next(told, "")


def _fits(rule: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    wanted = {c["type"] for c in rule.get("onPodConditions", ())}
    if wanted.intersection(c["type"] for c in status.get("conditions", ())):
        return True
    exits = rule.get("onExitCodes")
    ended = [c["state"].get("terminated", {}).get("exitCode") for c in status.get("containerStatuses", ())]
    codes = [code for code in ended if code]
    return exits is not None and any((code in exits["values"]) == (exits["operator"] == "In") for code in codes)


def _keep_start(state: dict[str, Any], before: Mapping[str, Any]) -> None:
    """What ended began when it was seen running."""
    if "terminated" in state and "running" in before:
        state["terminated"]["startedAt"] = before["running"]["startedAt"]


def _fetched(at: str) -> Status:
    terminated = {"exitCode": 0, "reason": "Completed", "startedAt": at, "finishedAt": at}
    return {"name": "data", "state": {"terminated": terminated}}


def _owner(pod: Mapping[str, Any]) -> str:
    return str(pod["metadata"]["ownerReferences"][0]["uid"])


def _ref(kind: Any, obj: Mapping[str, Any]) -> Ref:
    return Ref(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])

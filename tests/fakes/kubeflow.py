"""A Kubeflow Pipelines server over HTTP, with the real one's habits (training.md): runs are not idempotent.

`POST /runs` creates a Workflow first and a row second; a second one with the same id answers 500 and leaves two
Workflows. Workflows live in a fake cluster; `tick` is what Argo and the persistence agent do.
"""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Self

from aiohttp import web

from tests.fakes.cluster import FakeCluster
from trainyard.systems.cluster.port import WORKFLOW, Ref

NAMESPACE = "kubeflow"
ENDED = {"Succeeded": "SUCCEEDED", "Failed": "FAILED", "Error": "FAILED"}
Obj = dict[str, Any]


class Fault(Enum):
    """What is done to a request."""

    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"
    ERROR_BEFORE = "500 before"
    ERROR_AFTER = "500 after"
    LATE = "cut, and the work is done later"
    ORPHAN = "500 with a Workflow and without a row"
    BAD_MANIFEST = "500 that is permanent"


@dataclass
class FakeKubeflow:
    """The server. `away`: every connection is cut. `faults`: (method, path, fault) for the next matching requests."""

    cluster: FakeCluster
    now: Callable[[], datetime]
    runs: dict[str, Obj] = field(default_factory=dict)
    pipelines: dict[str, Obj] = field(default_factory=dict)
    versions: dict[str, Obj] = field(default_factory=dict)
    experiments: dict[str, Obj] = field(default_factory=dict)
    faults: list[tuple[str, str, Fault]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    posted: list[Obj] = field(default_factory=list)
    manifests: dict[str, str] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)  # the run id of every Workflow that there ever was
    away: bool = False
    holds: bool = False  # Argo does nothing
    message: str = ""  # what Argo says of a pod that waits, or that failed
    fails: bool = False
    waits: bool = False
    stays: bool = False  # what runs goes on running
    late: list[Callable[[], Any]] = field(default_factory=list)
    url: str = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    # ---- levers ----

    def workflows(self, run_id: str = "") -> list[Obj]:
        """Return the Workflows, of one run or of all."""
        found = [dict(w) for w in self.cluster.all(WORKFLOW, NAMESPACE)]
        return [w for w in found if run_id in ("", w["metadata"]["labels"]["pipeline/runid"])]

    def tick(self) -> None:
        """Let every Workflow move on by one, and its row with it; do what was late."""
        while self.late:
            self.late.pop(0)()
        for workflow in [] if self.holds else self.workflows():
            self._move(workflow)
        self._report()

    def delete(self, run_id: str) -> None:
        """Delete a run as a person does in the web page: the row and its Workflow."""
        self.runs.pop(run_id)
        for workflow in self.workflows(run_id):
            self.cluster.remove(ref(workflow))

    # ---- Argo and the agent ----

    def _move(self, workflow: Obj) -> None:
        phase = workflow.get("status", {}).get("phase", "")
        if phase in ENDED:
            return
        if workflow["spec"].get("activeDeadlineSeconds") == 0:
            self._become(workflow, "Failed", "Failed", "Stopped with strategy 'Terminate'")
        elif phase == "" or self.waits:
            self._become(workflow, "Running", "Pending" if self.waits else "Running", self.message)
        elif self.stays:
            return
        elif self.fails:
            self._become(workflow, "Failed", "Failed", self.message or "main: Error (exit code 1)")
        else:
            self._become(workflow, "Succeeded", "Succeeded", "")

    def _become(self, workflow: Obj, phase: str, pod: str, message: str) -> None:
        name = workflow["metadata"]["name"]
        status = {"phase": phase, "message": message, "nodes": nodes(name, pod, message, self._stamp())}
        self.cluster.edit(ref(workflow), {"status": status}, status=True)

    def _report(self) -> None:
        """What the persistence agent does: rows follow Workflows; a Workflow without a row is deleted."""
        for workflow in self.workflows():
            row = self.runs.get(workflow["metadata"]["labels"]["pipeline/runid"])
            phase = workflow.get("status", {}).get("phase", "")
            if row is None:
                self.cluster.remove(ref(workflow))
                continue
            self.manifests[row["run_id"]] = json.dumps(workflow)
            if phase in ENDED:
                row |= {"state": ENDED[phase], "finished_at": self._stamp()}
            elif phase and row["state"] == "PENDING":
                row["state"] = "RUNNING"

    # ---- HTTP ----

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        fault = self._fault(request.method, request.path_qs)
        if self.away or fault is Fault.CUT_BEFORE:
            return self._cut(request)
        if fault in (Fault.ERROR_BEFORE, Fault.BAD_MANIFEST):
            return _broken("invalid input error: Unknown template format" if fault is Fault.BAD_MANIFEST else "broken")
        return self._work(request, await self._body(request), fault)

    def _work(self, request: web.Request, body: Obj, fault: Fault | None) -> web.StreamResponse:
        if fault is Fault.LATE:
            self.late.append(lambda: self._answer(request.method, request, body))
            return self._cut(request)
        if fault is Fault.ORPHAN:
            self._new_workflow(body["run_id"])
            return _broken("killed")
        status, answer = self._answer(request.method, request, body)
        if fault is Fault.CUT_AFTER:
            return self._cut(request)
        return _broken("broken") if fault is Fault.ERROR_AFTER else web.json_response(answer, status=status)

    def _fault(self, method: str, path: str) -> Fault | None:
        for rule in self.faults:
            if rule[0] == method and re.search(rule[1], path):
                self.faults.remove(rule)
                return rule[2]
        return None

    @staticmethod
    def _cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    @staticmethod
    async def _body(request: web.Request) -> Obj:
        if request.content_type == "multipart/form-data":
            form = await request.post()
            file = form["uploadfile"]
            assert isinstance(file, web.FileField)
            return {"package": file.file.read().decode()}
        text = await request.text()
        return dict(json.loads(text)) if text else {}

    def _answer(self, method: str, request: web.Request, body: Obj) -> tuple[int, Obj]:
        path = request.path.removeprefix("/apis/v2beta1/")
        if path == "runs":
            return self._create_run(body)
        if path.startswith("runs/"):
            run_id, _, verb = path.removeprefix("runs/").partition(":")
            return self._terminate(run_id) if verb else self._row(run_id)
        if path.startswith("/apis/v1beta1/runs/"):
            return self._details(path.removeprefix("/apis/v1beta1/runs/"))
        if path == "pipelines/upload_version":
            return self._upload(request.query["name"], request.query["pipelineid"], body["package"])
        if path.endswith("/versions"):
            return self._listed(self.versions, "pipeline_versions", request)
        rows = {"pipelines": self.pipelines, "experiments": self.experiments}[path]
        return self._listed(rows, path, request) if method == "GET" else self._created(rows, path[:-1], body)

    def _create_run(self, body: Obj) -> tuple[int, Obj]:
        run_id = body["run_id"]
        reference = body["pipeline_version_reference"]
        if reference["pipeline_version_id"] not in {v["pipeline_version_id"] for v in self.versions.values()}:
            return 404, {"code": 5, "message": "PipelineVersion not found"}
        self.posted.append(body)
        self._new_workflow(run_id)
        if run_id in self.runs:
            told = f"Duplicate entry '{run_id}' for key 'PRIMARY'"
            return 500, {"code": 13, "message": "Failed to create a run", "details": [{"message": told}]}
        self.runs[run_id] = {"run_id": run_id, "state": "PENDING", "created_at": self._stamp(), **body}
        return 200, self.runs[run_id]

    def _new_workflow(self, run_id: str) -> None:
        self.created.append(run_id)
        name = f"two-steps-{len(self.created)}"
        meta = {"name": name, "namespace": NAMESPACE, "labels": {"pipeline/runid": run_id}}
        self.cluster.seed({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": meta, "spec": {}})

    def _row(self, run_id: str) -> tuple[int, Obj]:
        if run_id not in self.runs:
            return 404, {"code": 5, "message": f"Run {run_id} not found"}
        return 200, self.runs[run_id]

    def _details(self, run_id: str) -> tuple[int, Obj]:
        if run_id not in self.runs:
            return 404, {"code": 5, "message": f"Run {run_id} not found"}
        manifest = self.manifests.get(run_id, "")
        return 200, {"run": {"id": run_id}, "pipeline_runtime": {"workflow_manifest": manifest}}

    def _terminate(self, run_id: str) -> tuple[int, Obj]:
        if run_id not in self.runs:
            return 404, {"code": 5, "message": "not found"}
        if self.runs[run_id]["state"] not in ("PENDING", "RUNNING"):
            return 400, {"code": 3, "message": "Row not found"}
        self.runs[run_id]["state"] = "CANCELING"
        for workflow in self.workflows(run_id):
            self.cluster.edit(ref(workflow), {"spec": {"activeDeadlineSeconds": 0}})
        if not self.workflows(run_id):
            return 500, {"code": 13, "message": "error terminating its workflow: not found"}
        return 200, {}

    def _upload(self, name: str, pipeline: str, package: str) -> tuple[int, Obj]:
        if name in self.versions:
            return 409, {"error_message": "Failed to create a pipeline version. The pipeline already exists."}
        row = {"pipeline_version_id": str(uuid.uuid4()), "display_name": name, "pipeline_id": pipeline}
        self.versions[name] = row | {"package": package}
        return 200, row

    def _created(self, rows: dict[str, Obj], kind: str, body: Obj) -> tuple[int, Obj]:
        name = body["display_name"]
        if name in rows:
            return 409, {"code": 6, "message": "Already exist"}
        rows[name] = {**body, f"{kind}_id": str(uuid.uuid4())}
        return 200, rows[name]

    @staticmethod
    def _listed(rows: dict[str, Obj], key: str, request: web.Request) -> tuple[int, Obj]:
        (predicate,) = json.loads(request.query["filter"])["predicates"]
        found = rows.get(predicate["string_value"])
        return 200, {key: [found]} if found else {}

    def _stamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _broken(told: str) -> web.Response:
    return web.json_response({"code": 13, "message": told, "details": [{"message": told}]}, status=500)


def nodes(name: str, phase: str, message: str, at: str) -> Obj:
    """Return the nodes of a Workflow of two steps: `make` is done, `shout` is at this phase. Shape of Argo 3.6."""
    ended = phase in ENDED

    def node(key: str, kind: str, shown: str, boundary: str = "", **more: Any) -> Obj:
        told: Obj = {"id": key, "type": kind, "displayName": shown, "phase": "Succeeded", "startedAt": at}
        return told | {"boundaryID": boundary, "finishedAt": at} | more

    found = [
        node(name, "DAG", name),
        node(f"{name}-1", "Pod", "root-driver", name),
        node(f"{name}-2", "DAG", "root", name),
    ]
    for task, last in (("make", False), ("shout", True)):
        own = {"phase": phase, "message": message, "finishedAt": at if ended else None} if last else {}
        found.append(node(f"{name}-{task}-d", "Pod", f"{task}-driver", f"{name}-2"))
        found.append(
            node(f"{name}-{task}", "DAG", task, f"{name}-2", phase="Running" if last and not ended else "Succeeded")
        )
        found.append(node(f"{name}-{task}-e", "Pod", "executor", f"{name}-{task}", **own))
    return {one["id"]: one for one in found}


def ref(workflow: Obj) -> Ref:
    return Ref(WORKFLOW, workflow["metadata"]["namespace"], workflow["metadata"]["name"])

"""The Kubeflow engine: runs on a Kubeflow Pipelines server, each started exactly once (training.md).

`POST /runs` cannot be repeated, so it is announced in the TrainingRun before it is sent; until the server's own
timeout has passed after that, a run that is not there is looked for and not sent again. Wired in `wiring`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from trainyard.resources.kfp_package import Malformed
from trainyard.systems.artifacts.port import Artifacts
from trainyard.systems.bundle import Config, KubeflowConfig
from trainyard.systems.cluster.port import (
    JOB,
    POD,
    WORKFLOW,
    AlreadyExists,
    Cluster,
    Forbidden,
    Invalid,
    NotFound,
    Obj,
    Ref,
    Unavailable,
)
from trainyard.systems.engine import job_objects, job_pods, job_state, kubeflow_objects, kubeflow_state
from trainyard.systems.engine.job import JobEngine
from trainyard.systems.engine.kubeflow_api import ApiError, KubeflowApi
from trainyard.systems.engine.port import (
    Announce,
    EngineError,
    EngineRefused,
    EngineState,
    Outputs,
    Phase,
    RunRequest,
    Step,
    unannounced,
)

# Longer than Kubeflow's API server works on one request: after this, what it has not shown it will not show.
SETTLE_SECONDS = 300.0
LOOK_SECONDS = 10.0  # Workflows are watched where they can be; rows never are
RUN_LABEL = "pipeline/runid"
MAIN = "main"  # the container of a step
QUIET = (Phase.SUCCEEDED, Phase.FAILED)

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class _Found:
    """What Kubeflow has of a run: its row, its Workflow; readable: whether Workflows could be looked at."""

    row: Obj | None
    workflow: Obj | None
    readable: bool

    @property
    def nothing(self) -> bool:
        return self.row is None and self.workflow is None

    @property
    def is_deleted(self) -> bool:
        """The Workflow comes before the row and goes after the row tells the end."""
        return (
            self.row is not None and self.workflow is None and self.readable and not kubeflow_state.has_ended(self.row)
        )


class KubeflowEngine:
    """See the port."""

    def __init__(
        self,
        cluster: Cluster,
        artifacts: Artifacts,
        config: Config,
        api: KubeflowApi,
        clock: Clock,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        assert config.kubeflow is not None  # noqa: S101 - wired only where it is configured
        self._kubeflow: KubeflowConfig = config.kubeflow
        self._cluster = cluster
        self._config = config
        self._api = api
        self._clock = clock
        self._settle_seconds = settle_seconds
        self._jobs = JobEngine(cluster, artifacts, config)

    async def start(self, request: RunRequest, announce: Announce = unannounced) -> None:
        """Look for the run; send it once where there is none; publish what it left; see the port."""
        async with _as_engine_errors():
            found = await self._find(request)
            if found.nothing and not self._is_sent(request):
                await self._send(request, announce)
            elif not found.nothing and (await self._state(request, found)).due:
                await self._publish(request)

    async def state(self, request: RunRequest) -> EngineState:
        """Read it from the Workflow where that can be read, from the API where not; see the port."""
        async with _as_engine_errors():
            state = await self._state(request, await self._find(request))
            state = state if state.phase is Phase.ABSENT else replace(state, url=self._kubeflow.page_of(request.id))
            return state if state.phase in QUIET else replace(state, look_again=LOOK_SECONDS)

    async def cancel(self, request: RunRequest) -> bool:
        """Terminate the run, delete what publishes it, and say whether all of it has ended; see the port."""
        quiet = await self._jobs.cancel(request)
        async with _as_engine_errors():
            found = await self._find(request)
            if found.nothing:
                return quiet and (request.known or not self._is_sent(request))
            if kubeflow_state.run_state((), found.row, found.workflow).phase in QUIET or self._is_gone(found):
                return quiet
            await self._stop(request, found)
            return False

    async def outputs(self, request: RunRequest) -> Outputs | None:
        """Read the manifest that the publisher wrote; see the port. A run without modelOutput has no artifact."""
        async with _as_engine_errors():
            images = await self._images(request)
            if not kubeflow_objects.makes_model(request):
                row = await self._api.run(request.id) or {}
                return Outputs("", "", "", 0, image_digests=images, completed_at=_whole_seconds(row.get("finished_at")))
        published = await self._jobs.outputs(request)
        return None if published is None else replace(published, image_digests=images)

    # ---- starting ----

    def _is_sent(self, request: RunRequest) -> bool:
        """Whether it was announced so lately that it may still appear."""
        return self._is_recent(request.announced)

    def _is_recent(self, moment: str) -> bool:
        """Whether the server may still be at work on what was asked then. A time in the future counts as now."""
        try:
            at = datetime.fromisoformat(moment)
        except ValueError:
            return False
        return (self._clock() - at).total_seconds() < self._settle_seconds

    async def _send(self, request: RunRequest, announce: Announce) -> None:
        """Prepare what may be repeated, announce, and send once. Raises EngineRefused where it never will be taken."""
        body = await self._prepare(request)
        await announce(self._stamp())
        try:
            await self._api.create_run(body)
        except ApiError as error:
            await self._sort_out(request, error, announce)

    async def _prepare(self, request: RunRequest) -> dict[str, Any]:
        """Create or adopt pipeline, version and experiment: all named by what they are, so it can be repeated."""
        many = self._kubeflow.multi_user
        namespace = request.namespace if many else ""
        try:
            package = kubeflow_objects.prepared(request)
            name = kubeflow_objects.pipeline_name(request, many)
            about = f"TrainingPipeline {request.namespace}/{request.pipeline}"
            pipeline = await self._api.pipeline(name, namespace, about)
            version = await self._api.version(pipeline, package.digest.removeprefix("sha256:"), package.text)
            experiment = await self._api.experiment(kubeflow_objects.experiment_name(request, many), namespace)
        except Malformed as error:
            raise EngineRefused(f"The package cannot be run: {error}.", self._stamp()) from error
        except ApiError as error:
            if error.permanent:
                raise EngineRefused(str(error), self._stamp()) from error
            raise
        return kubeflow_objects.run_body(request, pipeline, version, experiment)

    async def _sort_out(self, request: RunRequest, error: ApiError, announce: Announce) -> None:
        """What the answer to a start that failed means. Only what surely started nothing may be tried again soon."""
        if error.permanent and (await self._find(request)).nothing:
            raise EngineRefused(str(error), self._stamp()) from error
        if not error.done:
            await announce("")
        raise error

    def _is_gone(self, found: _Found) -> bool:
        """Whether nothing runs of it any more: its Workflow is gone, or was never there as far as can be seen.

        A Workflow that is there is reported within seconds, and its run's termination reaches it.
        """
        never_seen = kubeflow_state.is_never_seen(found.row, found.workflow) and not found.readable
        made = str((found.row or {}).get("created_at", ""))
        return found.is_deleted or (never_seen and not self._is_recent(made))

    # ---- looking ----

    async def _find(self, request: RunRequest) -> _Found:
        """Look for row and Workflow, in this order; what contradicts each other is looked at again."""
        row = await self._api.run(request.id)
        workflow, readable = await self._workflow(request)
        found = _Found(row, workflow, readable)
        if found.is_deleted:  # or the row told the end, and the Workflow went, in between
            found = _Found(await self._api.run(request.id), workflow, readable)
        if found.row is not None and found.workflow is None and not found.is_deleted:
            found = replace(found, workflow=await self._api.workflow(request.id))
        return found

    async def _workflow(self, request: RunRequest) -> tuple[Obj | None, bool]:
        """Return the run's Workflow, and whether it could be looked for; what is not in the store is sought live."""
        if not self._kubeflow.workflows:
            return None, False
        namespace, labels = self._kubeflow.workflows_of(request.namespace), {RUN_LABEL: request.id}
        try:
            found = await self._cluster.list(WORKFLOW, namespace, labels)
            found = found or await self._cluster.list(WORKFLOW, namespace, labels, live=True)
        except Forbidden:
            return None, False
        oldest = min(found, key=lambda w: str(w["metadata"].get("creationTimestamp", "")), default=None)
        return oldest, True

    async def _state(self, request: RunRequest, found: _Found) -> EngineState:
        if found.nothing:
            if not request.known and self._is_sent(request):
                return EngineState(Phase.PENDING, kubeflow_state.SUBMITTED, kubeflow_state.SENT)
            return EngineState(Phase.ABSENT)
        if self._is_gone(found):  # never started again; what was never shown cannot be called lost
            lost = EngineState(Phase.FAILED, "StepFailed", kubeflow_state.DELETED)
            return EngineState(Phase.ABSENT) if request.known else lost
        state = kubeflow_state.run_state(kubeflow_objects.tasks(request), found.row, found.workflow)
        if state.phase is Phase.FAILED:
            return replace(state, released=True)
        if state.phase is not Phase.SUCCEEDED or not kubeflow_objects.makes_model(request):
            return state
        labels = job_objects.identity_labels(request)
        jobs = await self._cluster.list(JOB, request.namespace, labels)
        jobs = jobs or await self._cluster.list(JOB, request.namespace, labels, live=True)
        return publishing(state.steps, jobs, await self._cluster.list(POD, request.namespace, labels))

    async def _images(self, request: RunRequest) -> tuple[str, ...]:
        """Return the digests of the images that the steps ran, as far as their pods are still there to tell."""
        namespace = self._kubeflow.workflows_of(request.namespace)
        try:
            pods = await self._cluster.list(POD, namespace, {RUN_LABEL: request.id}, live=True)
        except Forbidden:
            return ()
        return tuple(sorted({job_pods.image_digest(pod, MAIN) for pod in pods} - {""}))

    # ---- publishing, stopping ----

    async def _publish(self, request: RunRequest) -> None:
        try:
            await self._cluster.create(kubeflow_objects.publish_job(request, self._config))
        except AlreadyExists:
            return  # of the run's own name and attempt

    async def _stop(self, request: RunRequest, found: _Found) -> None:
        """Terminate by the API. A Workflow without a row is unknown to the API: it is deleted."""
        if found.row is not None:
            await self._api.terminate(request.id)
        elif found.workflow is not None:
            meta = found.workflow["metadata"]
            await self._cluster.delete(Ref(WORKFLOW, meta["namespace"], meta["name"]), uid=meta.get("uid"))

    def _stamp(self) -> str:
        return self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")


def publishing(steps: tuple[Step, ...], jobs: tuple[Obj, ...], pods: tuple[Obj, ...]) -> EngineState:
    """Return where a run is whose steps are done: its publisher to come, at work, or ended. Pure."""
    part = job_state.parts(jobs, pods)[1]
    if part.job is None:
        return EngineState(Phase.RUNNING, steps=(*steps, Step(job_objects.PUBLISH, Phase.PENDING)), due=True)
    step = job_state.publish_step(part)
    collected = job_pods.step(kubeflow_objects.COLLECT, part.newest) if part.newest else None
    if collected is not None and collected.state is Phase.FAILED:
        step = replace(step, message=collected.message, exit_code=collected.exit_code)
    elif collected is not None and step.state is Phase.PENDING and collected.state is not Phase.SUCCEEDED:
        step = replace(collected, name=step.name)
    told = (*steps, step)
    if step.state is Phase.SUCCEEDED:
        return EngineState(Phase.SUCCEEDED, steps=told)
    if step.state is Phase.FAILED:
        return EngineState(Phase.FAILED, "PublishFailed", step.message, told)
    waits = step.state is Phase.PENDING
    since = (part.newest or part.job)["metadata"].get("creationTimestamp") if waits else None
    reason, message = (step.reason, step.message) if waits else ("", "")
    return EngineState(Phase.RUNNING, reason, message, told, waiting_since=since)


@asynccontextmanager
async def _as_engine_errors() -> AsyncIterator[None]:
    """Turn what Kubeflow or the API server refuses or does not answer into the port's own error."""
    try:
        yield
    except ApiError as error:
        raise EngineError(str(error)) from error
    except Unavailable as error:
        raise EngineError("The Kubernetes API does not answer.") from error
    except (Forbidden, Invalid, NotFound) as error:
        raise EngineError(job_pods.shortened(f"The Kubernetes API refuses: {error}")) from error


def _whole_seconds(moment: Any) -> str | None:
    return str(moment) if moment else None

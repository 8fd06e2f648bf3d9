"""The namespace of `tests.golden.training.world`, with a Kubeflow server on which its pipelines run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from tests.fakes.kubeflow import NAMESPACE as KUBEFLOW
from tests.fakes.kubeflow import FakeKubeflow
from tests.fakes.kubelet import MANIFEST
from tests.golden.training.world import World
from tests.scenarios.kubeflow import two_steps
from trainyard.resources.kfp_package import KfpPackage
from trainyard.systems.bundle import Config, KubeflowConfig
from trainyard.systems.engine.kubeflow import KubeflowEngine
from trainyard.systems.engine.kubeflow_api import KubeflowApi

PACKAGE = KfpPackage(two_steps(), {}).text
ENGINE: dict[str, Any] = {
    "kubeflow": {"package": {"inline": PACKAGE}, "modelOutput": {"task": "shout", "artifact": "model"}}
}
SPEC: dict[str, Any] = {
    "engine": ENGINE,
    "parameters": [{"name": "text", "type": "String", "default": "hello"}],
    "data": {"datasets": [{"name": "train", "uri": "s3://data/churn/"}]},
    "pendingTimeoutSeconds": 600,
}
VISIT_SECONDS = 20


@dataclass
class KillingApi(KubeflowApi):
    """A client that is killed around its j-th write: `before` it is sent, or after the server has done it."""

    kill_at: int = 0
    before: bool = False
    kills: type[Exception] = Exception
    writes: int = 0

    async def _ask(self, method: str, path: str, **more: Any) -> Mapping[str, Any]:
        if method == "GET":
            return await super()._ask(method, path, **more)
        self.writes += 1
        mine = self.writes == self.kill_at
        if mine and self.before:
            raise self.kills
        answer = await super()._ask(method, path, **more)
        if mine:
            raise self.kills
        return answer


@dataclass
class KubeflowWorld(World):
    """A World whose pipelines run on a fake Kubeflow. Needs `enter` before and `leave` after."""

    kill_api_at: int = 0
    kill_before: bool = False
    workflows_readable: bool = True

    async def enter(self) -> "KubeflowWorld":
        """Start the server and wire the engine."""
        self.kubeflow = await FakeKubeflow(self.cluster, lambda: self.now).__aenter__()
        self.kubelet.manifest = replace(MANIFEST, details={"datasets": []})  # its publisher fetched no data
        seen = self.workflows_readable
        config = Config(
            "localhost/operator:1", {}, "models", "http://minio:9000",
            kubeflow=KubeflowConfig(self.kubeflow.url, KUBEFLOW, ("team",), workflows=seen, ui_url="https://kf"),
            data_locations=("s3://data/",),
        )  # fmt: skip
        self.api = KillingApi(self.kubeflow.url, kill_at=self.kill_api_at, before=self.kill_before, kills=self.fault)
        engine = KubeflowEngine(self.cluster, self.artifacts, config, self.api, lambda: self.now)
        engines = {**self.systems.engines, "kubeflow": engine}
        self.systems = replace(self.systems, engines=engines, config=config)
        return self

    async def leave(self) -> None:
        """Stop the server."""
        await self.api.close()
        await self.kubeflow.__aexit__()

    async def go_on(self, rounds: int) -> None:
        """Let everybody work for so many rounds."""
        for _ in range(rounds):
            for key in self.keys():
                await self.visit(key, VISIT_SECONDS)
            self.kubelet.tick()
            self.kubeflow.tick()

    async def wait_until_said(self, reason: str, rounds: int = 60) -> dict[str, Any]:
        """Go on until the only run's Succeeded condition has this reason; return the run."""
        for _ in range(rounds):
            await self.go_on(1)
            run = self.look(self.only_run())
            told = [c for c in run.get("status", {}).get("conditions", ()) if c["type"] == "Succeeded"]
            if told and told[0]["reason"] == reason:
                return run
        raise AssertionError(f"never {reason}:\n{self.text()}")

    def pass_time(self, seconds: int) -> None:
        """Let time pass in which nobody does anything."""
        self.now += timedelta(seconds=seconds)

    def started(self) -> list[str]:
        """Return the run id of every Workflow that there ever was, in order."""
        return self.kubeflow.created

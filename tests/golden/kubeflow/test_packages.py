"""Scenario 34 for packages: a changed ConfigMap is one run; a missing or broken one is said, and heals by itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import yaml

from tests.golden.kubeflow.world import SPEC, KubeflowWorld
from tests.scenarios.kubeflow import two_steps
from trainyard.reconciling.cycle import Cycle
from trainyard.systems.cluster.port import CONFIG_MAP, TRAINING_PIPELINE, TRAINING_RUN, Ref
from trainyard.training_pipeline.package import LOOK_AGAIN_SECONDS
from trainyard.training_pipeline.room import TrainingPipelineRoom

PACKAGE = Ref(CONFIG_MAP, "team", "pkg")
PIPELINE = Ref(TRAINING_PIPELINE, "team", "churn")


@asynccontextmanager
async def world() -> AsyncIterator[KubeflowWorld]:
    made = await KubeflowWorld().enter()
    engine = {"kubeflow": {**SPEC["engine"]["kubeflow"], "package": {"configMap": {"name": "pkg"}}}}
    made.pipeline(**{**SPEC, "engine": engine, "concurrency": "Allow"})
    try:
        yield made
    finally:
        await made.leave()


def text(description: str = "") -> str:
    package = two_steps()
    package["pipelineInfo"]["description"] = description
    return yaml.safe_dump(package)


def seed(made: KubeflowWorld, content: str) -> None:
    meta = {"name": "pkg", "namespace": "team"}
    made.cluster.seed({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"pipeline.yaml": content}})


def change(made: KubeflowWorld, content: str) -> None:
    made.cluster.edit(PACKAGE, {"data": {"pipeline.yaml": content}})


def accepted(made: KubeflowWorld) -> tuple[str, str]:
    told = next(c for c in made.look(PIPELINE)["status"]["conditions"] if c["type"] == "Accepted")
    return told["status"], told["reason"]


def runs(made: KubeflowWorld) -> int:
    return len(made.cluster.all(TRAINING_RUN))


async def test_a_changed_package_is_one_run() -> None:
    async with world() as made:
        seed(made, text())
        await made.go_on(12)
        assert (accepted(made), runs(made)) == (("True", "Accepted"), 1)
        first = made.look(PIPELINE)["status"]["packageDigest"]
        change(made, text("other"))
        await made.go_on(12)
        assert runs(made) == 2
        assert made.look(PIPELINE)["status"]["packageDigest"] != first
        change(made, text("other") + "# a comment is no change\n")
        await made.go_on(4)
        assert runs(made) == 2
        assert len(made.kubeflow.versions) == 2, "the version that the first run used is kept"


async def test_what_is_missing_or_broken_heals_by_itself() -> None:
    async with world() as made:
        await made.go_on(2)
        assert accepted(made) == ("False", "PackageNotFound")
        seed(made, "{")
        await made.go_on(2)
        assert accepted(made) == ("False", "PackageMalformed")
        platforms: dict[str, Any] = {"kubernetes": {"deploymentSpec": {"executors": {"exec-make": {"hostPath": 1}}}}}
        change(made, text() + "---\n" + yaml.safe_dump({"platforms": platforms}))
        await made.go_on(2)
        assert accepted(made) == ("False", "PackageRefused")
        assert runs(made) == 0
        change(made, text())
        await made.go_on(12)
        assert (accepted(made), runs(made)) == (("True", "Accepted"), 1)


async def test_it_is_looked_at_again_soon() -> None:
    async with world() as made:
        cycle = Cycle(TrainingPipelineRoom(), made.systems, made.cluster, None)
        for _ in range(3):
            outcome = await cycle.run(PIPELINE, made.now)
            assert outcome.revisit_after is not None
            assert outcome.revisit_after <= LOOK_AGAIN_SECONDS
            if made.cluster.look(PACKAGE) is None:
                seed(made, text())

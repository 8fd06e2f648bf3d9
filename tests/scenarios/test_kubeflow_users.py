"""Kubeflow in multi-user mode: runs live in their pipeline's own namespace, and Kubeflow says by a token who may."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.config import new_client_from_config

from tests.fakes.artifacts import FakeArtifacts
from tests.scenarios import kubeflow_users
from tests.scenarios.cluster import Cluster
from tests.scenarios.kubeflow import Kubeflow
from tests.scenarios.test_kubeflow import Life, request
from trainyard.systems.bundle import Config, KubeflowConfig
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.transport import Transport
from trainyard.systems.engine.kubeflow import KubeflowEngine
from trainyard.systems.engine.kubeflow_api import KubeflowApi
from trainyard.systems.engine.port import EngineError, Phase, RunRequest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
SETTLE_SECONDS = 20.0


@pytest.fixture(scope="module")
def user(kubeflow: Kubeflow, system: Cluster) -> Iterator[str]:
    """The namespace of a Kubeflow user; gone afterwards."""
    name = "kubeflow-user-1"
    head = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    kubeflow.cluster.apply(head, *kubeflow_users.kubeflow_roles())
    yield name
    kubeflow.cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="module")
def url(kubeflow: Kubeflow, user: str) -> Iterator[str]:
    """The multi-user server."""
    yield kubeflow_users.install(kubeflow.cluster, user)
    kubeflow_users.remove(kubeflow.cluster)


@pytest.fixture
def token(kubeflow: Kubeflow, tmp_path: Path) -> Path:
    """The operator's projected token."""
    file = tmp_path / "token"
    file.write_text(kubeflow_users.token(kubeflow.cluster))
    return file


@pytest.fixture
def engine(url: str, token: Path, cluster_env: dict[str, str]) -> Callable[[], Any]:
    """The engine as the operator's settings make it: multi-user, with the token's file."""

    @asynccontextmanager
    async def made() -> Any:
        login = await new_client_from_config(config_file=cluster_env["KUBECONFIG"])  # type: ignore[no-untyped-call] # no types there
        transport = Transport(login)
        settings = KubeflowConfig(url, multi_user=True, token_file=str(token))
        config = Config("none", {}, "trainyard", "", kubeflow=settings)
        api = KubeflowApi(url, str(token))
        clock = lambda: datetime.now(UTC)  # noqa: E731, TID251 - the server's time
        try:
            yield KubeflowEngine(KubernetesCluster(transport), FakeArtifacts(), config, api, clock, SETTLE_SECONDS)
        finally:
            await api.close()
            await transport.close()

    return made


def of(user: str) -> RunRequest:
    """A run of the user's. Not cached: the launcher would look for it on the server of namespace `kubeflow`."""
    plain = request()
    return replace(plain, namespace=user, spec={**plain.spec, "caching": False})


def rotate(file: Path, token: str) -> None:
    """Put another token into the file, as the kubelet does."""
    file.write_text(token)


async def test_a_run_lives_in_its_own_namespace(kubeflow: Kubeflow, user: str, engine: Callable[[], Any]) -> None:
    kubeflow_users.let_in(kubeflow.cluster, user)
    wanted = of(user)
    async with engine() as real:
        state = await Life(real, wanted).until(lambda seen: seen.phase is Phase.SUCCEEDED)
        assert [step.name for step in state.steps] == ["make", "shout"]
    mine = Cluster(kubeflow.cluster.env, user)
    assert len(mine.list("workflows.argoproj.io", f"pipeline/runid={wanted.id}")) == 1
    assert kubeflow.workflows(wanted.id) == []
    pods = mine.list("pods", f"pipeline/runid={wanted.id}")
    assert {pod["spec"]["serviceAccountName"] for pod in pods} == {kubeflow_users.RUNNER}


async def test_cancelled_it_ends_in_its_own_namespace(kubeflow: Kubeflow, user: str, engine: Callable[[], Any]) -> None:
    kubeflow_users.let_in(kubeflow.cluster, user)
    wanted = of(user)
    async with engine() as real:
        life = Life(real, wanted)
        await life.until(lambda seen: seen.phase in (Phase.PENDING, Phase.RUNNING))
        async with asyncio.timeout(120):
            while not await real.cancel(life.now):  # noqa: ASYNC110 - nothing tells when Kubeflow is done
                await asyncio.sleep(1)


async def test_where_kubeflow_says_no_nothing_is_started_until_it_says_yes(
    kubeflow: Kubeflow, user: str, engine: Callable[[], Any]
) -> None:
    Cluster(kubeflow.cluster.env, user).kubectl("delete", "rolebinding", "trainyard", "--ignore-not-found")
    wanted = of(user)
    async with engine() as real:
        life = Life(real, wanted)
        with pytest.raises(EngineError, match="Kubeflow answered 403"):
            await real.start(life.now, life.announce)
        assert life.announced == ""
        kubeflow_users.let_in(kubeflow.cluster, user)
        await life.until(lambda seen: seen.phase is Phase.SUCCEEDED)


async def test_the_token_is_read_anew(kubeflow: Kubeflow, user: str, token: Path, engine: Callable[[], Any]) -> None:
    kubeflow_users.let_in(kubeflow.cluster, user)
    wanted = replace(of(user), id=str(uuid.uuid4()))
    rotate(token, kubeflow_users.token(kubeflow.cluster, "https://kubernetes.default.svc"))
    async with engine() as real:
        life = Life(real, wanted)
        with pytest.raises(EngineError, match="Kubeflow answered 401"):
            await real.start(life.now, life.announce)
        rotate(token, kubeflow_users.token(kubeflow.cluster))
        await life.until(lambda seen: seen.phase is Phase.SUCCEEDED)

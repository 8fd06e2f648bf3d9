"""One API server for all rig tests that do not break it; those start their own."""

import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
from kubernetes import client, config

from local.rig import ApiServerRig
from tests.rig.kinds import CRDS, Api


@pytest.fixture(scope="session")
def rig() -> Iterator[ApiServerRig]:
    """Return a running API server."""
    with ApiServerRig() as started:
        yield started


@pytest.fixture(scope="session")
def kubectl(rig: ApiServerRig) -> Callable[..., str]:
    """`kubectl(...)` as the admin; the output, AssertionError with stderr where it fails."""

    def call(*arguments: str, stdin: str | None = None) -> str:
        command = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig), *arguments]
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.fixture(scope="session")
def crds(kubectl: Callable[..., str]) -> None:
    """Install our CRDs and wait until they are served."""
    kubectl("apply", "--server-side", "-f", str(CRDS))
    kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))


@pytest.fixture(scope="session")
def api(rig: ApiServerRig, crds: None) -> Api:
    """Return writes to the rig with our CRDs."""
    return Api(client.CustomObjectsApi(config.new_client_from_config(str(rig.kubeconfig))))  # type: ignore[no-untyped-call] # no types there


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Where processes are set up; they end with the test."""
    async with AsyncExitStack() as made:
        yield made

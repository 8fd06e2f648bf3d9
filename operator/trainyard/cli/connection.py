"""The way to the API server: kubeconfig, context and namespace as kubectl takes them. Used by every command."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config

from trainyard.cli.login import login
from trainyard.cli.problem import USAGE, Problem
from trainyard.cli.where import Where
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import ClusterError, Forbidden, Kind, NotFound, Obj, Ref, Unavailable
from trainyard.systems.cluster.transport import Transport

T = TypeVar("T")
_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@dataclass(frozen=True)
class Connection:
    """One API server and the namespace that is meant."""

    cluster: KubernetesCluster
    transport: Transport
    namespace: str

    async def find(self, kind: Kind, name: str) -> Obj:
        """Return an object of the namespace. Raises Problem where there is none."""
        found = await self.cluster.get(Ref(kind, self.namespace, name))
        if found is None:
            raise Problem(f"There is no {kind.kind} {name!r} in namespace {self.namespace!r}.")
        return found

    async def user(self) -> str:
        """Return who the API server takes us for; "" where it does not say."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            answer = await self.transport.request("POST", _REVIEW, body=body)
        except (Forbidden, NotFound):  # switched off, or an API server before 1.28
            return ""
        return str(answer.get("status", {}).get("userInfo", {}).get("username", ""))


def run(command: Coroutine[Any, Any, T]) -> T:
    """Run a command to its end. What the API server says against it becomes a Problem."""
    try:
        return asyncio.run(command)
    except Unavailable as error:
        raise Problem(f"The API server does not answer: {error}") from error
    except Forbidden as error:
        raise Problem(f"The API server refuses: {error}") from error
    except ClusterError as error:
        raise Problem(f"The API server says: {error}") from error


@asynccontextmanager
async def connected(where: Where) -> AsyncIterator[Connection]:
    """Connect as the kubeconfig says, or as a pod's service account where there is no kubeconfig."""
    api, namespace = await _login(where)
    transport = Transport(api)
    try:
        yield Connection(KubernetesCluster(transport), transport, where.namespace or namespace)
    finally:
        await transport.close()


async def _login(where: Where) -> tuple[ApiClient, str]:
    files = where.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    configuration = Configuration()
    if any(_is_there(file) for file in files.split(os.pathsep)):
        return await login(files, where.context, configuration)
    if where.kubeconfig or where.context:
        raise Problem(f"There is no kubeconfig {files}.", USAGE)
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # no types there
    except ConfigException as error:
        raise Problem(f"No API server: there is no kubeconfig {files}, and this is no pod.", USAGE) from error
    return ApiClient(configuration), "default"


def _is_there(file: str) -> bool:
    try:
        return bool(file) and Path(file).expanduser().exists()
    except (PermissionError, RuntimeError):  # not ours to look into; a user without a home
        return False

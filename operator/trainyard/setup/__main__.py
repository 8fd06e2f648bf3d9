"""`python -m trainyard.setup secrets|store`: run by the chart's setup Job, as often as it likes.

Reads its environment here and nowhere else. `secrets` runs before MinIO and MySQL can start, `store` once MinIO has.
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

from trainyard.setup.progress import SetupFailed
from trainyard.setup.secrets import Names, make_secrets
from trainyard.setup.store import make_store
from trainyard.systems.artifacts.administration import StoreAdministration, StoreRefused
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import ClusterError
from trainyard.systems.cluster.transport import Transport, connect

Environment = Mapping[str, str]

STEPS = ("secrets", "store")


def _names(env: Environment) -> Names:
    return Names(
        namespace=_needed(env, "TRAINYARD_SETUP_RELEASE_NAMESPACE"),
        mysql=env.get("TRAINYARD_SETUP_MYSQL_SECRET", ""),
        store=env.get("TRAINYARD_SETUP_STORE_SECRET", ""),
        operator=_needed(env, "TRAINYARD_SETUP_OPERATOR_SECRET"),
    )


def _needed(env: Environment, name: str) -> str:
    if not env.get(name):
        raise SetupFailed(f"{name} is not set")
    return env[name]


def _namespaces(env: Environment) -> tuple[str, ...]:
    listed = env.get("TRAINYARD_SETUP_NAMESPACES", "").split(",")
    return tuple(dict.fromkeys(name.strip() for name in listed if name.strip()))


def _store(env: Environment) -> StoreAdministration:
    return StoreAdministration(
        _needed(env, "TRAINYARD_STORE_ENDPOINT"),
        _needed(env, "MINIO_ROOT_USER"),
        _needed(env, "MINIO_ROOT_PASSWORD"),
    )


async def _run(step: str, env: Environment) -> None:
    names = _names(env)
    transport = Transport(await connect())
    try:
        cluster = KubernetesCluster(transport)
        if step == "secrets":
            await make_secrets(cluster, names)
        else:
            await make_store(cluster, _store(env), _needed(env, "TRAINYARD_STORE_BUCKET"), names, _namespaces(env))
    finally:
        await transport.close()


def main(arguments: Sequence[str], env: Environment) -> int:
    """Do one step; 0 when everything is there, 1 with a sentence on stderr."""
    if len(arguments) != 1 or arguments[0] not in STEPS:
        sys.stderr.write(f"usage: python -m trainyard.setup {'|'.join(STEPS)}\n")
        return 2
    try:
        asyncio.run(_run(arguments[0], env))
    except (SetupFailed, StoreRefused, ClusterError) as error:
        sys.stderr.write(f"setup {arguments[0]}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

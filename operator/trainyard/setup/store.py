"""The step `store`: bucket, users and policies of the chart's own MinIO, and each namespace's three Secrets.

S3 has no common way to make users; for a store of the platform's the platform makes the Secrets instead.
"""

import asyncio
import time
from collections.abc import Sequence

from trainyard import naming
from trainyard.setup.policies import Policy, data_policy, operator_policy, publisher_policy, reader_policy
from trainyard.setup.progress import SetupFailed, say
from trainyard.setup.secrets import ACCESS, SECRET_KEY, Names, kept, store_keys
from trainyard.systems.artifacts.administration import StoreAdministration
from trainyard.systems.cluster.port import Cluster

PATIENCE_SECONDS = 600.0
LOOK_SECONDS = 1.0
SAY_SECONDS = 10.0

ROLES = (
    (naming.SECRET_DATA, data_policy),
    (naming.SECRET_PUBLISHER, publisher_policy),
    (naming.SECRET_READER, reader_policy),
)


async def make_store(
    cluster: Cluster, store: StoreAdministration, bucket: str, release: Names, namespaces: Sequence[str]
) -> None:
    """Make what is missing. Raises SetupFailed, StoreRefused, ClusterError."""
    await _wait(store)
    if await asyncio.to_thread(store.make_bucket, bucket):
        say(f"made bucket {bucket}")
    await _identity(cluster, store, release.namespace, release.operator, operator_policy(bucket))
    for namespace in namespaces:
        for secret, policy in ROLES:
            await _identity(cluster, store, namespace, secret, policy(bucket, namespace))


async def _wait(store: StoreAdministration) -> None:
    """Wait until the store takes requests, and say why not meanwhile. Raises SetupFailed after ten minutes."""
    start = said = time.monotonic()
    while why := await asyncio.to_thread(store.why_not_ready):
        now = time.monotonic()
        if now - start > PATIENCE_SECONDS:
            raise SetupFailed(f"the store was not ready within {PATIENCE_SECONDS:.0f} s: {why}")
        if said == start or now - said >= SAY_SECONDS:
            said = now
            say(f"waiting for the store, {now - start:.0f} s: {why}")
        await asyncio.sleep(LOOK_SECONDS)
    say("the store is ready")


async def _identity(cluster: Cluster, store: StoreAdministration, namespace: str, secret: str, policy: Policy) -> None:
    """Make the user that a Secret names, with its policy; the Secret first, for its keys are the truth."""
    keys = await kept(cluster, namespace, secret, store_keys(namespace, secret))
    if keys[ACCESS] == store.user:
        say(f"Secret {namespace}/{secret} holds the store's own root user; no policy is set for it")
        return
    await asyncio.to_thread(store.allow, keys[ACCESS], keys[SECRET_KEY], f"{secret}.{namespace}", policy)
    say(f"user of {namespace}/{secret} may do what its policy says")

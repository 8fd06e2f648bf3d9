"""Secrets that are made once and never changed: passwords of the chart's own MySQL and MinIO, keys of the store.

Called by `__main__` (the step `secrets`) and by `store`.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from trainyard import naming
from trainyard.setup.progress import SetupFailed, say
from trainyard.systems.cluster.port import SECRET, AlreadyExists, Cluster, NotFound, Obj, Ref

ACCESS, SECRET_KEY = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"


@dataclass(frozen=True)
class Names:
    """The Secrets of the release; "" where the chart does not bring that part. store: MinIO's root identity."""

    namespace: str
    mysql: str
    store: str
    operator: str


async def make_secrets(cluster: Cluster, names: Names) -> None:
    """Make the release's Secrets that are not there yet. Raises SetupFailed, ClusterError."""
    if names.mysql:
        await kept(cluster, names.namespace, names.mysql, {"root-password": password(), "password": password()})
    if names.store:
        await kept(cluster, names.namespace, names.store, {"root-user": "trainyard-root", "root-password": password()})
        await kept(cluster, names.namespace, names.operator, store_keys(names.namespace, names.operator))


def password() -> str:
    """Return 128 random bits in letters and digits, which no shell, URL or configuration file takes for another."""
    return secrets.token_hex(16)


def store_keys(namespace: str, name: str) -> dict[str, str]:
    """Return a key pair for the store. The access key is derived, so a Secret made anew is the same user's."""
    return {ACCESS: f"trainyard-{naming.hash10([namespace, name])}", SECRET_KEY: secrets.token_hex(20)}


async def kept(cluster: Cluster, namespace: str, name: str, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return what the Secret holds, making it with `wanted` where it is not there; one that is there stays."""
    ref = Ref(SECRET, namespace, name)
    found = await cluster.get(ref, live=True)
    if found is None:
        try:
            found = await cluster.create(_secret(namespace, name, wanted))
            say(f"made Secret {namespace}/{name}")
        except AlreadyExists:
            found = await cluster.get(ref, live=True)
        except NotFound as error:
            raise SetupFailed(f"there is no namespace {namespace}") from error
    else:
        say(f"Secret {namespace}/{name} is there already and stays as it is")
    return _values(found or {}, namespace, name, wanted)


def _secret(namespace: str, name: str, values: Mapping[str, str]) -> Obj:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    meta = {"namespace": namespace, "name": name, "labels": dict(naming.MANAGED_BY)}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": meta, "data": data}


def _values(secret: Obj, namespace: str, name: str, wanted: Mapping[str, str]) -> dict[str, str]:
    data = secret.get("data") or {}
    try:
        return {key: base64.b64decode(data[key], validate=True).decode() for key in wanted}
    except (KeyError, binascii.Error, UnicodeDecodeError) as error:
        raise SetupFailed(f"Secret {namespace}/{name} has no proper {', '.join(wanted)}") from error

"""Whether a caller has proven itself, by the kind of proof that the trigger takes.

What is wrong with a trigger's own Secret is told to the log, never to the caller.
"""

import base64
import binascii
import hashlib
import hmac
import logging
from collections.abc import Mapping
from typing import Any

from trainyard import naming
from trainyard.events.delivery import Delivery
from trainyard.events.port import Issuers
from trainyard.resources.pods import SecretKey
from trainyard.resources.triggers import EventTrigger, OidcAuth
from trainyard.systems.cluster.port import SECRET, Cluster, Forbidden, Obj, Ref

SHORTEST_SECRET = 16  # bytes; what is shorter can be guessed

_log = logging.getLogger(__name__)


async def shared(delivery: Delivery, trigger: EventTrigger, cluster: Cluster, issuers: Issuers) -> str:
    """Return who proved itself by something else than a Kubernetes token, "" where nobody did. Raises Unable."""
    auth = trigger.auth
    if auth.bearer is not None:
        ref = auth.bearer.secret_ref
        secret = await _secret(delivery, ref, cluster)
        return f"bearer:{ref.name}/{ref.key}" if secret and same_text(delivery.bearer, secret) else ""
    if auth.hmac is not None:
        ref = auth.hmac.secret_ref
        secret = await _secret(delivery, ref, cluster)
        return f"hmac:{ref.name}/{ref.key}" if secret and is_signed(delivery, secret) else ""
    if auth.oidc is not None and delivery.bearer:
        claims = await issuers.claims(delivery.bearer, auth.oidc.issuer, auth.oidc.audience)
        return "" if claims is None else _subject(claims, auth.oidc)
    return ""


def same_text(given: str, secret: bytes) -> bool:
    """Compare in a time that tells nothing, not even a length."""
    ours, theirs = hashlib.sha256(secret).digest(), hashlib.sha256(given.encode(errors="replace")).digest()
    return hmac.compare_digest(ours, theirs)


def is_signed(delivery: Delivery, secret: bytes) -> bool:
    """Whether the body is signed as GitHub does it: X-Hub-Signature-256: sha256=<hex>."""
    given = delivery.headers.get("x-hub-signature-256", ())
    wanted = "sha256=" + hmac.new(secret, delivery.body, hashlib.sha256).hexdigest()
    return len(given) == 1 and hmac.compare_digest(wanted.encode(), given[0].strip().encode(errors="replace"))


def usable(secret: Obj, key: str) -> tuple[bytes, str]:
    """Return (the key's bytes, "") or (b"", why it cannot be used)."""
    labels = secret["metadata"].get("labels") or {}
    if labels.get(naming.LABEL_USABLE_BY_TRIGGERS) != "true":
        return b"", f"it is not labelled {naming.LABEL_USABLE_BY_TRIGGERS}=true"
    try:
        found = base64.b64decode((secret.get("data") or {}).get(key) or "", validate=True).rstrip(b"\r\n")
    except (binascii.Error, ValueError):
        found = b""
    if len(found) < SHORTEST_SECRET:
        return b"", f"its key {key} has fewer than {SHORTEST_SECRET} bytes"
    return found, ""


async def _secret(delivery: Delivery, ref: SecretKey, cluster: Cluster) -> bytes:
    """Return the shared secret, b"" where it cannot be used. Raises Unavailable."""
    try:
        secret = await cluster.get(Ref(SECRET, delivery.namespace, ref.name), live=True)
    except Forbidden:
        found, why = b"", "the receiver may not read it (the chart's events.secretNames)"
    else:
        found, why = (b"", "it does not exist") if secret is None else usable(secret, ref.key)
    if why:
        place = f"{delivery.namespace}/{delivery.pipeline}/{delivery.trigger}"
        _log.warning("%s: Secret %s of the trigger cannot be used: %s.", place, ref.name, why)
    return found


def _subject(claims: Mapping[str, Any], auth: OidcAuth) -> str:
    """Return who of the trigger's subjects the token is for: by subject, or by an e-mail address that is verified."""
    email = claims.get("email") if claims.get("email_verified") is True else None
    found = next((s for s in auth.subjects if s in (claims.get("sub"), email)), None)
    return "" if found is None else f"oidc:{found}"

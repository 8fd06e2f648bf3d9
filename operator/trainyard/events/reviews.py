"""The `Reviews` port: TokenReview and LocalSubjectAccessReview, asked of the API server as the receiver itself.

The local kind of access review is enough, and can be granted by a Role.
"""

import logging
from typing import Any

import jwt

from trainyard.events.port import Caller, Unable
from trainyard.systems.cluster.port import ClusterError, Forbidden, Kind
from trainyard.systems.cluster.transport import Transport, path

AUDIENCE = "trainyard"

_TOKEN_REVIEW = Kind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews")
_ACCESS_REVIEW = Kind("authorization.k8s.io", "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews")
_RUNS = {"verb": "create", "group": "trainyard.dev", "resource": "trainingruns"}

_log = logging.getLogger(__name__)


class KubernetesReviews:
    """See the port."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def caller(self, token: str) -> Caller | None:
        """See the port. What does not even say that it is for us is not sent on."""
        if AUDIENCE not in audiences(token):
            return None
        answer = await self._ask(_TOKEN_REVIEW, "", {"token": token, "audiences": [AUDIENCE]})
        user = answer.get("user") or {}
        if (
            not answer.get("authenticated")
            or AUDIENCE not in (answer.get("audiences") or ())
            or not user.get("username")
        ):
            return None
        return Caller(user["username"], user.get("uid") or "", user.get("groups") or (), user.get("extra") or {})

    async def may_create_runs(self, caller: Caller, namespace: str) -> bool:
        """See the port."""
        spec = {
            "user": caller.name,
            "uid": caller.uid,
            "groups": list(caller.groups),
            "extra": {key: list(values) for key, values in caller.extra.items()},
            "resourceAttributes": {"namespace": namespace, **_RUNS},
        }
        answer = await self._ask(_ACCESS_REVIEW, namespace, spec)
        return answer.get("allowed") is True

    async def _ask(self, kind: Kind, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
        metadata = {"namespace": namespace} if namespace else {}
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}
        try:
            answer = await self._transport.request("POST", path(kind, namespace), body=body)
        except Forbidden as error:
            _log.warning("The receiver may not create %s: %s", kind.plural, error)
            raise Unable("The receiver has no right to check Kubernetes tokens for this namespace.") from error
        except ClusterError as error:
            raise Unable("The cluster's API server did not answer; send the event again.") from error
        return dict(answer.get("status") or {})


def audiences(token: str) -> tuple[str, ...]:
    """Return whom a token says that it is for; nothing of it is verified here."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return ()
    told = claims.get("aud")
    return (told,) if isinstance(told, str) else tuple(a for a in told or () if isinstance(a, str))

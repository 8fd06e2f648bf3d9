"""JSON over HTTP to the API server, on the connection, TLS and login of kubernetes.aio. Nothing is retried here.

Every failure leaves as one of the port's errors. Used by `client` (requests) and `reflector` (lists and watches).
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from trainyard.systems.cluster.port import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Forbidden,
    Invalid,
    Kind,
    NotFound,
    Obj,
    Unavailable,
)

REQUEST_SECONDS = 10.0
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 90.0  # bookmarks come about once a minute: a watch that is silent for longer is dead
PAGE = 500
APPLY = "application/apply-patch+yaml"  # JSON is YAML
MERGE = "application/merge-patch+json"

Query = Sequence[tuple[str, str]]


class Expired(Unavailable):
    """410: the resourceVersion or the page is too old; list anew."""


async def connect() -> ApiClient:
    """Log in as the pod's service account, or with the kubeconfig where this is no pod."""
    configuration = Configuration(connection_pool_maxsize=0)  # unlimited: every watch holds a connection
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # no types there
    except ConfigException:
        await load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # as above
    return ApiClient(configuration)


def path(kind: Kind, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """Return the URL path of a collection or an object; namespace "" means all."""
    parts = ["apis", kind.group] if kind.group else ["api"]
    parts.append(kind.version)
    parts += ["namespaces", namespace] if namespace else []
    parts += [part for part in (kind.plural, name, subresource) if part]
    return "/" + "/".join(quote(part, safe="") for part in parts)


class Transport:
    """Requests and streams. Owns the ApiClient that it is given."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call] # as above

    async def request(
        self, method: str, url: str, *, query: Query = (), body: Any = None, content_type: str = "application/json"
    ) -> dict[str, Any]:
        """Send one request and return the JSON answer. Raises a ClusterError."""
        limit = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            response = await self._send(method, url, query, body, content_type, limit)
            text = await response.read()
            if response.status >= 300:
                raise _refusal(response.status, text)
            answer = json.loads(text or b"{}")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(f"{method} {url}: {error or type(error).__name__}") from error
        return dict(answer)

    async def pages(self, kind: Kind, namespace: str, selector: str) -> AsyncIterator[dict[str, Any]]:
        """List in pages; each is a list object. Raises Expired where a page came too late."""
        more = ""
        while True:
            query = [("limit", str(PAGE))]
            query += [("labelSelector", selector)] if selector else []
            query += [("continue", more)] if more else []
            page = await self.request("GET", path(kind, namespace), query=query)
            yield page
            more = page.get("metadata", {}).get("continue") or ""
            if not more:
                return

    async def lines(self, url: str, query: Query, *, whole: bool = False) -> AsyncIterator[bytes]:
        """Stream the lines of an answer until the server ends it. Raises a ClusterError.

        whole: empty lines too, and a last one that has no end, as logs may; a watch has neither.
        """
        limit = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        try:
            response = await self._send("GET", url, query, None, "application/json", limit)
            try:
                if response.status >= 300:
                    raise _refusal(response.status, await response.read())
                async for line in _lines(response.response.content, whole):
                    yield line
            finally:
                response.response.close()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(f"watch {url}: {error or type(error).__name__}") from error

    async def _send(
        self, method: str, url: str, query: Query, body: Any, content_type: str, limit: aiohttp.ClientTimeout
    ) -> Any:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        verb, address, headers, _, _ = await self._api.param_serialize(
            method, url, query_params=list(query), header_params=headers, auth_settings=["BearerToken"]
        )
        return await self._api.call_api(verb, address, headers, body=body, _request_timeout=limit)


async def _lines(content: aiohttp.StreamReader, whole: bool) -> AsyncIterator[bytes]:
    """Split a stream into lines of any length."""
    rest = b""
    async for chunk in content.iter_any():
        *ended, rest = (rest + chunk).split(b"\n")
        for line in ended:
            if line or whole:
                yield line
    if rest and whole:
        yield rest


def _refusal(code: int, text: bytes) -> ClusterError:
    """Read an answer that is no success; a group that the API server does not know is answered in plain text."""
    try:
        return error_of(code, json.loads(text))
    except ValueError:
        return error_of(code, {"message": text[:200].decode(errors="replace").strip()})


def error_of(code: int, answer: Any) -> ClusterError:
    """Return the port's error for an HTTP status and the Status object that came with it."""
    status = answer if isinstance(answer, Mapping) else {}
    message = f"{status.get('message') or 'no message'} ({code})"[:500]
    if code == 409:
        return AlreadyExists(message) if status.get("reason") == "AlreadyExists" else Conflict(message)
    known: dict[int, type[ClusterError]] = {
        401: Forbidden,
        403: Forbidden,
        404: NotFound,
        410: Expired,
        408: Unavailable,
        429: Unavailable,
    }
    return known.get(code, Invalid if 400 <= code < 500 else Unavailable)(message)


def trimmed(kind: Kind, obj: Obj) -> dict[str, Any]:
    """Return an object as the rooms see it: with its type (list items come without), without managedFields."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return {**obj, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}

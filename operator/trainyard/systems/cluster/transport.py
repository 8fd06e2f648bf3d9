"""JSON over HTTP to the API server, on the connection, TLS and login of kubernetes.aio. Nothing is retried here.

Every failure leaves as one of the port's errors. Used by `client` (requests) and `reflector` (lists and watches).
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import getproxies

import aiohttp
import orjson
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, incluster_config, load_incluster_config, load_kube_config

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
from trainyard.systems.cluster.reading import read

REQUEST_SECONDS = 10.0
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 85.0  # bookmarks come after 60 to 75 s: a watch that is silent for longer is dead
PAGE = 500
JSON = "application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
APPLY = "application/apply-patch+yaml"  # JSON is YAML
MERGE = "application/merge-patch+json"

Query = Sequence[tuple[str, str]]


class Expired(Unavailable):
    """410: the resourceVersion or the page is too old; list anew."""


class Silent(Unavailable):
    """A stream without even a bookmark for too long: what came meanwhile is lost, so list anew."""


async def connect() -> ApiClient:
    """Log in as the pod's service account, or with the kubeconfig where this is no pod."""
    configuration = Configuration(connection_pool_maxsize=0)  # unlimited: every watch holds a connection
    # Looking for proxies costs every request two turns in a thread: only where there is one.
    configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # no types there
        configuration.refresh_api_key_hook = _read_token  # type: ignore[assignment] # its type there is that of None
    except ConfigException:
        await load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # as above
    return ApiClient(configuration)


def _read_token(configuration: Configuration) -> None:
    """Take the token as it stands in the file, for every request: a rotated one counts at once, not in a minute."""
    token = Path(incluster_config.SERVICE_TOKEN_FILENAME).read_text()
    configuration.api_key["BearerToken"] = f"bearer {token.strip()}"


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
        self,
        method: str,
        url: str,
        *,
        query: Query = (),
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> dict[str, Any]:
        """Send one request and return the JSON answer, {} where it is empty. Raises a ClusterError."""
        limit = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            response = await self._send(method, url, query, body, content_type, limit, accept)
            text = await response.read()
            if response.status >= 300:
                raise _refusal(response, text)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(f"{method} {url}: {str(error) or type(error).__name__}") from error
        return _success(text, f"{method} {url}")

    async def pages(self, kind: Kind, namespace: str, selector: str) -> AsyncIterator[dict[str, Any]]:
        """List in pages; each is a list object, with its version. Raises Expired where a page came too late."""
        more = ""
        while True:
            query = [("limit", str(PAGE))]
            query += [("labelSelector", selector)] if selector else []
            query += [("continue", more)] if more else []
            page = await self.request("GET", path(kind, namespace), query=query)
            if not _is_list(page):
                raise Unavailable(f"GET {path(kind, namespace)}: the answer is no list", answered=True)
            yield page
            more = page["metadata"].get("continue") or ""
            if not more:
                return

    async def lines(
        self, url: str, query: Query, *, whole: bool = False, opened: Callable[[], None] = lambda: None
    ) -> AsyncIterator[bytes]:
        """Stream the lines of an answer until the server ends it. Raises a ClusterError, Silent where none came.

        whole: empty lines too, and a last one that has no end, as logs may; a watch has neither. opened: called
        once the server has said that lines will come.
        """
        limit = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        try:
            response = await self._send("GET", url, query, None, JSON, limit)
            try:
                if response.status >= 300:
                    raise _refusal(response, await response.read())
                opened()
                async for line in _lines(response.response.content, whole):
                    yield line
            finally:
                response.response.close()
        except aiohttp.SocketTimeoutError as error:
            raise Silent(f"watch {url}: silent for {SILENCE_SECONDS:.0f} s") from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(f"watch {url}: {str(error) or type(error).__name__}") from error

    async def _send(
        self,
        method: str,
        url: str,
        query: Query,
        body: Any,
        content_type: str,
        limit: aiohttp.ClientTimeout,
        accept: str = JSON,
    ) -> Any:
        headers = {"Accept": accept, "Content-Type": content_type}
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


def _success(text: bytes, asked: str) -> dict[str, Any]:
    """Read the answer to a request that was granted. What stands before an API server may say anything."""
    try:
        answer = read(text or b"{}")
    except ValueError as error:
        raise Unavailable(f"{asked}: {error}", answered=True) from error
    if not isinstance(answer, dict):
        raise Unavailable(f"{asked}: the answer is no JSON object", answered=True)
    return answer


def _is_list(page: Mapping[str, Any]) -> bool:
    meta, items = page.get("metadata"), page.get("items") or []
    return isinstance(meta, Mapping) and isinstance(meta.get("resourceVersion"), str) and isinstance(items, list)


def _is_object(obj: Any) -> bool:
    """Whether it has what every object has."""
    meta = obj.get("metadata") if isinstance(obj, Mapping) else None
    return isinstance(meta, Mapping) and all(isinstance(meta.get(field), str) for field in ("name", "resourceVersion"))


def _refusal(response: Any, text: bytes) -> ClusterError:
    """Read an answer that is no success; a group that the API server does not know is answered in plain text."""
    asked = str(response.headers.get("Retry-After", ""))
    seconds = float(asked) if asked.isdigit() else 0.0
    try:
        return error_of(response.status, orjson.loads(text), seconds)
    except ValueError:
        return error_of(response.status, {"message": text[:200].decode(errors="replace").strip()}, seconds)


def error_of(code: int, answer: Any, retry_after: float = 0.0) -> ClusterError:
    """Return the port's error for an HTTP status, the Status object and the Retry-After that came with it."""
    status = answer if isinstance(answer, Mapping) else {}
    message = f"{_sentence(status)} ({code})"[:500]
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
    kind = known.get(code, Invalid if 400 <= code < 500 else Unavailable)
    return kind(message, retry_after, answered=True) if issubclass(kind, Unavailable) else kind(message)


def _sentence(status: Mapping[str, Any]) -> str:
    """Return what a Status object says, the same for the same refusal: the API server lists causes in any order."""
    message = str(status.get("message") or "no message")
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, Mapping) else None
    told = sorted(
        {f"{c['field']}: {c.get('message')}" for c in causes or () if isinstance(c, Mapping) and c.get("field")}
    )
    if len(told) < 2:
        return message
    return f"{message.partition(': [')[0]}: {'; '.join(told)}"


def trimmed(kind: Kind, obj: Obj) -> dict[str, Any]:
    """Return an object as the rooms see it: with its type (list items come without), without managedFields.

    Raises Unavailable where it is no object: an answer that is empty, or of another shape.
    """
    if not _is_object(obj):
        raise Unavailable(f"the answer holds no object where a {kind.kind} should be", answered=True)
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return {**obj, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}

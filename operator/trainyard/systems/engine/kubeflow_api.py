"""Kubeflow Pipelines' REST API (v2beta1, and v1beta1 for what v2beta1 leaves empty) on aiohttp. Used by `kubeflow`.

Nothing is retried here. What the server says reaches nobody but `refusal`, which keeps one line of it.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

REQUEST_SECONDS = 30.0
CONNECT_SECONDS = 5.0
MESSAGE_LIMIT = 600
V2, V1 = "/apis/v2beta1", "/apis/v1beta1"
# A page of names is enough: they are asked for by their whole name.
PAGE = "20"
# What no other try can change, by the words of the server's details; its HTTP status does not tell (training.md).
PERMANENT = (
    "invalid input error",
    "invalidinputerror",
    "invalid v2 pipeline spec",
    "invalid pipeline spec",
    "invalid platform spec",
    "unknown template format",
    "unable to decode yaml",
    "failed to generate the executionspec",
    "cannot unmarshal",
    "schema version",
    "requires type or",
    "parameter is not",
    "not found in pipeline",
    "missing mandatory",
    "exceeds the maximum",
)
GONE = ("not found", "not exist")

Answer = Mapping[str, Any]


class ApiError(Exception):
    """The server did not do what was asked, as far as it is known; `str()` is one line.

    done: whether it may have been done all the same. permanent: whether another try can be of no use.
    """

    def __init__(self, message: str, *, status: int = 0, done: bool = False, permanent: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.done = done
        self.permanent = permanent


@dataclass
class KubeflowApi:
    """The server's verbs, as far as they are used. token_file: read anew for every request, "" for no token."""

    url: str
    token_file: str = ""
    seconds: float = REQUEST_SECONDS
    _session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # ---- runs ----

    async def run(self, run_id: str) -> Answer | None:
        """Return a run's row, None where there is none. Raises ApiError."""
        return await self._found(f"{V2}/runs/{quote(run_id, safe='')}")

    async def create_run(self, body: Mapping[str, Any]) -> Answer:
        """Create a run. NOT idempotent: a second one with the same id leaves two Workflows. Raises ApiError."""
        return await self._ask("POST", f"{V2}/runs", body=body)

    async def terminate(self, run_id: str) -> None:
        """Ask for a run's end; one that is not there, or has ended, is fine. Raises ApiError."""
        try:
            await self._ask("POST", f"{V2}/runs/{quote(run_id, safe='')}:terminate")
        except ApiError as error:
            if error.status not in (400, 404, 409):
                raise

    async def workflow(self, run_id: str) -> Answer | None:
        """Return the Workflow that the persistence agent reported last, None where there is none. Raises ApiError."""
        found = await self._found(f"{V1}/runs/{quote(run_id, safe='')}")
        text = _map(_map(found).get("pipeline_runtime")).get("workflow_manifest")
        try:
            workflow = json.loads(text) if text else None
        except ValueError:
            return None
        return workflow if isinstance(workflow, Mapping) else None

    # ---- what a run needs ----

    async def experiment(self, name: str, namespace: str) -> str:
        """Return the id of an experiment, created where it does not exist. Raises ApiError."""
        found = await self._by_name("experiments", name, namespace)
        if found is None:
            body = {"display_name": name, **({"namespace": namespace} if namespace else {})}
            try:
                found = await self._ask("POST", f"{V2}/experiments", body=body)
            except ApiError as error:
                found = await self._adopted(error, "experiments", name, namespace)
        return str(found["experiment_id"])

    async def pipeline(self, name: str, namespace: str, description: str) -> str:
        """Return the id of a pipeline, created where it does not exist. Raises ApiError."""
        found = await self._by_name("pipelines", name, namespace)
        if found is None:
            body = {"display_name": name, "name": name, "description": description}
            try:
                found = await self._ask("POST", f"{V2}/pipelines", body=body | _space(namespace))
            except ApiError as error:
                found = await self._adopted(error, "pipelines", name, namespace)
        return str(found["pipeline_id"])

    async def version(self, pipeline: str, name: str, package: str) -> str:
        """Return the id of a pipeline's version, uploaded where it does not exist. Raises ApiError.

        The name is the package's digest, so a version of that name is this package.
        """
        collection = f"pipelines/{quote(pipeline, safe='')}/versions"
        found = await self._by_name(collection, name, "")
        if found is None:
            try:
                found = await self._upload(pipeline, name, package)
            except ApiError as error:
                found = await self._adopted(error, collection, name, "")
        return str(found["pipeline_version_id"])

    async def _upload(self, pipeline: str, name: str, package: str) -> Answer:
        form = aiohttp.FormData()
        form.add_field("uploadfile", package.encode(), filename=f"{name}.yaml", content_type="application/yaml")
        query = {"name": name, "display_name": name, "pipelineid": pipeline}
        return await self._ask("POST", f"{V2}/pipelines/upload_version", query=query, data=form)

    async def _by_name(self, collection: str, name: str, namespace: str) -> Answer | None:
        predicate = {"key": "display_name", "operation": "EQUALS", "string_value": name}
        query = {"filter": json.dumps({"predicates": [predicate]}), "page_size": PAGE, **_space(namespace)}
        found = await self._ask("GET", f"{V2}/{collection}", query=query)
        rows = found.get("pipeline_versions" if collection.endswith("versions") else collection) or ()
        return next((row for row in rows if row.get("display_name") == name), None)

    async def _adopted(self, error: ApiError, collection: str, name: str, namespace: str) -> Answer:
        """Return what somebody else, or a call whose answer was lost, has created. Raises the error where nothing."""
        if error.permanent and error.status != 409:
            raise error
        found = await self._by_name(collection, name, namespace)
        if found is None:
            raise error
        return found

    # ---- requests ----

    async def _found(self, path: str) -> Answer | None:
        try:
            return await self._ask("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        data: aiohttp.FormData | None = None,
    ) -> Answer:
        session = self._session = self._session or aiohttp.ClientSession()
        limit = aiohttp.ClientTimeout(total=self.seconds, sock_connect=CONNECT_SECONDS)
        content: dict[str, Any] = {"json": body} if body is not None else {"data": data} if data is not None else {}
        try:
            async with session.request(
                method, self.url + path, params=query, headers=await self._headers(), timeout=limit,
                allow_redirects=False, **content,
            ) as answer:  # fmt: skip
                text = await answer.read()
                if answer.status >= 300:
                    raise refusal(method, path, answer.status, text)
                return _read(method, path, text)
        except aiohttp.ClientConnectorError as error:
            raise ApiError("Kubeflow cannot be reached.") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(f"Kubeflow did not answer {method} {path}.", done=method != "GET") from error

    async def _headers(self) -> dict[str, str]:
        if not self.token_file:
            return {}
        try:
            token = (await asyncio.to_thread(Path(self.token_file).read_text)).strip()
        except OSError as error:
            raise ApiError(f"The token for Kubeflow cannot be read: {error.strerror}.") from error
        return {"Authorization": f"Bearer {token}"}


def refusal(method: str, path: str, status: int, text: bytes) -> ApiError:
    """Read an answer that is no success: what it says in one line, and what follows from it."""
    told = _told(text)
    lower = told.lower()
    permanent = 400 <= status < 600 and status not in (401, 403, 404, 408, 409, 429) and any(
        word in lower for word in PERMANENT
    )  # fmt: skip
    line = " ".join(told.split())[:MESSAGE_LIMIT] or f"{method} {path}"
    return ApiError(f"Kubeflow answered {status}: {line}", status=status, done=status >= 500, permanent=permanent)


def _told(text: bytes) -> str:
    """Return the server's words: gRPC's gateway and the upload handler have each their own form."""
    try:
        body = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(body, Mapping):
        return ""
    details = [str(_map(one).get("error_details") or _map(one).get("message") or "") for one in _list(body, "details")]
    words = [body.get("message"), body.get("error_message"), body.get("error_details"), *details]
    kept: list[str] = []
    for word in (str(w).strip() for w in words if w):
        if word and not any(word in other for other in kept):
            kept.append(word)
    return "; ".join(kept)


def _read(method: str, path: str, text: bytes) -> Answer:
    try:
        body = json.loads(text or b"{}")
    except ValueError as error:
        raise ApiError(f"Kubeflow's answer to {method} {path} is no JSON.", done=method != "GET") from error
    return body if isinstance(body, Mapping) else {}


def _space(namespace: str) -> dict[str, str]:
    return {"namespace": namespace} if namespace else {}


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(body: Mapping[str, Any], key: str) -> list[Any]:
    value = body.get(key)
    return value if isinstance(value, list) else []

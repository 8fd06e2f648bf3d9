"""Prometheus over HTTP: instant queries whose every failure becomes an `Answer` of its own.

Made by `wiring`, with the address from the operator's configuration. Nothing of an answer's body, nor the address,
is ever in a sentence.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import aiohttp

from trainyard.systems.prometheus.port import Answer, Sample

DEADLINE_SECONDS = 10.0  # waiting for a slot, connecting, evaluating and reading, all together
MOST_BYTES = 1 << 20
AT_ONCE = 8
MOST_WARNINGS = 10
WARNING_LENGTH = 200

MALFORMED = Answer(failure="Prometheus' answer is not one of its API")
UNUSABLE: Mapping[str, str] = {
    "string": "the query gives a string, wanted is one number",
    "matrix": "the query gives a range matrix, wanted is one number at one instant",
}
# The API's own words (errorType); any other word of a body is not repeated.
ERROR_TYPES = frozenset(
    {"timeout", "canceled", "execution", "bad_data", "internal", "unavailable", "not_found", "not_acceptable"}
)


class HttpPrometheus:
    """The `Prometheus` port over one server. `close` ends its connections."""

    def __init__(self, url: str) -> None:
        """Keep the base URL, with a path where the server has one; connects on first use."""
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._asked: dict[tuple[str, datetime | None], asyncio.Task[Answer]] = {}

    async def query(self, expression: str, at: datetime | None = None) -> Answer:
        """Evaluate at one instant; equal questions in flight share one request. Never raises."""
        key = (expression, at)
        if key not in self._asked:
            task = asyncio.create_task(self._ask(expression, at))
            self._asked[key] = task
            task.add_done_callback(lambda _: self._asked.pop(key, None))
        # Shielded: the others who wait for this answer outlive a caller that is cancelled.
        return await asyncio.shield(self._asked[key])

    async def close(self) -> None:
        """Give up what is in flight and close the connections."""
        for task in list(self._asked.values()):
            task.cancel()
        if self._session:
            await self._session.close()

    async def _ask(self, expression: str, at: datetime | None) -> Answer:
        form = {"query": expression, "timeout": f"{DEADLINE_SECONDS:.0f}s"}
        if at is not None:
            form["time"] = f"{at.timestamp():.3f}"
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._slots:
                status, body = await self._post(form)
        except TimeoutError:
            return Answer(failure=f"Prometheus gave no answer within {DEADLINE_SECONDS:.0f} s")
        except aiohttp.ClientConnectorError:
            return Answer(failure="Prometheus cannot be reached")
        except (aiohttp.ClientError, OSError, ValueError):
            return Answer(failure="the connection to Prometheus broke off")
        return read_answer(status, body)

    async def _post(self, form: Mapping[str, str]) -> tuple[int, bytes | None]:
        """Return status and body; None for a body over the limit, of which no more is read."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        async with self._session.post(self._url, data=form, allow_redirects=False) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MOST_BYTES:
                    response.close()
                    return response.status, None
            return response.status, bytes(body)


def read_answer(status: int, body: bytes | None) -> Answer:
    """Turn a response into an Answer. Total: whatever came, it is one of the port's three."""
    if 300 <= status < 400:
        return Answer(failure=f"Prometheus redirects ({status}); its address in the configuration is not its own")
    if body is None:
        return Answer(failure=f"Prometheus' answer is over {MOST_BYTES >> 20} MiB")
    said = _parsed(body)
    if said.get("status") == "error":
        kind = said.get("errorType")
        words = f", {kind}" if kind in ERROR_TYPES else ""
        return Answer(failure=f"Prometheus answered with an error ({status}{words})", warnings=_warnings(said))
    if status != 200:
        return Answer(failure=f"Prometheus answered {status}")
    if said.get("status") != "success":
        return MALFORMED
    return replace(_result(said.get("data")), warnings=_warnings(said))


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, Mapping) else {}


def _result(data: Any) -> Answer:
    try:
        kind, result = data["resultType"], data["result"]
        if kind in UNUSABLE:
            return Answer(unusable=UNUSABLE[kind])
        if kind == "scalar":
            return Answer(samples=(_sample({}, result),))
        if kind != "vector":
            return MALFORMED
        if any("value" not in series and "histogram" in series for series in result):
            return Answer(unusable="the query gives a native histogram, wanted is one number")
        return Answer(samples=tuple(_sample(series["metric"], series["value"]) for series in result))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return MALFORMED


def _sample(labels: Mapping[str, Any], pair: Any) -> Sample:
    time, value = pair
    if not isinstance(value, str):
        raise TypeError("the API writes values as strings, for they may be NaN")
    return Sample({str(k): str(v) for k, v in labels.items()}, float(time), float(value))


def _warnings(said: Mapping[str, Any]) -> tuple[str, ...]:
    """Keep the server's warnings, short; they are shown beside a result, never in a sentence of ours."""
    found = said.get("warnings")
    if not isinstance(found, list):
        return ()
    return tuple(str(one)[:WARNING_LENGTH] for one in found[:MOST_WARNINGS])

"""Prometheus over HTTP: queries at an instant and over a range, whose every failure becomes an answer of its own.

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

from trainyard.systems.prometheus.connection import Connection, Entry, NoEntry
from trainyard.systems.prometheus.port import Answer, RangeAnswer, Sample, Series

DEADLINE_SECONDS = 10.0  # waiting for a slot, connecting, evaluating and reading, all together
MOST_BYTES = 1 << 20
AT_ONCE = 8
MOST_WARNINGS = 10
WARNING_LENGTH = 200

MALFORMED = "Prometheus' answer is not one of its API"
Said = tuple[int, bytes | None] | str  # status and body (None: over the limit), or why there is neither
UNUSABLE: Mapping[str, str] = {
    "string": "the query gives a string, wanted is one number",
    "matrix": "the query gives a range matrix, wanted is one number at one instant",
}
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
# The API's own words (errorType); any other word of a body is not repeated.
ERROR_TYPES = frozenset(
    {"timeout", "canceled", "execution", "bad_data", "internal", "unavailable", "not_found", "not_acceptable"}
)


class HttpPrometheus:
    """The `Prometheus` port over one server. `close` ends its connections."""

    def __init__(self, url: str, entry: Entry = Entry()) -> None:  # noqa: B008 - a frozen value
        """Keep the base URL, with a path where the server has one; connects on first use."""
        self._url = f"{url.rstrip('/')}/api/v1"
        self._connection = Connection(entry)
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._asked: dict[tuple[str, ...], asyncio.Task[Said]] = {}

    async def query(self, expression: str, at: datetime | None = None) -> Answer:
        """Evaluate at one instant; equal questions in flight share one request. Never raises."""
        when = {} if at is None else {"time": f"{at.timestamp():.3f}"}
        said = await self._shared("query", expression, when)
        return Answer(failure=said) if isinstance(said, str) else read_answer(*said)

    async def query_range(self, expression: str, start: datetime, end: datetime, step_seconds: int) -> RangeAnswer:
        """Evaluate at start, start + step, ... up to end; equal questions in flight share one request. Never raises."""
        when = {"start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}", "step": str(step_seconds)}
        said = await self._shared("query_range", expression, when)
        return RangeAnswer(failure=said) if isinstance(said, str) else read_range(*said)

    async def _shared(self, verb: str, expression: str, when: Mapping[str, str]) -> Said:
        key = (verb, expression, *when.values())
        if key not in self._asked:
            form = {"query": expression, "timeout": f"{DEADLINE_SECONDS:.0f}s", **when}
            task = asyncio.create_task(self._ask(verb, form))
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

    async def _ask(self, verb: str, form: Mapping[str, str]) -> Said:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._slots:
                return await self._post(verb, form)
        except NoEntry as error:
            return str(error)
        except TimeoutError:
            return f"Prometheus gave no answer within {DEADLINE_SECONDS:.0f} s"
        except aiohttp.ClientConnectorCertificateError:
            return "Prometheus' certificate is not trusted"
        except aiohttp.ClientConnectorError:
            return "Prometheus cannot be reached"
        except (aiohttp.ClientError, OSError, ValueError):
            return "the connection to Prometheus broke off"

    async def _post(self, verb: str, form: Mapping[str, str]) -> tuple[int, bytes | None]:
        """Return status and body; None for a body over the limit, of which no more is read."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        headers, tls = self._connection.headers(), self._connection.tls()
        asked = self._session.post(f"{self._url}/{verb}", data=form, headers=headers, ssl=tls, allow_redirects=False)
        async with asked as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MOST_BYTES:
                    response.close()
                    return response.status, None
            return response.status, bytes(body)


def read_answer(status: int, body: bytes | None) -> Answer:
    """Turn a response into an Answer. Total: whatever came, it is one of the port's three."""
    failure, said = _said(status, body)
    found = Answer(failure=failure) if failure else _result(said.get("data"))
    return replace(found, warnings=_warnings(said))


def read_range(status: int, body: bytes | None) -> RangeAnswer:
    """Turn a response to a range query into a RangeAnswer, as total as `read_answer`."""
    failure, said = _said(status, body)
    found = RangeAnswer(failure=failure) if failure else _range(said.get("data"))
    return replace(found, warnings=_warnings(said))


def _said(status: int, body: bytes | None) -> tuple[str, Mapping[str, Any]]:
    """Return what failed ("" where nothing did), and what the API said."""
    if 300 <= status < 400:
        return f"Prometheus redirects ({status}); its address in the configuration is not its own", {}
    if body is None:
        return f"Prometheus' answer is over {MOST_BYTES >> 20} MiB", {}
    said = _parsed(body)
    if said.get("status") == "error":
        kind = said.get("errorType")
        words = f", {kind}" if kind in ERROR_TYPES else ""
        return f"Prometheus answered with an error ({status}{words})", said
    if status != 200:
        return f"Prometheus answered {status}", {}
    return ("", said) if said.get("status") == "success" else (MALFORMED, {})


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
            return Answer(failure=MALFORMED)
        if any("value" not in series and "histogram" in series for series in result):
            return Answer(unusable="the query gives a native histogram, wanted is one number")
        return Answer(samples=tuple(_sample(series["metric"], series["value"]) for series in result))
    except UNREADABLE:
        return Answer(failure=MALFORMED)


def _range(data: Any) -> RangeAnswer:
    try:
        if data["resultType"] != "matrix":
            return RangeAnswer(failure=MALFORMED)
        if any("values" not in series and "histograms" in series for series in data["result"]):
            return RangeAnswer(unusable="the query gives a native histogram, wanted are numbers")
        return RangeAnswer(series=tuple(_series(one["metric"], one["values"]) for one in data["result"]))
    except UNREADABLE:
        return RangeAnswer(failure=MALFORMED)


def _series(labels: Mapping[str, Any], values: Any) -> Series:
    return Series(_labels(labels), tuple(_point(pair) for pair in values))


def _sample(labels: Mapping[str, Any], pair: Any) -> Sample:
    return Sample(_labels(labels), *_point(pair))


def _labels(labels: Mapping[str, Any]) -> Mapping[str, str]:
    return {str(k): str(v) for k, v in labels.items()}


def _point(pair: Any) -> tuple[float, float]:
    time, value = pair
    if not isinstance(value, str):
        raise TypeError("the API writes values as strings, for they may be NaN")
    return float(time), float(value)


def _warnings(said: Mapping[str, Any]) -> tuple[str, ...]:
    """Keep the server's warnings, short; they are shown beside a result, never in a sentence of ours."""
    found = said.get("warnings")
    if not isinstance(found, list):
        return ()
    return tuple(str(one)[:WARNING_LENGTH] for one in found[:MOST_WARNINGS])

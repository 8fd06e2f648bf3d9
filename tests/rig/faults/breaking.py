"""What a network, a server or fate may do to a request: the faults of `proxy`, and words for which requests."""

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp import web

from tests.rig.faults.proxy import Asked, Cut, Exchange, Fault, Matches, pass_on
from trainyard import naming

REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 409: "Conflict", 410: "Expired", 422: "Invalid",
    429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable",
}  # fmt: skip


# ---- which requests ----


def everything(_: Asked) -> bool:
    """Any request."""
    return True


def writes(*kinds: str, name: str = "", subresource: str | None = None) -> Matches:
    """Writes to these kinds ("" for all but Leases), to objects whose name begins so."""

    def matches(asked: Asked) -> bool:
        wanted = asked.kind in kinds if kinds else asked.number > 0
        same = subresource is None or asked.subresource == subresource
        return asked.is_write and wanted and same and asked.name.startswith(name)

    return matches


def number(count: int) -> Matches:
    """The n-th write."""
    return lambda asked: asked.number == count


def watches(*kinds: str) -> Matches:
    """Streams of these kinds; of all where none is named."""
    return lambda asked: asked.is_watch and (not kinds or asked.kind in kinds)


def lists(*kinds: str) -> Matches:
    """Lists of these kinds that fill a store, from their first page; of all where none is named.

    What a visit lists live names its Rollout. It asks for no resourceVersion, so a real server answers from a quorum.
    """

    def matches(asked: Asked) -> bool:
        whole = not asked.is_write and not asked.is_watch and len(asked.parts) == 1 and "continue" not in asked.query
        is_live = f"{naming.LABEL_ROLLOUT}=" in asked.query.get("labelSelector", "")
        return whole and not is_live and (not kinds or asked.kind in kinds)

    return matches


def of_kind(*kinds: str) -> Matches:
    """Whatever is asked about these kinds."""
    return lambda asked: asked.kind in kinds


# ---- what is done to them ----


async def cut_before(exchange: Exchange) -> web.StreamResponse:
    """The API server never sees it."""
    exchange.refuse()
    raise Cut


async def lose_reply(exchange: Exchange) -> web.StreamResponse:
    """The API server does it, and the answer is lost."""
    await exchange.do()
    raise Cut


async def swallow(exchange: Exchange) -> web.StreamResponse:
    """Nothing comes back, and the connection stays: half open."""
    exchange.refuse()
    await asyncio.Event().wait()
    raise Cut


def delay(seconds: float) -> Fault:
    """It takes its time on the way there."""

    async def late(exchange: Exchange) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await pass_on(exchange)

    return late


def as_of(version: str) -> Fault:
    """A list as it was at this resourceVersion: an API server that is behind the others."""

    async def older(exchange: Exchange) -> web.StreamResponse:
        return await pass_on(exchange, resourceVersion=version, resourceVersionMatch="Exact")

    return older


def answer(code: int, **headers: str) -> Fault:
    """The API server, or what stands before it, says this instead."""

    async def refused(exchange: Exchange) -> web.StreamResponse:
        exchange.refuse()
        return web.json_response(status_of(code), status=code, headers=headers)

    return refused


def answer_after(code: int) -> Fault:
    """The API server does it, and then says this."""

    async def lied(exchange: Exchange) -> web.StreamResponse:
        await exchange.do()
        return web.json_response(status_of(code), status=code)

    return lied


def then(act: Callable[[], None]) -> Fault:
    """The API server does it; `act` follows before the answer, which is lost."""

    async def last(exchange: Exchange) -> web.StreamResponse:
        await exchange.do()
        act()
        raise Cut

    return last


def held(act: Callable[[], None], until: asyncio.Event) -> Fault:
    """`act` follows at once; the API server gets it much later, at `until`."""

    async def late(exchange: Exchange) -> web.StreamResponse:
        act()
        await until.wait()
        return await pass_on(exchange)

    return late


# ---- streams ----


def cut_after(seconds: float) -> Fault:
    """A stream that ends in the middle."""
    return _streaming(seconds, _cut)


def tell_error(code: int, seconds: float = 0.0) -> Fault:
    """A stream that says ERROR after a while, and ends."""

    async def tell(response: web.StreamResponse) -> None:
        await response.write(json.dumps({"type": "ERROR", "object": status_of(code)}).encode() + b"\n")

    return _streaming(seconds, tell)


def go_silent(seconds: float = 0.0, until: asyncio.Event | None = None) -> Fault:
    """A stream that stays open and tells nothing any more; at `until` it is cut."""
    end = until or asyncio.Event()

    async def wait(_: web.StreamResponse) -> None:
        await end.wait()
        raise Cut

    return _streaming(seconds, wait)


async def _cut(_: web.StreamResponse) -> None:
    raise Cut


def _streaming(seconds: float, end: Callable[[web.StreamResponse], Any]) -> Fault:
    """Stream for so many seconds, then end so."""

    async def stream(exchange: Exchange) -> web.StreamResponse:
        async with exchange.forward() as answered:
            response = await exchange.begin(answered)
            try:
                async with asyncio.timeout(seconds):
                    await _copy(answered, response)
            except TimeoutError:
                await end(response)
            return response

    return stream


async def _copy(answered: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
    async for chunk in answered.content.iter_any():
        await response.write(chunk)


def status_of(code: int) -> dict[str, Any]:
    """The Status object that comes with an answer."""
    told = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code}
    return told | {"reason": REASONS.get(code, ""), "message": f"broken on purpose: {HTTPStatus(code).phrase}"}

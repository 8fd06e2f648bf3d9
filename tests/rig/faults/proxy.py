"""A proxy before a real API server: every request goes through it, streams too, and chosen ones are broken.

    async with ApiProxy(rig, "operator-x") as proxy:
        proxy.on(writes("httproutes"), lose_reply)           # the next such write is done, its reply lost
        proxy.on(number(7), kill(operator), times=1)         # the seventh write is the last thing that it does

It speaks to the API server as the given user, or hands on the client's own token. The faults are in `breaking`.
"""

import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import aiohttp
from aiohttp import web
from yarl import URL

from local.certificates import Authority
from local.free_ports import free_port
from local.rig import ApiServerRig

READS = ("GET", "HEAD")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "accept-encoding"}
LONGEST_BODY = 16 * 2**20


@dataclass(frozen=True)
class Asked:
    """One request. `number` counts the writes through this proxy, those to Leases left out; 0 for all others."""

    number: int
    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    token: str = ""

    @property
    def parts(self) -> list[str]:
        """Kind, name and subresource, as far as the path goes; the group and the namespace are left out."""
        steps = self.path.strip("/").split("/")
        steps = steps[2:] if steps[0] == "api" else steps[3:]
        return steps[2:] if steps[:1] == ["namespaces"] and len(steps) > 2 else steps

    @property
    def kind(self) -> str:
        """`rollouts`, `deployments`, …; "" for what is no resource."""
        return (self.parts or [""])[0]

    @property
    def name(self) -> str:
        """The object's name, also where the body alone tells it."""
        return self.parts[1] if len(self.parts) > 1 else str(self.json().get("metadata", {}).get("name", ""))

    @property
    def subresource(self) -> str:
        """`status`, or ""."""
        return (self.parts + [""] * 3)[2]

    @property
    def is_watch(self) -> bool:
        """Whether it asks for a stream."""
        return self.query.get("watch") in ("true", "1")

    @property
    def is_write(self) -> bool:
        """Whether it may change something."""
        return self.method not in READS

    def json(self) -> Any:
        """The body, {} where there is none."""
        return json.loads(self.body or b"{}")


@dataclass(frozen=True)
class Seen:
    """A request as it went: the API server's own status, None where it never came there; when (monotonic)."""

    asked: Asked
    status: int | None
    at: float


class Cut(Exception):
    """The connection ends here, without an answer."""


class Exchange:
    """One request under way, in the hands of a fault."""

    def __init__(self, proxy: "ApiProxy", request: web.Request, asked: Asked) -> None:
        self.proxy, self.request, self.asked = proxy, request, asked

    def forward(self, **query: str) -> Any:
        """Send it to the API server, with this in its query too; an async context manager over the answer."""
        return self.proxy.send(self.request, self.asked, query)

    async def do(self) -> tuple[int, bytes]:
        """Let the API server do it, and keep its answer from the client."""
        async with self.forward() as answer:
            body = await answer.read()
            self.proxy.note(self.asked, answer.status)
            return answer.status, body

    def refuse(self) -> None:
        """Note that it never came to the API server."""
        self.proxy.note(self.asked, None)

    async def begin(self, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        """Begin to stream an answer to the client."""
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
        response = web.StreamResponse(status=answer.status, headers=kept)
        await response.prepare(self.request)
        return response


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]
Matches = Callable[[Asked], bool]


@dataclass
class Rule:
    """Breaks the next `times` requests that match; None for all of them."""

    matches: Matches
    fault: Fault
    times: int | None = 1
    used: int = 0


@dataclass
class ApiProxy:
    """See the module. `hand_on`: the client's own token counts, and it is spoken to by TLS, as in a pod."""

    rig: ApiServerRig
    user: str
    hand_on: bool = False
    rules: list[Rule] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    writes: int = 0

    async def __aenter__(self) -> Self:
        self.rig.kubeconfig_for(self.user, ("system:masters",))
        pki = self.rig.folder / "pki"
        context = ssl.create_default_context(cafile=str(self.rig.certificate_authority))
        if not self.hand_on:
            context.load_cert_chain(pki / f"user-{self.user}.crt", pki / f"user-{self.user}.key")
        self._upstream = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context), timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )  # fmt: skip
        app = web.Application(client_max_size=LONGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        self.port = free_port()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._own_tls(pki)).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._upstream.close()

    def _own_tls(self, pki: Path) -> ssl.SSLContext | None:
        if not self.hand_on:
            return None
        pair = Authority(pki).server("proxy", ["127.0.0.1"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
        return context

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig that leads here."""
        server = f"http://127.0.0.1:{self.port}"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "clusters": [{"name": "proxy", "cluster": {"server": server}}],
            "users": [{"name": "proxy", "user": {"token": "none"}}],
        }
        file = folder / f"{self.user}.kubeconfig"
        file.write_text(json.dumps(content))
        return file

    def on(self, matches: Matches, fault: Fault, times: int | None = 1) -> Rule:
        """Break the next `times` requests that match. The rule added first is asked first."""
        rule = Rule(matches, fault, times)
        self.rules.append(rule)
        return rule

    def heal(self) -> None:
        """Break nothing any more."""
        self.rules.clear()

    def note(self, asked: Asked, status: int | None) -> None:
        """Keep how a request went."""
        self.seen.append(Seen(asked, status, time.monotonic()))

    def send(self, request: web.Request, asked: Asked, query: Mapping[str, str] = MappingProxyType({})) -> Any:
        """Send a request to the API server, with this in its query too."""
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        if not self.hand_on:
            headers.pop("Authorization", None)
        url = URL(f"{self.rig.url}{request.raw_path}", encoded=True).update_query(query)
        return self._upstream.request(asked.method, url, headers=headers, data=asked.body or None)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        exchange = Exchange(self, request, await self._asked(request))
        rule = self._rule(exchange.asked)
        try:
            return await (rule.fault if rule else pass_on)(exchange)
        except (Cut, aiohttp.ClientError):
            if request.transport:
                request.transport.abort()
            return web.Response(status=500)

    async def _asked(self, request: web.Request) -> Asked:
        body = await request.read()
        query = dict(request.query)
        token = request.headers.get("Authorization", "").partition(" ")[2]
        asked = Asked(0, request.method, request.path, query, body, token)
        if not asked.is_write or asked.kind in ("leases", "selfsubjectaccessreviews"):
            return asked
        self.writes += 1
        return Asked(self.writes, request.method, request.path, query, body, token)

    def _rule(self, asked: Asked) -> Rule | None:
        for rule in self.rules:
            if (rule.times is None or rule.used < rule.times) and rule.matches(asked):
                rule.used += 1
                return rule
        return None


async def pass_on(exchange: Exchange, **query: str) -> web.StreamResponse:
    """Break nothing; `query` is asked for besides."""
    async with exchange.forward(**query) as answer:
        if exchange.asked.is_watch:
            response = await exchange.begin(answer)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response
        body = await answer.read()
        exchange.proxy.note(exchange.asked, answer.status)
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
        return web.Response(status=answer.status, headers=kept, body=body)

"""kopf itself, on an object that is nested as deeply as the API server keeps one: its watch goes on."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import kopf
import pytest
from aiohttp import web

from local.free_ports import free_port
from trainyard import handlers
from trainyard.running import Operator
from trainyard.systems.cluster.port import TRAINING_RUN, Ref

LEVELS = 10_000
VERBS = ["list", "watch", "patch"]
NAMESPACES = {"name": "namespaces", "singularName": "", "namespaced": False, "kind": "Namespace", "verbs": VERBS}
RUNS = {"name": TRAINING_RUN.plural, "singularName": "", "namespaced": True, "kind": TRAINING_RUN.kind, "verbs": VERBS}
VERSION = {"groupVersion": TRAINING_RUN.api_version, "version": TRAINING_RUN.version}
GROUP = {"name": TRAINING_RUN.group, "versions": [VERSION], "preferredVersion": VERSION}
KNOWN: dict[str, Any] = {
    "/api": {"versions": ["v1"]},
    "/apis": {"groups": [GROUP]},
    "/api/v1": {"resources": [NAMESPACES]},
    f"/apis/{TRAINING_RUN.api_version}": {"resources": [RUNS]},
}


def run(name: str, version: str) -> str:
    meta = json.dumps({"name": name, "namespace": "ns", "uid": name, "resourceVersion": version})
    deep = '{"a":' * LEVELS + "1" + "}" * LEVELS if name == "deep" else "1"
    return f'{{"metadata":{meta},"spec":{{"parameters":{deep}}}}}'


async def answer(request: web.Request) -> web.StreamResponse:
    """Know one kind; list a deep object and a healthy one, and tell of both again."""
    if request.path in KNOWN:
        return web.json_response(KNOWN[request.path])
    if "watch" not in request.query:
        text = f'{{"metadata":{{"resourceVersion":"5"}},"items":[{run("deep", "1")},{run("it", "2")}]}}'
        return web.Response(text=text, content_type="application/json")
    stream = web.StreamResponse()
    await stream.prepare(request)
    for one in (run("deep", "11"), run("it", "12")):
        await stream.write(f'{{"type":"MODIFIED","object":{one}}}\n'.encode())
    await asyncio.sleep(60)
    return stream


@pytest.fixture
async def address() -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


@pytest.fixture
def _limit() -> Iterator[None]:
    before = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(before)


class Listener:
    """Stands where the operator does, and knows when it was told of all that the server tells."""

    def __init__(self) -> None:
        self.noticed: set[tuple[str, str]] = set()
        self.all = asyncio.Event()

    def notice(self, key: Ref, version: str) -> None:
        self.noticed.add((key.name, version))
        if self.noticed >= {("deep", "11"), ("it", "12")}:
            self.all.set()


@pytest.mark.usefixtures("_limit")
async def test_kopf_outlives_what_is_nested_as_deeply_as_can_be(address: str) -> None:
    listener, registry = Listener(), kopf.OperatorRegistry()
    handlers._watch(registry, TRAINING_RUN, [cast("Operator", listener)])

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=address)

    settings, stop = kopf.OperatorSettings(), asyncio.Event()
    handlers._configure(settings)
    work = asyncio.create_task(
        kopf.operator(registry=registry, settings=settings, standalone=True, clusterwide=True, stop_flag=stop)
    )
    told = asyncio.create_task(listener.all.wait())
    await asyncio.wait((work, told), timeout=20, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await work
    assert told.done()

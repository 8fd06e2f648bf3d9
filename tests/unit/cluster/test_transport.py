"""The transport against a small HTTP server: what else than JSON an API server, or what stands before it, may say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import incluster_config

from local.certificates import Authority
from local.free_ports import free_port
from trainyard.systems.cluster import transport as module
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import HTTP_ROUTE, SERVICE, NotFound, Ref, Unavailable
from trainyard.systems.cluster.transport import Expired, Silent, Transport, connect

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Mute(web.StreamResponse):
    """Begins, and then says nothing."""

    async def prepare(self, request: web.BaseRequest) -> Any:
        begun = await super().prepare(request)
        await asyncio.sleep(0.5)
        return begun


class Server:
    """Answers every request as it is told, and remembers the queries."""

    def __init__(self) -> None:
        self.answers: list[web.StreamResponse] = []
        self.queries: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        return self.answers.pop(0)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, Transport]]:
    told = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", told.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    transport = Transport(ApiClient(Configuration(host=f"http://127.0.0.1:{port}")))
    yield told, transport
    await transport.close()
    await runner.cleanup()


async def lines(transport: Transport) -> list[bytes]:
    return [line async for line in transport.lines("/watch", [])]


async def test_a_group_that_is_not_there_is_answered_in_plain_text(server: tuple[Server, Transport]) -> None:
    told, transport = server
    told.answers = [web.Response(status=404, text="404 page not found\n") for _ in range(4)]
    cluster = KubernetesCluster(transport)
    assert await cluster.get(Ref(HTTP_ROUTE, "ns", "a")) is None
    assert await cluster.list(HTTP_ROUTE, "ns") == ()
    with pytest.raises(NotFound, match=r"^404 page not found \(404\)$"):
        await cluster.patch(Ref(HTTP_ROUTE, "ns", "a"), {})
    with pytest.raises(NotFound):
        await lines(transport)


async def test_a_success_that_is_no_json_tells_nothing(server: tuple[Server, Transport]) -> None:
    told, transport = server
    told.answers = [web.Response(text=text) for text in ("<html>", "[]", "[1]", "null", "7")]
    while told.answers:
        with pytest.raises(Unavailable) as caught:
            await transport.request("GET", "/x")
        assert caught.value.answered
    told.answers = [web.Response()]
    assert await transport.request("DELETE", "/x") == {}


NO_OBJECT = ("", "{}", "[]", '{"metadata": null}', '{"metadata": {"name": "a"}}', '{"kind": "Status"}')


@pytest.mark.parametrize("text", NO_OBJECT)
async def test_a_success_without_what_was_asked_for_is_unavailable(server: tuple[Server, Transport], text: str) -> None:
    told, transport = server
    cluster, ref = KubernetesCluster(transport), Ref(SERVICE, "ns", "a")
    made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "ns"}}
    asked: tuple[Callable[[], Awaitable[Any]], ...] = (
        lambda: cluster.get(ref),
        lambda: cluster.create(made),
        lambda: cluster.apply(made, "us"),
        lambda: cluster.patch(ref, {}),
        lambda: cluster.list(SERVICE, "ns"),
    )
    for ask in asked:
        told.answers = [web.Response(text=text)]
        with pytest.raises(Unavailable) as caught:
            await ask()
        assert caught.value.answered
    told.answers = [web.Response(text='{"metadata": {"resourceVersion": "1"}, "items": [7]}')]
    with pytest.raises(Unavailable, match="no object where a Service should be"):
        await cluster.list(SERVICE, "ns")


async def test_a_gateway_s_page_is_unavailable(server: tuple[Server, Transport]) -> None:
    told, transport = server
    told.answers = [web.Response(status=502, body=b"\xff<html>")]
    with pytest.raises(Unavailable):
        await transport.request("GET", "/x")


async def test_nobody_there() -> None:
    transport = Transport(ApiClient(Configuration(host=f"http://127.0.0.1:{free_port()}")))
    with pytest.raises(Unavailable, match="GET /x"):
        await transport.request("GET", "/x")
    with pytest.raises(Unavailable, match="watch /watch"):
        await lines(transport)
    await transport.close()


async def test_pages_are_followed(server: tuple[Server, Transport]) -> None:
    told, transport = server
    told.answers = [
        web.json_response({"metadata": {"continue": "more", "resourceVersion": "1"}, "items": [1]}),
        web.json_response({"metadata": {"resourceVersion": "1"}, "items": [2]}),
        web.json_response({"metadata": {"continue": "late", "resourceVersion": "1"}}),
        web.json_response({"reason": "Expired"}, status=410),
    ]
    items = [page["items"] async for page in transport.pages(SERVICE, "ns", "a=b")]
    assert items == [[1], [2]]
    assert told.queries == [
        {"limit": "500", "labelSelector": "a=b"},
        {"limit": "500", "labelSelector": "a=b", "continue": "more"},
    ]
    with pytest.raises(Expired):
        [page async for page in transport.pages(SERVICE, "ns", "")]


async def test_lines_of_any_length(server: tuple[Server, Transport]) -> None:
    told, transport = server
    long = b"x" * (5 * 2**20)
    told.answers = [web.Response(body=b"one\n\n" + long + b"\ncut off")]
    assert await lines(transport) == [b"one", long]


async def test_without_a_pod_the_kubeconfig_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    async def load(client_configuration: Configuration) -> None:
        asked.append("kubeconfig")
        client_configuration.host = "http://somewhere"

    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(module, "load_kube_config", load)
    api = await connect()
    assert asked == ["kubeconfig"]
    assert api.configuration.host == "http://somewhere"
    await Transport(api).close()


async def test_logs_come_whole_a_watch_without_what_is_no_line(server: tuple[Server, Transport]) -> None:
    told, transport = server
    told.answers = [web.Response(text="one\n\ntwo, no end") for _ in range(2)]
    assert [line async for line in transport.lines("/log", [], whole=True)] == [b"one", b"", b"two, no end"]
    assert await lines(transport) == [b"one"]


async def test_a_busy_server_says_how_long(server: tuple[Server, Transport]) -> None:
    told, transport = server
    told.answers = [web.Response(status=429, headers={"Retry-After": "7"}), web.Response(status=503)]
    with pytest.raises(Unavailable) as caught:
        await transport.request("GET", "/x")
    assert caught.value.retry_after == 7.0
    with pytest.raises(Unavailable) as caught:
        await transport.request("GET", "/x")
    assert caught.value.retry_after == 0.0


async def test_a_stream_that_is_silent_for_too_long_is_told_apart(
    server: tuple[Server, Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    told, transport = server
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.05)

    told.answers = [Mute()]
    opened: list[str] = []
    with pytest.raises(Silent):
        [line async for line in transport.lines("/watch", [], opened=lambda: opened.append("yes"))]
    assert opened == ["yes"]


async def test_a_rotated_token_counts_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first\n")
    authority.write_bytes(Authority(tmp_path / "pki").pair.certificate.read_bytes())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    api = await connect()
    assert await api.configuration.get_api_key_with_prefix("BearerToken") == "bearer first"
    token.write_text("second")
    assert await api.configuration.get_api_key_with_prefix("BearerToken") == "bearer second"
    await Transport(api).close()

"""How the command line enters Prometheus: the operator's own settings, as flags and variables."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner

from local.certificates import Authority
from trainyard.cli import rollout_past
from trainyard.cli.app import app
from trainyard.cli.entering import Entrance, prometheus
from trainyard.cli.problem import USAGE, Problem

URL = "http://127.0.0.1:1"


@pytest.fixture
async def server() -> AsyncIterator[tuple[str, list[web.Request]]]:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": []}})

    served = web.Application()
    served.router.add_post("/api/v1/query", answer)
    async with TestServer(served) as running:
        yield str(running.make_url("")), seen


async def test_a_token_and_headers_are_sent(tmp_path: Path, server: tuple[str, list[web.Request]]) -> None:
    url, seen = server
    (tmp_path / "token").write_text("secret\n")
    entrance = Entrance(token=str(tmp_path / "token"), headers=("X-Scope-OrgID=team=a",))
    status = {"canary": {"revision": "b"}, "canaryStartedTime": "2026-03-01T11:59:29Z"}
    await rollout_past.earlier(url, entrance, "shop", {"metadata": {"name": "churn"}, "status": status})
    assert seen[0].headers["Authorization"] == "Bearer secret"
    assert seen[0].headers["X-Scope-OrgID"] == "team=a"


async def test_a_password_is_sent(tmp_path: Path, server: tuple[str, list[web.Request]]) -> None:
    url, seen = server
    (tmp_path / "password").write_text("open sesame")
    client = prometheus(url, Entrance(username="ada", password=str(tmp_path / "password")))
    assert (await client.query("up")).failure == ""
    await client.close()
    assert seen[0].headers["Authorization"] == "Basic YWRhOm9wZW4gc2VzYW1l"


async def test_an_authority_of_ones_own_is_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    client = prometheus("https://127.0.0.1:1", Entrance(ca=str(authority.pair.certificate)))
    context = client._connection.tls()
    await client.close()
    assert not isinstance(context, bool)
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("entrance", "sentence"),
    [
        (Entrance(username="ada"), "username and password need each other"),
        (Entrance(key="key"), "certificate and key need each other"),
        (Entrance(token="t", username="ada", password="p"), "token and username exclude each other"),
        (Entrance(headers=("X",)), "write NAME=VALUE"),
        (Entrance(headers=("Authorization=Bearer x",)), "write NAME=VALUE"),
    ],
)
def test_what_makes_no_sense_is_refused(entrance: Entrance, sentence: str) -> None:
    with pytest.raises(Problem, match=sentence) as told:
        prometheus(URL, entrance)
    assert told.value.status == USAGE


@pytest.mark.parametrize("command", [("rollout", "get", "churn"), ("rollout", "replay", "churn")])
def test_both_commands_take_the_flags(command: tuple[str, ...]) -> None:
    told = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).output
    for flag in ("ca-file", "certificate-file", "key-file", "token-file", "username", "password-file", "header"):
        assert f"--prometheus-{flag}" in told
    assert "TRAINYARD_PROMETHEUS_TOKEN_FILE" in told

"""What is made of the server's answers. The requests themselves are in the contract suite and the kill tests."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from trainyard.systems.engine.kubeflow_api import ApiError, KubeflowApi, refusal


def body(message: str, *details: str) -> bytes:
    return json.dumps({"code": 13, "message": message, "details": [{"error_details": d} for d in details]}).encode()


@pytest.mark.parametrize(
    ("status", "text", "permanent", "done"),
    [
        (400, body("Invalid input error: parameter(s) provided are not required by pipeline: x"), True, False),
        (500, body("Failed to create a run", "InvalidInputError: unknown template format"), True, True),
        (500, b'{"error_message": "Failed", "error_details": "invalid v2 pipeline spec: x"}', True, True),
        (500, body("Failed to create a workflow", "connection refused"), False, True),
        (409, body("Already exist: invalid input error"), False, False),
        (429, body("invalid input error"), False, False),
        (403, body("not authorized, invalid input error"), False, False),
        (503, b"<html>", False, True),
        (400, b"[]", False, False),
        (400, b'{"details": 1}', False, False),
    ],
)
def test_permanent_or_passing(status: int, text: bytes, permanent: bool, done: bool) -> None:
    error = refusal("POST", "/runs", status, text)
    assert (error.permanent, error.done, error.status) == (permanent, done, status)


def test_one_line_is_kept() -> None:
    told = str(refusal("POST", "/runs", 500, body("first\n  second", "second", "third " * 500)))
    assert told.startswith("Kubeflow answered 500: first second")
    assert len(told) < 700
    assert str(refusal("GET", "/x", 502, b"no json")) == "Kubeflow answered 502: GET /x"


async def _served(answer: Any) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}"


async def test_the_token_is_read_anew_each_time(tmp_path: Path) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", ""))
        return web.json_response({"run_id": "x"})

    runner, url = await _served(answer)
    token = tmp_path / "token"
    api = KubeflowApi(url, str(token))
    with pytest.raises(ApiError, match="token for Kubeflow cannot be read"):
        await api.run("x")
    for text in ("one", "two\n"):
        token.write_text(text)
        await api.run("x")
    await api.close()
    await runner.cleanup()
    assert seen == ["Bearer one", "Bearer two"]


async def test_answers_that_are_none() -> None:
    async def answer(request: web.Request) -> web.Response:
        if "v1beta1" in request.path:
            return web.json_response({"pipeline_runtime": {"workflow_manifest": "{"}})
        return web.Response(text="[]" if request.method == "GET" else "{")

    runner, url = await _served(answer)
    api = KubeflowApi(url)
    assert await api.run("x") == {}
    assert await api.workflow("x") is None
    with pytest.raises(ApiError, match="is no JSON") as caught:
        await api.create_run({})
    assert caught.value.done
    await runner.cleanup()
    with pytest.raises(ApiError):
        await api.run("x")
    await api.close()


async def test_a_server_that_is_not_there_has_done_nothing() -> None:
    api = KubeflowApi("http://127.0.0.1:9")
    with pytest.raises(ApiError, match="cannot be reached") as caught:
        await api.create_run({})
    assert not caught.value.done
    await api.close()
    await api.close()


async def test_a_terminate_that_comes_too_late_is_fine() -> None:
    status = 404

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"message": "not found"}, status=status)

    runner, url = await _served(answer)
    api = KubeflowApi(url)
    await api.terminate("x")
    status = 500
    with pytest.raises(ApiError):
        await api.terminate("x")
    await api.close()
    await runner.cleanup()


async def test_what_another_one_created_is_adopted_and_what_is_wrong_is_said() -> None:
    lists = iter([[], [{"display_name": "e", "experiment_id": "theirs"}], [], []])

    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({"experiments": next(lists)})
        return web.json_response({"message": "Already exist"}, status=409)

    runner, url = await _served(answer)
    api = KubeflowApi(url)
    assert await api.experiment("e", "team") == "theirs"
    with pytest.raises(ApiError, match="409"):
        await api.experiment("e", "")
    await api.close()
    await runner.cleanup()


async def test_a_permanent_refusal_is_not_looked_up_again() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        if request.method == "GET":
            return web.json_response({})
        return web.json_response({"message": "invalid input error: name"}, status=400)

    runner, url = await _served(answer)
    api = KubeflowApi(url)
    with pytest.raises(ApiError) as caught:
        await api.pipeline("p", "", "about")
    assert caught.value.permanent
    assert asked == ["GET", "POST"]
    await api.close()
    await runner.cleanup()

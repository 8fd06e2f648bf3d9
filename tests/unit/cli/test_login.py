"""Logging in as the kubeconfig says: plugins, tokens that end, and what is said where it cannot be done."""

import json
import stat
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.aio.client import Configuration

from trainyard.cli import clock
from trainyard.cli.connection import connected
from trainyard.cli.problem import FAILED, Problem
from trainyard.cli.where import Where

EXEC = "client.authentication.k8s.io/v1"


def kubeconfig(folder: Path, user: Mapping[str, Any], **over: Any) -> Path:
    """Write a kubeconfig with one user."""
    found = {
        "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:9"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "ada", "namespace": "shop"}}],
        "users": [{"name": "ada", "user": dict(user)}],
        "current-context": "here",
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump({**found, **over}))
    return file


def plugin(folder: Path, status: str) -> dict[str, Any]:
    """Write a plugin; status: Python for what it says. It counts its runs in `n`."""
    program = folder / "plugin"
    counter = folder / "runs"
    lines = (
        f"#!{sys.executable}", "import json, pathlib, sys",
        f"counter = pathlib.Path({str(counter)!r})",
        "n = int(counter.read_text()) + 1 if counter.exists() else 1", "counter.write_text(str(n))",
        f"print(json.dumps({{'apiVersion': {EXEC!r}, 'kind': 'ExecCredential', 'status': {status}}}))",
    )  # fmt: skip
    program.write_text("\n".join(lines))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": EXEC, "command": str(program)}}


def stamp(seconds: float) -> str:
    return (clock.now() + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def tokens(file: Path, count: int) -> list[Any]:
    """Return what so many requests would send."""
    async with connected(Where(kubeconfig=str(file))) as connection:
        assert connection.namespace == "shop"
        configuration: Configuration = connection.transport._api.configuration
        return [(await configuration.auth_settings())["BearerToken"]["value"] for _ in range(count)]


async def test_a_plugin_is_asked_again_once_its_token_has_ended(tmp_path: Path) -> None:
    ended, holds = stamp(20), stamp(3600)
    status = f"{{'token': f'token-{{n}}', 'expirationTimestamp': {ended!r} if n == 1 else {holds!r}}}"
    file = kubeconfig(tmp_path, plugin(tmp_path, status))
    assert await tokens(file, 3) == ["Bearer token-2"] * 3


async def test_a_plugin_that_names_no_end_is_asked_once(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, plugin(tmp_path, "{'token': f'token-{n}'}"))
    assert await tokens(file, 3) == ["Bearer token-1"] * 3


async def test_a_token_is_read_again_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first")
    file = kubeconfig(tmp_path, {"tokenFile": "token"})
    async with connected(Where(kubeconfig=str(file))) as connection:
        (tmp_path / "token").write_text("second")
        settings = await connection.transport._api.configuration.auth_settings()
    assert settings["BearerToken"]["value"] == "Bearer second"


PLUGINS = [
    ({"apiVersion": EXEC, "command": "/nope/plugin"}, "No such file or directory: '/nope/plugin'"),
    ({"apiVersion": EXEC, "command": "false"}, "process returned 1"),
    ({"apiVersion": EXEC, "command": "echo", "args": ["hello"]}, "failed to decode process output"),
    ({"apiVersion": EXEC, "command": "echo", "args": ["5"]}, "its answer is no ExecCredential"),
    ({"command": "true"}, "missing key 'apiVersion'"),
    (
        {"apiVersion": EXEC, "command": "echo", "args": [json.dumps({"apiVersion": EXEC, "kind": "", "status": {}})]},
        "it gives neither a token nor a certificate with its key",
    ),
]


@pytest.mark.parametrize(("told", "words"), PLUGINS, ids=[words for _, words in PLUGINS])
async def test_a_plugin_that_fails_is_one_sentence(told: Mapping[str, Any], words: str, tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, {"exec": told})
    with pytest.raises(Problem) as problem:
        await tokens(file, 1)
    assert problem.value.status == FAILED
    assert str(problem.value).startswith("The login plugin of the kubeconfig's user 'ada' fails: ")
    assert words in str(problem.value)
    assert "\n" not in str(problem.value)

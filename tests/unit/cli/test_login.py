"""Logging in as the kubeconfig says: plugins, tokens that end, and what is said where it cannot be done."""

import base64
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
from trainyard.cli.problem import FAILED, USAGE, Problem
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
        (tmp_path / "token").write_text("second\n")
        settings = await connection.transport._api.configuration.auth_settings()
    assert settings["BearerToken"]["value"] == "Bearer second"


async def test_kubectl_proxy_wants_no_user(tmp_path: Path) -> None:
    clusters = [{"name": "here", "cluster": {"server": "http://127.0.0.1:8001"}}]
    contexts = [{"name": "here", "context": {"cluster": "here", "namespace": "shop"}}]
    file = kubeconfig(tmp_path, {}, clusters=clusters, contexts=contexts, users=None)
    async with connected(Where(kubeconfig=str(file))) as connection:
        assert (connection.namespace, connection.transport._api.configuration.host) == ("shop", "http://127.0.0.1:8001")


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


async def test_an_oidc_login_that_holds_and_one_that_cannot_be_renewed(tmp_path: Path) -> None:
    config = {"refresh-token": "r", "client-id": "i", "client-secret": "s", "idp-issuer-url": "http://127.0.0.1:9"}

    def of_token(seconds: float) -> dict[str, Any]:
        claims = base64.b64encode(json.dumps({"exp": int(clock.now().timestamp() + seconds)}).encode()).decode()
        return {"auth-provider": {"name": "oidc", "config": {**config, "id-token": f"a.{claims.rstrip('=')}.c"}}}

    holds = of_token(900)
    token = holds["auth-provider"]["config"]["id-token"]
    assert await tokens(kubeconfig(tmp_path, holds), 1) == [f"Bearer {token}"]
    file = kubeconfig(tmp_path, of_token(-9))
    await refused(Where(kubeconfig=str(file)), f"The kubeconfig {file} cannot be used: its OIDC issuer does not answer")


NO_PEM = base64.b64encode(b"no certificate").decode()
KUBECONFIGS: list[tuple[Any, str]] = [
    (b"", "it is empty, or not written as a kubeconfig is"),
    (b"just words", "it is empty, or not written as a kubeconfig is"),
    (b"- a\n- b\n", "it is empty, or not written as a kubeconfig is"),
    (b"{clusters: [", "it is not YAML"),
    (b"\xff\xfe\x00", "it is not UTF-8"),
    (b"{}", "Expected key current-context in "),
    ({"users": None}, "it has no user 'ada'"),
    ({"contexts": [{"name": "here", "context": {"cluster": "here"}}]}, "its context names no user"),
    ({"clusters": [{"name": "here", "cluster": {"insecure-skip-tls-verify": True}}]}, "its cluster names no server"),
    ({"clusters": [{"name": "here", "cluster": {"server": 5}}]}, "it is not written as a kubeconfig is"),
    ({"users": [{"name": "ada", "password": "s3cret"}]}, "Expected key user in "),
    ({"client-certificate-data": "abcde", "client-key-data": "abcde"}, "a certificate or a key in it is not base64"),
    ({"client-certificate-data": NO_PEM, "client-key-data": NO_PEM}, "its certificates and keys are none, or do not "),
    ({"client-certificate": "/nope.crt", "client-key": "/nope.key"}, "File does not exists: /nope.crt"),
    ({"tokenFile": "/nope/token"}, "No such file or directory: /nope/token"),
    ({"tokenFile": sys.executable}, "its login cannot be read ('utf-8' codec can't decode"),
    ({"auth-provider": {"name": "gcp", "config": {}}}, "its login cannot be read (GoogleAuth via gcloud"),
    ({"auth-provider": {"name": "oidc", "config": {"id-token": "a.b"}}}, "its OIDC login has no id-token"),
    ({"auth-provider": {"name": "oidc", "config": {"id-token": "a.W10.c"}}}, "its OIDC login has no id-token"),
]


@pytest.mark.parametrize(("told", "words"), KUBECONFIGS, ids=[str(told)[:60] for told, _ in KUBECONFIGS])
async def test_a_kubeconfig_that_cannot_be_used_is_one_sentence(told: Any, words: str, tmp_path: Path) -> None:
    if isinstance(told, bytes):
        file = tmp_path / "kubeconfig"
        file.write_bytes(told)
    elif {"users", "contexts", "clusters"} & told.keys():
        file = kubeconfig(tmp_path, {"token": "t"}, **told)
    else:
        file = kubeconfig(tmp_path, told)
    await refused(Where(kubeconfig=str(file)), f"The kubeconfig {file} cannot be used: ", words)


async def refused(where: Where, *words: str) -> None:
    with pytest.raises(Problem) as problem:
        async with connected(where):
            pass
    assert problem.value.status == USAGE
    assert [word for word in words if word not in str(problem.value)] == []
    assert "\n" not in str(problem.value)
    assert "s3cret" not in str(problem.value)


async def test_a_kubeconfig_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await refused(Where(kubeconfig=str(tmp_path)), f"The kubeconfig {tmp_path} cannot be used: Is a directory.")
    nothing = str(tmp_path / "nothing")
    await refused(Where(kubeconfig=nothing), f"There is no kubeconfig {nothing}.")
    monkeypatch.setenv("KUBECONFIG", nothing)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    await refused(Where(context="here"), f"There is no kubeconfig {nothing}.")
    await refused(Where(), f"No API server: there is no kubeconfig {nothing}, and this is no pod.")
    broken = tmp_path / "broken"
    broken.write_text("{")
    good = kubeconfig(tmp_path, {"token": "t"})
    monkeypatch.setenv("KUBECONFIG", f"{good}:{nothing}:{broken}")
    await refused(Where(), f"The kubeconfig {broken} cannot be used: it is not YAML.")
    monkeypatch.setenv("KUBECONFIG", str(good))
    await refused(Where(context="there"), f"The kubeconfig {good} cannot be used: ", "there")

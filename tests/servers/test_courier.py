"""The courier as pods run it, a process with an environment, against a real MinIO: bytes, exit codes, a kill."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from local.free_ports import free_port
from tests.contracts.test_artifacts import client
from tests.servers.running import Store, minio
from trainyard.courier.__main__ import main
from trainyard.systems.artifacts.port import artifact_digest, parse_manifest

pytestmark = pytest.mark.servers

OPERATOR = Path(__file__).resolve().parents[2] / "operator"


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with minio() as running:
        client(running)
        yield running


def environment(store: Store, room: Path, uri: str, **more: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": store.user,
        "AWS_SECRET_ACCESS_KEY": store.password,
        "TRAINYARD_STORE_ENDPOINT": store.url,
        "TRAINYARD_OUTPUT": str(room / "output"),
        "TRAINYARD_DATA": str(room / "data"),
        "TRAINYARD_ARTIFACT_URI": uri,
        "TRAINYARD_MODEL_DIR": str(room / "models"),
        **more,
    }


def courier(verb: str, env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trainyard.courier", verb],
        env={**env, "PATH": os.environ["PATH"], "PYTHONPATH": str(OPERATOR)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ran(verb: str, env: dict[str, str]) -> tuple[int, str, str]:
    with courier(verb, env) as process:
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


def output(room: Path, sizes: dict[str, int]) -> None:
    for path, size in sizes.items():
        file = room / "output" / "model" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(1 << 16) * (size >> 16) + os.urandom(size & 0xFFFF))
    (room / "output" / "metrics.json").write_text('{"auc": 0.9731}')


async def test_from_data_to_a_served_model(store: Store, tmp_path: Path) -> None:
    artifacts = client(store)
    await artifacts.put("s3://trainyard/data/digits/train.csv", b"1,2\n")
    uri = "s3://trainyard/team/digits/v1/1/"
    env = environment(store, tmp_path, uri, TRAINYARD_DATASETS='{"digits": "s3://trainyard/data/digits/"}')
    code, out, err = ran("data", env)
    assert (code, err) == (0, "")
    assert "1 files" in out
    output(tmp_path, {"saved_model.pb": 1000, "variables/variables.data": 20 << 20})
    code, out, err = ran("publish", env)
    assert (code, err) == (0, "")
    text = await artifacts.read(uri + "manifest.json", 1 << 20)
    assert text is not None
    manifest = parse_manifest(text)
    assert json.loads(text)["digest"] == manifest.digest == artifact_digest(manifest.files)
    note = json.loads((tmp_path / "data" / "digits.json").read_text())
    assert manifest.details == {"datasets": [note]}
    assert manifest.metrics == {"auc": "0.9731"}
    code, out, err = ran("fetch", {**env, "TRAINYARD_ARTIFACT_DIGEST": manifest.digest})
    assert (code, err) == (0, "")
    for file in manifest.files:
        assert (tmp_path / "models" / file.path).read_bytes() == (tmp_path / "output" / file.path).read_bytes()


async def test_a_publisher_killed_at_any_moment_is_finished_by_the_next(store: Store, tmp_path: Path) -> None:
    artifacts = client(store)
    uri = "s3://trainyard/team/killed/v1/1/"
    env = environment(store, tmp_path, uri)
    output(tmp_path, {f"shard-{i}": 9 << 20 for i in range(6)})
    for fraction in range(1, 4):
        with courier("publish", env) as process:
            wait_for_line(process)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05 * fraction)  # any moment will do: nothing below depends on which
            process.kill()
    code, _, err = ran("publish", env)
    assert (code, err) == (0, "")
    text = await artifacts.read(uri + "manifest.json", 1 << 20)
    assert text is not None
    digest = parse_manifest(text).digest
    code, _, err = ran("fetch", {**env, "TRAINYARD_ARTIFACT_DIGEST": digest})
    assert (code, err) == (0, "")


def wait_for_line(process: subprocess.Popen[str]) -> None:
    """Wait until the courier has said what is to come."""
    assert process.stdout is not None
    assert process.stdout.readline()


async def test_two_publishers_at_once_agree(store: Store, tmp_path: Path) -> None:
    env = environment(store, tmp_path, "s3://trainyard/team/twice/v1/1/")
    output(tmp_path, {f"shard-{i}": 3 << 20 for i in range(4)})
    with courier("publish", env) as one, courier("publish", env) as two:
        assert (one.communicate(timeout=120)[1], two.communicate(timeout=120)[1]) == ("", "")
    assert (one.returncode, two.returncode) == (0, 0)


def test_exit_codes_and_last_words(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = "s3://trainyard/team/codes/v1/1/"
    env = environment(store, tmp_path, uri, TRAINYARD_ARTIFACT_DIGEST="sha256:" + "0" * 64)
    last = tmp_path / "termination-log"
    last.touch()
    assert main(["publish"], env, last) == 3
    assert "nothing to publish" in last.read_text()
    assert main(["fetch"], env, last) == 5
    assert "manifest.json does not exist" in last.read_text()
    output(tmp_path, {"saved_model.pb": 10})
    assert main(["publish"], env, last) == 0
    assert main(["fetch"], env, last) == 4
    assert "wanted is sha256:000" in last.read_text()
    assert main(["fetch"], {**env, "TRAINYARD_ARTIFACT_URI": "s3://trainyard/a/../b/"}, last) == 3
    assert main(["fetch"], {**env, "TRAINYARD_MODEL_DIR": "/proc/none"}, last) != 0
    assert main(["nonsense"], env, last) == 2
    assert "wanted is" in capsys.readouterr().err


def test_a_store_that_is_away_is_code_1_and_no_secret_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trainyard.courier.carrying.MOST_PAUSE_SECONDS", 0.5)
    monkeypatch.setattr("trainyard.courier.__main__.PATIENCE_SECONDS", 1.0)
    away = Store(f"http://127.0.0.1:{free_port()}", "who", "s3cret-s3cret", server=None)
    env = environment(away, tmp_path, "s3://trainyard/team/away/v1/1/")
    output(tmp_path, {"saved_model.pb": 10})
    assert main(["publish"], env, tmp_path / "none") == 1
    said = capsys.readouterr()
    assert "does not answer" in said.err
    assert "s3cret" not in said.err + said.out


def test_it_starts_fast_and_without_the_operator() -> None:
    """What a pod waits for before the first byte moves: no Kubernetes client, no pydantic, no HTTP server."""
    code = "import sys, trainyard.courier.__main__; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    said = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(OPERATOR)}, capture_output=True, text=True, check=True
    )
    loaded = set(said.stdout.split())
    assert "obstore" in loaded
    assert loaded.isdisjoint({"kubernetes", "kopf", "pydantic", "aiohttp", "sqlalchemy", "typer", "rich"})

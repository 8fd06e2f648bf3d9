"""The setup Job as the chart runs it, against a real API server and a real MinIO; and what each identity may do."""

import base64
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import minio as sdk
import pytest
from minio.error import S3Error

from local.free_ports import free_port
from local.rig import ApiServerRig
from tests.servers.running import Store, minio
from trainyard.setup import store as store_step
from trainyard.setup.progress import SetupFailed
from trainyard.systems.artifacts.administration import StoreAdministration, StoreRefused
from trainyard.systems.artifacts.client import ObstoreArtifacts
from trainyard.systems.artifacts.port import ArtifactError

pytestmark = [pytest.mark.servers, pytest.mark.rig]

OPERATOR = Path(__file__).resolve().parents[2] / "operator"
NAMES = {
    "TRAINYARD_SETUP_RELEASE_NAMESPACE": "system",
    "TRAINYARD_SETUP_NAMESPACES": "team, other",
    "TRAINYARD_SETUP_MYSQL_SECRET": "trainyard-mysql",
    "TRAINYARD_SETUP_STORE_SECRET": "trainyard-minio",
    "TRAINYARD_SETUP_OPERATOR_SECRET": "trainyard-operator-store",
}


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with minio() as running:
        yield running


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Callable[..., str]]:
    with ApiServerRig() as rig:

        def call(*arguments: str) -> str:
            command = [rig.kubectl, "--kubeconfig", str(rig.kubeconfig), *arguments]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

        call.kubeconfig = str(rig.kubeconfig)  # type: ignore[attr-defined] # read by `setup` below
        for namespace in ("system", "team", "other"):
            call("create", "namespace", namespace)
        yield call


def setup(kubectl: Callable[..., str], step: str, store: Store, **more: str) -> subprocess.CompletedProcess[str]:
    env = {
        **NAMES,
        "TRAINYARD_STORE_ENDPOINT": store.url,
        "TRAINYARD_STORE_BUCKET": "trainyard",
        "MINIO_ROOT_USER": store.user,
        "MINIO_ROOT_PASSWORD": store.password,
        "KUBECONFIG": kubectl.kubeconfig,  # type: ignore[attr-defined] # as above
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(OPERATOR),
        **more,
    }
    return subprocess.run(
        [sys.executable, "-m", "trainyard.setup", step],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def secret(kubectl: Callable[..., str], namespace: str, name: str, key: str) -> str:
    held = kubectl("get", "secret", "-n", namespace, name, "-o", f"jsonpath={{.data.{key}}}")
    return base64.b64decode(held).decode()


@pytest.fixture(scope="module")
def made(store: Store, kubectl: Callable[..., str]) -> None:
    """Run both steps."""
    for step in ("secrets", "store"):
        done = setup(kubectl, step, store)
        assert (done.returncode, done.stderr) == (0, "")
        assert store.password not in done.stdout


@pytest.fixture
def identity(store: Store, kubectl: Callable[..., str], made: None) -> Callable[..., ObstoreArtifacts]:
    def get(name: str, namespace: str = "team") -> ObstoreArtifacts:
        keys = [secret(kubectl, namespace, name, f"AWS_{key}") for key in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")]
        return ObstoreArtifacts(store.url, "us-east-1", *keys)

    return get


def test_a_second_run_changes_nothing(store: Store, kubectl: Callable[..., str], made: None) -> None:
    before = kubectl("get", "secrets", "-A", "-o", "jsonpath={.items[*].metadata.resourceVersion}")
    for step in ("secrets", "store"):
        done = setup(kubectl, step, store)
        assert (done.returncode, done.stderr) == (0, "")
    assert kubectl("get", "secrets", "-A", "-o", "jsonpath={.items[*].metadata.resourceVersion}") == before
    assert secret(kubectl, "system", "trainyard-minio", "root-user") == "trainyard-root"
    assert len(secret(kubectl, "system", "trainyard-mysql", "password")) == 32


async def refused(call: Awaitable[object]) -> None:
    with pytest.raises(ArtifactError, match="refuses"):
        await call


async def test_the_publisher_puts_and_reads_back_in_its_own_namespace_only(
    identity: Callable[..., ObstoreArtifacts], tmp_path: Path
) -> None:
    publisher = identity("trainyard-publisher")
    uri = "s3://trainyard/team/digits/v1/1/"
    (tmp_path / "large").write_bytes(b"x" * (9 << 20))
    await publisher.upload(uri + "model/large", str(tmp_path / "large"))
    assert await publisher.put(uri + "manifest.json", b"{}", if_absent=True)
    assert not await publisher.put(uri + "manifest.json", b"{}", if_absent=True)
    assert await publisher.read(uri + "manifest.json", 10) == b"{}"
    assert [o.path for o in await publisher.list(uri)] == ["manifest.json", "model/large"]
    assert await publisher.read(uri + "nothing", 10) is None
    await refused(publisher.put("s3://trainyard/other/digits/v1/1/x", b""))
    await refused(publisher.put("s3://trainyard/teammate/x", b""))
    await refused(publisher.read("s3://trainyard/other/x", 1))
    await refused(publisher.list("s3://trainyard/other/"))


async def test_the_publisher_deletes_nothing(
    identity: Callable[..., ObstoreArtifacts], store: Store, kubectl: Callable[..., str]
) -> None:
    await identity("trainyard-publisher").put("s3://trainyard/team/kept", b"1")
    keys = [secret(kubectl, "team", "trainyard-publisher", f"AWS_{k}") for k in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")]
    deleting = sdk.Minio(store.url.removeprefix("http://"), keys[0], keys[1], secure=False)
    with pytest.raises(S3Error, match="Access Denied"):
        deleting.remove_object("trainyard", "team/kept")


async def test_the_reader_reads_its_namespace_and_writes_nothing(identity: Callable[..., ObstoreArtifacts]) -> None:
    await identity("trainyard-publisher").put("s3://trainyard/team/model", b"m")
    await identity("trainyard-publisher", "other").put("s3://trainyard/other/model", b"o")
    reader = identity("trainyard-reader")
    assert await reader.read("s3://trainyard/team/model", 10) == b"m"
    assert await reader.read("s3://trainyard/team/none", 10) is None
    await refused(reader.put("s3://trainyard/team/model", b""))
    await refused(reader.read("s3://trainyard/other/model", 10))


async def test_data_reads_the_shared_data_too_and_the_operator_everything(
    identity: Callable[..., ObstoreArtifacts], store: Store
) -> None:
    root = ObstoreArtifacts(store.url, "us-east-1", store.user, store.password)
    await root.put("s3://trainyard/data/digits/train.csv", b"1")
    await root.put("s3://trainyard/team/own.csv", b"2")
    data, operator = identity("trainyard-data"), identity("trainyard-operator-store", "system")
    for one in (data, operator):
        assert await one.read("s3://trainyard/data/digits/train.csv", 1) == b"1"
        assert await one.read("s3://trainyard/team/own.csv", 1) == b"2"
        assert [o.path for o in await one.list("s3://trainyard/data/digits/")] == ["train.csv"]
        assert await one.list("s3://trainyard/data/absent/") == ()
        assert await one.read("s3://trainyard/data/absent", 1) is None
        await refused(one.put("s3://trainyard/data/x", b""))
    await refused(data.read("s3://trainyard/other/x", 1))
    assert await operator.read("s3://trainyard/other/none", 1) is None
    await refused(identity("trainyard-reader").read("s3://trainyard/data/digits/train.csv", 1))


async def test_a_store_that_lost_its_users_gets_them_again(
    identity: Callable[..., ObstoreArtifacts], store: Store, kubectl: Callable[..., str]
) -> None:
    user = secret(kubectl, "team", "trainyard-reader", "AWS_ACCESS_KEY_ID")
    StoreAdministration(store.url, store.user, store.password)._admin.user_remove(user)
    await refused(identity("trainyard-reader").read("s3://trainyard/team/x", 1))
    assert setup(kubectl, "store", store).returncode == 0
    assert await identity("trainyard-reader").read("s3://trainyard/team/x", 1) is None


def test_a_namespace_that_is_not_there_is_named(store: Store, kubectl: Callable[..., str], made: None) -> None:
    done = setup(kubectl, "store", store, TRAINYARD_SETUP_NAMESPACES="nowhere")
    assert done.returncode == 1
    assert "there is no namespace nowhere" in done.stderr


def test_wrong_root_credentials_end_at_once(store: Store, kubectl: Callable[..., str]) -> None:
    done = setup(kubectl, "store", store, MINIO_ROOT_PASSWORD="wrong-wrong-wrong")
    assert done.returncode == 1
    assert "refuses its root identity (AccessDenied)" in done.stderr
    assert "wrong-wrong" not in done.stderr + done.stdout


def test_what_is_not_set_is_named(store: Store, kubectl: Callable[..., str]) -> None:
    done = setup(kubectl, "secrets", store, TRAINYARD_SETUP_RELEASE_NAMESPACE="")
    assert (done.returncode, done.stderr) == (1, "setup secrets: TRAINYARD_SETUP_RELEASE_NAMESPACE is not set\n")
    assert setup(kubectl, "nonsense", store).returncode == 2


async def test_it_waits_for_the_store_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store_step, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(store_step, "LOOK_SECONDS", 0.1)
    with pytest.raises(SetupFailed, match="was not ready within"):
        await store_step._wait(StoreAdministration(f"http://127.0.0.1:{free_port()}", "root", "password"))
    assert "waiting for the store, 0 s: it does not answer" in capsys.readouterr().out


async def test_it_goes_on_when_the_store_comes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_step, "LOOK_SECONDS", 0.01)
    real = StoreAdministration(store.url, store.user, store.password)
    answers = iter(["it does not answer", "it is starting"])

    class Slow(StoreAdministration):
        def why_not_ready(self) -> str:
            return next(answers, "") or real.why_not_ready()

    await store_step._wait(Slow(store.url, store.user, store.password))
    assert next(answers, None) is None


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(StoreRefused, match="not an http or https URL"):
        StoreAdministration("minio:9000", "root", "password")

"""One suite for the `Artifacts` port: the fake, and the real client on a real MinIO."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.free_ports import free_port
from tests.fakes.artifacts import FakeArtifacts, etag
from tests.servers.running import Store, minio
from trainyard.systems.artifacts.client import ObstoreArtifacts
from trainyard.systems.artifacts.port import ArtifactError, Artifacts, ObjectChanged, ObjectInfo, ObjectMissing

BUCKET = "s3://trainyard"


@pytest.fixture(scope="module")
def running() -> Iterator[Store]:
    with minio() as store:
        yield store


@pytest.fixture(params=["fake", pytest.param("minio", marks=pytest.mark.servers)])
def room(request: pytest.FixtureRequest) -> Iterator[tuple[Artifacts, str]]:
    """A store and a prefix of the test's own."""
    own = f"{BUCKET}/{request.node.name.split('[')[0].replace('_', '-')}"
    if request.param == "fake":
        yield FakeArtifacts(), own
    else:
        store = request.getfixturevalue("running")
        yield client(store), own


def client(store: Store) -> ObstoreArtifacts:
    make_bucket(store)
    return ObstoreArtifacts(store.url, "us-east-1", store.user, store.password)


def make_bucket(store: Store) -> None:
    """Create the bucket as the platform would; that it is there already is fine."""
    import minio as sdk

    admin = sdk.Minio(store.url.removeprefix("http://"), access_key=store.user, secret_key=store.password, secure=False)
    if not admin.bucket_exists("trainyard"):
        admin.make_bucket("trainyard")


async def whole(artifacts: Artifacts, uri: str) -> bytes:
    return b"".join([chunk async for chunk in artifacts.stream(uri)])


async def test_what_was_put_is_read(room: tuple[Artifacts, str]) -> None:
    artifacts, own = room
    assert await artifacts.put(f"{own}/a.json", b"{}")
    assert await artifacts.read(f"{own}/a.json", 2) == b"{}"
    assert await whole(artifacts, f"{own}/a.json") == b"{}"


async def test_put_overwrites(room: tuple[Artifacts, str]) -> None:
    artifacts, own = room
    assert await artifacts.put(f"{own}/a", b"1")
    assert await artifacts.put(f"{own}/a", b"22")
    assert await artifacts.read(f"{own}/a", 100) == b"22"


async def test_put_if_absent_keeps_the_first(room: tuple[Artifacts, str]) -> None:
    artifacts, own = room
    assert await artifacts.put(f"{own}/m", b"first", if_absent=True) is True
    assert await artifacts.put(f"{own}/m", b"second", if_absent=True) is False
    assert await artifacts.read(f"{own}/m", 100) == b"first"


async def test_an_absent_object_is_none_or_missing(room: tuple[Artifacts, str]) -> None:
    artifacts, own = room
    assert await artifacts.read(f"{own}/nothing", 10) is None
    with pytest.raises(ObjectMissing):
        await whole(artifacts, f"{own}/nothing")


async def test_read_refuses_what_is_over_the_limit(room: tuple[Artifacts, str]) -> None:
    artifacts, own = room
    await artifacts.put(f"{own}/big", b"x" * 11)
    with pytest.raises(ArtifactError, match="10"):
        await artifacts.read(f"{own}/big", 10)


async def test_list_is_sorted_relative_and_keeps_to_the_prefix(room: tuple[Artifacts, str]) -> None:
    artifacts, own = room
    for path in ("v1/model/b.bin", "v1/a", "v1/model/variables/x", "v10/other", "v1x"):
        await artifacts.put(f"{own}/{path}", path.encode())
    assert await artifacts.list(f"{own}/v1/") == (
        ObjectInfo("a", 4, etag(b"v1/a")),
        ObjectInfo("model/b.bin", 14, etag(b"v1/model/b.bin")),
        ObjectInfo("model/variables/x", 20, etag(b"v1/model/variables/x")),
    )
    assert await artifacts.list(f"{own}/empty/") == ()


async def test_no_more_is_listed_than_was_asked_for(room: tuple[Artifacts, str]) -> None:
    artifacts, own = room
    for path in ("c", "b/x", "a"):
        await artifacts.put(f"{own}/few/{path}", b"1")
    assert [row.path for row in await artifacts.list(f"{own}/few/", 2)] == ["a", "b/x"]
    assert len(await artifacts.list(f"{own}/few/", 3)) == 3


async def test_find_tells_of_one_object_without_its_bytes(room: tuple[Artifacts, str]) -> None:
    artifacts, own = room
    await artifacts.put(f"{own}/sub/one.csv", b"1,2\n")
    assert await artifacts.find(f"{own}/sub/one.csv") == ObjectInfo("one.csv", 4, etag(b"1,2\n"))
    assert await artifacts.find(f"{own}/sub/none.csv") is None
    assert (await artifacts.list(f"{own}/sub/"))[0] == await artifacts.find(f"{own}/sub/one.csv")


async def test_a_stream_is_of_the_listed_object_or_of_none(room: tuple[Artifacts, str]) -> None:
    artifacts, own = room
    await artifacts.put(f"{own}/moving", b"old")
    (row,) = await artifacts.list(f"{own}/")
    assert b"".join([chunk async for chunk in artifacts.stream(f"{own}/moving", row.etag)]) == b"old"
    await artifacts.put(f"{own}/moving", b"new")
    with pytest.raises(ObjectChanged):
        [chunk async for chunk in artifacts.stream(f"{own}/moving", row.etag)]


@pytest.mark.parametrize(
    "name", ["with space", "plus+and&", "hash#percent%41", "é-ü-漢", "a=b,c;d", "q?x=1", "[x]{y}~"]
)
async def test_odd_file_names_survive(room: tuple[Artifacts, str], name: str) -> None:
    artifacts, own = room
    await artifacts.put(f"{own}/odd/{name}", b"1")
    assert await artifacts.read(f"{own}/odd/{name}", 1) == b"1"
    assert ObjectInfo(name, 1, etag(b"1")) in await artifacts.list(f"{own}/odd/")


@pytest.mark.parametrize("size", [0, 1, (8 << 20) + 7, (17 << 20) + 1])
async def test_upload_in_one_or_several_parts(room: tuple[Artifacts, str], size: int, tmp_path: Path) -> None:
    artifacts, own = room
    content = os.urandom(1024) * (size // 1024) + b"z" * (size % 1024)
    (tmp_path / "file").write_bytes(content)
    await artifacts.upload(f"{own}/{size}", str(tmp_path / "file"))
    assert await whole(artifacts, f"{own}/{size}") == content


@pytest.mark.parametrize(
    "uri",
    ["http://trainyard/x", "s3:///x", "s3://trainyard/a/../b", "s3://trainyard/..", "s3://trainyard//x",
     "s3://trainyard/a//b", "s3://trainyard/./x", "s3://trainyard/a\\b", "s3://trainyard/a\nb", "s3://Tr/x",
     "s3://trainyard/" + "k" * 1025],
)  # fmt: skip
async def test_a_malformed_uri_is_refused(room: tuple[Artifacts, str], uri: str) -> None:
    artifacts, _ = room
    with pytest.raises(ValueError, match=r"s3://|key"):
        await artifacts.read(uri, 10)
    with pytest.raises(ValueError, match=r"s3://|key"):
        await artifacts.put(uri, b"")


async def test_a_prefix_ends_with_a_slash(room: tuple[Artifacts, str]) -> None:
    artifacts, own = room
    with pytest.raises(ValueError, match="slash"):
        await artifacts.list(own)


async def test_the_fake_away_is_an_artifact_error() -> None:
    with pytest.raises(ArtifactError):
        await FakeArtifacts(away=True).read(f"{BUCKET}/x", 1)


@pytest.mark.servers
async def test_an_outage_is_an_artifact_error_without_secrets() -> None:
    artifacts = ObstoreArtifacts(f"http://127.0.0.1:{free_port()}", "us-east-1", "who", "s3cret")
    with pytest.raises(ArtifactError) as caught:
        await artifacts.read(f"{BUCKET}/x", 1)
    with pytest.raises(ArtifactError):
        await artifacts.put(f"{BUCKET}/x", b"")
    assert "s3cret" not in str(caught.value)


@pytest.mark.servers
async def test_wrong_credentials_are_an_artifact_error(running: Store) -> None:
    make_bucket(running)
    artifacts = ObstoreArtifacts(running.url, "us-east-1", running.user, "wrong")
    for call in (artifacts.read(f"{BUCKET}/x", 1), artifacts.put(f"{BUCKET}/x", b""), artifacts.list(f"{BUCKET}/x/")):
        with pytest.raises(ArtifactError, match="refuses"):
            await call


@pytest.mark.servers
async def test_an_absent_bucket_is_an_error_for_writes(running: Store) -> None:
    artifacts = ObstoreArtifacts(running.url, "us-east-1", running.user, running.password)
    with pytest.raises(ArtifactError, match="bucket"):
        await artifacts.put("s3://nowhere/x", b"")
    with pytest.raises(ArtifactError):
        await artifacts.list("s3://nowhere/x/")


@pytest.mark.servers
async def test_a_store_that_hangs_is_an_artifact_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr("trainyard.systems.artifacts.client.CALL_SECONDS", 0.5)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        artifacts = ObstoreArtifacts(f"http://127.0.0.1:{deaf.getsockname()[1]}", "us-east-1", "a", "b")
        with pytest.raises(ArtifactError, match="took more than"):
            await artifacts.read(f"{BUCKET}/x", 1)

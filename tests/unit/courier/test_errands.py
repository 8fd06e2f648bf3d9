"""The three errands over the fake store: publish, fetch, data, and every way in which they may end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes.artifacts import FakeArtifacts
from trainyard.courier.carrying import Carrier
from trainyard.courier.data import datasets, fetch_data, wait_for_data
from trainyard.courier.fetch import fetch
from trainyard.courier.outcome import Changed, DigestMismatch, Errand, Missing, Unusable
from trainyard.courier.progress import Progress
from trainyard.courier.publish import publish
from trainyard.systems.artifacts.datasets import listing
from trainyard.systems.artifacts.port import ArtifactError, parse_manifest

URI = "s3://trainyard/team/digits/v1/1/"
FILES = {"model/saved_model.pb": b"pb", "model/variables/v": b"weights" * 1000, "model/empty": b""}


@dataclass
class Flaky(FakeArtifacts):
    """A store that calls `before` ahead of each verb; it may raise, or change what is stored."""

    before: Callable[[str, str], None] = field(default=lambda verb, uri: None)

    async def read(self, uri: str, limit: int) -> bytes | None:
        self.before("read", uri)
        return await super().read(uri, limit)

    async def stream(self, uri: str, etag: str = "") -> AsyncIterator[bytes]:
        self.before("stream", uri)
        async for chunk in super().stream(uri, etag):
            yield chunk

    async def put(self, uri: str, data: bytes, *, if_absent: bool = False) -> bool:
        self.before("put", uri)
        return await super().put(uri, data, if_absent=if_absent)

    async def upload(self, uri: str, path: str) -> None:
        self.before("upload", uri)
        await super().upload(uri, path)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def carrier(store: FakeArtifacts, patience: float = 0.0) -> Carrier:
    return Carrier(store, Progress("test"), patience)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    room = tmp_path / "output"
    for path, content in FILES.items():
        (room / path).parent.mkdir(parents=True, exist_ok=True)
        (room / path).write_bytes(content)
    (room / "metrics.json").write_text('{"auc": 0.97}')
    return room


@pytest.fixture
def data(tmp_path: Path) -> Path:
    room = tmp_path / "data"
    room.mkdir()
    note = {"name": "digits", "uri": "s3://trainyard/data/digits/", "digest": "sha256:" + "1" * 64}
    (room / "digits.json").write_text(json.dumps(note))
    return room


async def test_publish_uploads_all_and_the_manifest_last(output: Path, data: Path) -> None:
    store = FakeArtifacts()
    sentence = await publish(carrier(store), output, data, URI)
    manifest = parse_manifest(store.objects[URI + "manifest.json"])
    assert {f.path: f.size for f in manifest.files} == {path: len(body) for path, body in FILES.items()}
    assert {path: store.objects[URI + path] for path in FILES} == FILES
    assert store.writes[-1] == URI + "manifest.json"
    assert manifest.format == "SavedModel"
    assert manifest.metrics == {"auc": "0.97"}
    assert manifest.details["datasets"][0]["name"] == "digits"
    assert manifest.digest in sentence


async def test_publish_without_metrics_data_or_format(output: Path) -> None:
    (output / "metrics.json").unlink()
    (output / "format").write_text("ONNX\n")
    store = FakeArtifacts()
    await publish(carrier(store), output, None, URI)
    manifest = parse_manifest(store.objects[URI + "manifest.json"])
    assert (manifest.format, manifest.metrics, manifest.details) == ("ONNX", {}, {"datasets": []})


async def test_publishing_again_writes_nothing(output: Path) -> None:
    store = FakeArtifacts()
    await publish(carrier(store), output, None, URI)
    store.writes.clear()
    assert "published before" in await publish(carrier(store), output, None, URI)
    assert store.writes == []


async def test_a_second_publisher_that_loses_the_race_for_the_manifest_is_done_too(output: Path) -> None:
    other = FakeArtifacts()
    await publish(carrier(other), output, None, URI)
    manifest = other.objects[URI + "manifest.json"]

    def overtaken(verb: str, uri: str) -> None:
        if verb == "put":
            store.objects[URI + "manifest.json"] = manifest

    store = Flaky(before=overtaken)
    await publish(carrier(store), output, None, URI)
    assert store.objects[URI + "manifest.json"] == manifest


async def test_another_artifact_at_that_place_is_an_error_and_stays(output: Path) -> None:
    store = FakeArtifacts()
    await publish(carrier(store), output, None, URI)
    before = dict(store.objects)
    (output / "model" / "saved_model.pb").write_bytes(b"other")
    with pytest.raises(DigestMismatch, match="holds sha256:"):
        await publish(carrier(store), output, None, URI)
    assert store.objects == before


async def test_a_malformed_manifest_at_that_place_is_an_error(output: Path) -> None:
    store = FakeArtifacts({URI + "manifest.json": b"{}"})
    with pytest.raises(DigestMismatch, match=r"another manifest\.json"):
        await publish(carrier(store), output, None, URI)


async def test_a_half_upload_is_finished_and_only_what_lacks_is_sent(output: Path) -> None:
    half = {URI + "model/saved_model.pb": b"pb", URI + "model/variables/v": b"x" * 7000, URI + "model/stale": b"old"}
    store = FakeArtifacts(dict(half))
    await publish(carrier(store), output, None, URI)
    assert sorted(store.writes) == [URI + "manifest.json", URI + "model/empty", URI + "model/variables/v"]
    target = output.parent / "fetched"
    await fetch(carrier(store), URI, parse_manifest(store.objects[URI + "manifest.json"]).digest, target)
    assert contents(target) == FILES


async def test_bytes_that_the_store_changed_stop_the_manifest(output: Path) -> None:
    def corrupt(verb: str, uri: str) -> None:
        if verb == "stream" and uri.endswith("/v"):
            store.objects[uri] = b"rotten"

    store = Flaky(before=corrupt)
    with pytest.raises(DigestMismatch, match="reads back"):
        await publish(carrier(store), output, None, URI)
    assert URI + "manifest.json" not in store.objects


async def test_an_object_that_vanishes_before_it_is_read_back_is_missing(output: Path) -> None:
    def lose(verb: str, uri: str) -> None:
        if verb == "stream":
            store.objects.pop(uri, None)

    store = Flaky(before=lose)
    with pytest.raises(Missing):
        await publish(carrier(store), output, None, URI)
    assert URI + "manifest.json" not in store.objects


@pytest.mark.parametrize("verb", ["read", "put", "upload", "stream"])
async def test_a_short_outage_is_waited_out(output: Path, verb: str) -> None:
    failures = iter([ArtifactError("away")])

    def fail_once(asked: str, uri: str) -> None:
        if asked == verb and (error := next(failures, None)):
            raise error

    store = Flaky(before=fail_once)
    await publish(carrier(store, patience=30), output, None, URI)
    assert URI + "manifest.json" in store.objects


async def test_a_long_outage_ends_with_code_1(output: Path) -> None:
    with pytest.raises(Errand) as caught:
        await publish(carrier(FakeArtifacts(away=True)), output, None, URI)
    assert caught.value.code == 1


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("metrics.json", "[]", "flat object"),
        ("metrics.json", "x" * (1 << 20) + "x", "larger than 1 MiB"),
        ("format", "two words", "one word"),
        ("../data/digits.json", "{}", "not what was written there"),
    ],
)
async def test_malformed_notes_publish_nothing(output: Path, data: Path, file: str, content: str, says: str) -> None:
    (output / file).write_text(content)
    store = FakeArtifacts()
    with pytest.raises(Unusable, match=says) as caught:
        await publish(carrier(store), output, data, URI)
    assert caught.value.code == 3
    assert store.objects == {}


async def test_metrics_that_are_a_link_publish_nothing(output: Path) -> None:
    (output / "metrics.json").unlink()
    (output / "metrics.json").symlink_to("/etc/hostname")
    with pytest.raises(Unusable, match="no regular file"):
        await publish(carrier(FakeArtifacts()), output, None, URI)


async def published(output: Path) -> tuple[FakeArtifacts, str]:
    store = FakeArtifacts()
    await publish(carrier(store), output, None, URI)
    return store, parse_manifest(store.objects[URI + "manifest.json"]).digest


async def test_fetch_brings_exactly_the_artifact(output: Path, tmp_path: Path) -> None:
    store, digest = await published(output)
    target = tmp_path / "models"
    (target / "model").mkdir(parents=True)
    (target / "model" / "left-over").write_bytes(b"")
    await fetch(carrier(store), URI, digest, target)
    assert contents(target) == FILES


async def test_fetch_refuses_another_digest_before_it_downloads(output: Path, tmp_path: Path) -> None:
    store, digest = await published(output)
    with pytest.raises(DigestMismatch, match=f"wanted is sha256:{'0' * 64}") as caught:
        await fetch(carrier(store), URI, "sha256:" + "0" * 64, tmp_path / "models")
    assert caught.value.code == 4
    assert digest in str(caught.value)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("content", [b"pq", b"p", b"pbx"])
async def test_fetch_leaves_no_file_whose_bytes_differ(output: Path, tmp_path: Path, content: bytes) -> None:
    store, digest = await published(output)
    store.objects[URI + "model/saved_model.pb"] = content
    with pytest.raises(DigestMismatch, match=r"saved_model\.pb"):
        await fetch(carrier(store), URI, digest, tmp_path / "models")
    assert not (tmp_path / "models" / "model" / "saved_model.pb").exists()


async def test_fetch_names_the_missing_object(output: Path, tmp_path: Path) -> None:
    store, digest = await published(output)
    del store.objects[URI + "model/variables/v"]
    with pytest.raises(Missing, match="model/variables/v") as caught:
        await fetch(carrier(store), URI, digest, tmp_path / "models")
    assert caught.value.code == 5
    with pytest.raises(Missing, match=r"manifest\.json"):
        await fetch(carrier(FakeArtifacts()), URI, digest, tmp_path / "models")


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "model/../../evil"])
async def test_fetch_never_leaves_its_folder(tmp_path: Path, path: str) -> None:
    body = {"format": "x", "files": [{"path": path, "size": 0, "sha256": ""}]}
    manifest = parse_manifest(json.dumps(body).encode())
    store = FakeArtifacts({URI + "manifest.json": manifest.to_json().encode()})
    with pytest.raises(DigestMismatch, match="key"):
        await fetch(carrier(store), URI, manifest.digest, tmp_path / "models")


async def test_data_fetches_folders_and_single_objects(tmp_path: Path) -> None:
    store = FakeArtifacts(
        {
            "s3://trainyard/data/digits/train.csv": b"1,2",
            "s3://trainyard/data/digits/sub/test.csv": b"3",
            "s3://trainyard/data/digits/sub": b"",  # the mark of a folder
            "s3://trainyard/data/digits2/other": b"",
            "s3://trainyard/data/words.txt": b"hello",
        }
    )
    wanted = {"digits": "s3://trainyard/data/digits", "words": "s3://trainyard/data/words.txt"}
    await fetch_data(carrier(store), wanted, tmp_path)
    assert set(contents(tmp_path)) == {
        "digits/train.csv",
        "digits/sub/test.csv",
        "digits.json",
        "words/words.txt",
        "words.json",
    }
    note = json.loads((tmp_path / "digits.json").read_text())
    assert note["uri"] == "s3://trainyard/data/digits"
    assert note["digest"].startswith("sha256:")


async def test_the_digest_of_data_changes_with_its_bytes_and_names_only(tmp_path: Path) -> None:
    async def digest(objects: dict[str, bytes]) -> str:
        store = FakeArtifacts({f"s3://b/d/{path}": body for path, body in objects.items()})
        await fetch_data(carrier(store), {"d": "s3://b/d/"}, tmp_path)
        return str(json.loads((tmp_path / "d.json").read_text())["digest"])

    first = await digest({"a": b"1", "b": b"2"})
    assert first == await digest({"b": b"2", "a": b"1"})
    assert first != await digest({"a": b"1", "b": b"3"})
    assert first != await digest({"a": b"1", "c": b"2"})
    assert {p.name for p in (tmp_path / "d").iterdir()} == {"a", "c"}


async def test_paths_that_make_no_folder_cannot_be_used(tmp_path: Path) -> None:
    store = FakeArtifacts({"s3://b/d/x": b"1", "s3://b/d/x/y": b"2"})
    with pytest.raises(Unusable, match="dataset d: x is a file and a folder at once"):
        await fetch_data(carrier(store), {"d": "s3://b/d/"}, tmp_path)


async def test_the_mark_of_an_empty_folder_is_no_file(tmp_path: Path) -> None:
    """S3 lists it with a slash that the client drops, and has no object under that name."""

    def gone(_verb: str, uri: str) -> None:
        store.objects.pop(uri) if uri.endswith("/empty") else None

    store = Flaky({"s3://b/d/x": b"1", "s3://b/d/empty": b""}, before=gone)
    await fetch_data(carrier(store), {"d": "s3://b/d/"}, tmp_path)
    assert contents(tmp_path / "d") == {"x": b"1"}


async def test_data_replaced_while_it_is_fetched_is_fetched_again(tmp_path: Path) -> None:
    def replaced(_verb: str, _uri: str) -> None:
        store.objects["s3://b/d/y"] = b"new"

    store = Flaky({"s3://b/d/x": b"x", "s3://b/d/y": b"old"}, before=replaced)
    await fetch_data(carrier(store), {"d": "s3://b/d/"}, tmp_path)
    assert contents(tmp_path / "d") == {"x": b"x", "y": b"new"}
    found = await listing(store, "s3://b/d/")
    assert found is not None
    assert json.loads((tmp_path / "d.json").read_bytes())["digest"] == found.digest


async def test_data_that_never_holds_still_is_an_error_without_a_note(tmp_path: Path) -> None:
    def replaced(_verb: str, _uri: str) -> None:
        store.objects["s3://b/d/y"] += b"."

    store = Flaky({"s3://b/d/y": b""}, before=replaced)
    with pytest.raises(Changed) as caught:
        await fetch_data(carrier(store), {"d": "s3://b/d/"}, tmp_path)
    assert (caught.value.code, store.objects["s3://b/d/y"]) == (1, b"...")
    assert not (tmp_path / "d.json").exists()


async def test_a_further_attempt_trains_on_the_data_of_the_first(tmp_path: Path) -> None:
    store = FakeArtifacts({"s3://b/d/x": b"old", "s3://b/e/y": b"e"})
    await fetch_data(carrier(store), {"d": "s3://b/d/"}, tmp_path)
    note = (tmp_path / "d.json").read_bytes()
    store.objects["s3://b/d/x"] = b"new"
    both = {"d": "s3://b/d/", "e": "s3://b/e/"}
    told = await fetch_data(carrier(store), both, tmp_path, keep=True)
    assert told == "fetched 1 datasets, 1 files, kept 1"
    assert ((tmp_path / "d/x").read_bytes(), (tmp_path / "d.json").read_bytes()) == (b"old", note)


@pytest.mark.parametrize("note", [None, b"{", b"[]", b'{"uri": "s3://b/other/"}'])
async def test_data_that_is_not_whole_or_of_another_place_is_fetched_again(tmp_path: Path, note: bytes | None) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/half").write_bytes(b"half")
    if note is not None:
        (tmp_path / "d.json").write_bytes(note)
    await fetch_data(carrier(FakeArtifacts({"s3://b/d/x": b"x"})), {"d": "s3://b/d/"}, tmp_path, keep=True)
    assert set(contents(tmp_path)) == {"d/x", "d.json"}


async def test_other_workers_wait_for_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainyard.courier.data.LOOK_SECONDS", 0)
    done = tmp_path / "done"
    waiting = asyncio.create_task(asyncio.to_thread(wait_for_data, done))
    await asyncio.sleep(0)
    assert not waiting.done()
    done.touch()
    assert await waiting == "the first worker fetched the data"


async def test_a_dataset_that_is_not_there_is_missing_and_leaves_no_note(tmp_path: Path) -> None:
    for uri in ("s3://b/none/", "s3://b/none", "s3://b"):
        with pytest.raises(Missing) as caught:
            await fetch_data(carrier(FakeArtifacts()), {"d": uri}, tmp_path)
        assert caught.value.code == 5
        assert not (tmp_path / "d.json").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a": 1}', '{"../x": "s3://b/x/"}', '{"a": "http://b/x"}', '{"a": "s3://b/../x"}', '{"": "s3://b/x/"}']
)  # fmt: skip
def test_malformed_datasets_are_refused(text: str) -> None:
    with pytest.raises(Unusable):
        datasets(text)

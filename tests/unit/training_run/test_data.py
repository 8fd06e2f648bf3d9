"""The versions of a run's data: where it may lie, how they are taken and kept, and what holds a run back."""

from typing import Any

import pytest

from tests.fakes.artifacts import FakeArtifacts
from trainyard import naming
from trainyard.resources.base import ObjectMeta
from trainyard.systems.bundle import Config
from trainyard.systems.engine.port import Owner, RunRequest
from trainyard.training_run import data, reasons
from trainyard.training_run.data import Data

CONFIG = Config("i", {}, "models", "", data_locations=("s3://lake/{namespace}/", "s3://open/sets/"))


def request(**datasets: str) -> RunRequest:
    return RunRequest(
        "e", "team", "x", 1, Owner("x", "u"), "churn", "churn", {}, {}, {}, datasets, "s3://models/team/churn/x/1/"
    )


async def looked_at(objects: dict[str, bytes], **datasets: str) -> Data:
    return await data.looked_at(request(**datasets), FakeArtifacts(objects), CONFIG)


@pytest.mark.parametrize(
    "uri",
    ["s3://models/team/d/", "s3://models/team/d.csv", "s3://models/data/d/", "s3://lake/team/", "s3://lake/team",
     "s3://open/sets/iris.csv"],
)  # fmt: skip
def test_a_namespace_has_its_own_the_shared_and_the_configured_places(uri: str) -> None:
    assert data.misplaced(uri, "team", CONFIG) == ""


@pytest.mark.parametrize(
    "uri",
    ["s3://models/other/d/", "s3://models/teams/d/", "s3://models/", "s3://lake/other/", "s3://lake/", "s3://open/",
     "s3://open/setsuna/x", "s3://nobody/team/", "s3://lake/{namespace}/", "s3://models/team/../other/",
     "s3://models/team/%2e%2e/other/", "s3://models//team/", "S3://models/team/", "http://models/team/"],
)  # fmt: skip
async def test_every_other_place_is_refused_and_not_looked_at(uri: str) -> None:
    store = FakeArtifacts({uri + "x": b"1", "s3://models/other/x": b"1"})
    found = await data.looked_at(request(d=uri), store, CONFIG)
    assert (found.reason, found.versions, store.looked_at) == (reasons.DATASET_NOT_ALLOWED, (), set())
    assert found.message.startswith("Dataset d: ")


async def test_the_version_is_of_names_sizes_and_bytes() -> None:
    async def digest(objects: dict[str, bytes]) -> str:
        found = await looked_at(
            {f"s3://models/data/{path}": body for path, body in objects.items()}, d="s3://models/data/"
        )
        return found.versions[0].digest

    first = await digest({"a": b"1", "b": b"2"})
    assert first == await digest({"b": b"2", "a": b"1"})
    assert len({first, await digest({"a": b"1", "b": b"3"}), await digest({"a": b"1", "c": b"2"})}) == 3


async def test_a_folder_s_mark_is_no_data_and_one_object_is() -> None:
    marked = await looked_at({"s3://models/data/f": b"", "s3://models/data/f/x": b"1"}, d="s3://models/data/")
    plain = await looked_at({"s3://models/data/f/x": b"1"}, d="s3://models/data/")
    assert marked == plain
    one = await looked_at({"s3://models/data/one.csv": b"1"}, d="s3://models/data/one.csv")
    assert (one.versions[0].uri, one.reason) == ("s3://models/data/one.csv", "")


@pytest.mark.parametrize(
    ("objects", "uri", "reason", "words"),
    [
        ({}, "s3://models/data/d/", reasons.DATASET_EMPTY, "there is nothing at s3://models/data/d/"),
        ({}, "s3://models/data/d", reasons.DATASET_EMPTY, "there is nothing at s3://models/data/d"),
        ({"s3://models/data/f": b"1", "s3://models/data/f/x": b"1"}, "s3://models/data/", reasons.DATASET_UNUSABLE,
         "f is a file and a folder at once"),
        ({"s3://models/data/a/../x": b"1"}, "s3://models/data/", reasons.DATASET_UNUSABLE, "part"),
    ],
)  # fmt: skip
async def test_what_holds_a_run_back(objects: dict[str, bytes], uri: str, reason: str, words: str) -> None:
    found = await looked_at({"s3://models/data-of-others": b"1", **objects}, d=uri)
    assert (found.versions, found.reason) == ((), reason)
    assert words in found.message


async def test_a_store_that_is_away_holds_it_back_too() -> None:
    found = await data.looked_at(request(d="s3://models/data/"), FakeArtifacts(away=True), CONFIG)
    assert (found.reason, found.message) == (reasons.DATASET_UNAVAILABLE, "Dataset d: s3://models does not answer.")


async def test_all_datasets_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = {f"s3://models/data/{folder}/{i}": b"1" for folder in "ab" for i in range(2)}
    monkeypatch.setattr(data, "OBJECTS_LIMIT", 4)
    both = {"a": "s3://models/data/a/", "b": "s3://models/data/b/"}
    assert [v.name for v in (await looked_at(objects, **both)).versions] == ["a", "b"]
    monkeypatch.setattr(data, "OBJECTS_LIMIT", 3)
    found = await looked_at(objects, **both)
    assert (found.versions, found.reason) == ((), reasons.DATASET_TOO_LARGE)
    assert found.message == "Dataset b: a run may have 3 objects of data; pack them into larger ones."


def carrying(text: Any) -> ObjectMeta:
    return ObjectMeta(name="x", namespace="team", uid="u", annotations={naming.ANNOTATION_DATASETS: text})


async def test_what_is_written_is_read() -> None:
    found = await looked_at({"s3://models/data/x": b"1"}, d="s3://models/data/")
    assert data.kept(carrying(data.written(found)[naming.ANNOTATION_DATASETS])) == found
    assert data.written(Data()) == {}
    assert data.kept(ObjectMeta(name="x", namespace="team", uid="u")) == Data()


@pytest.mark.parametrize("text", ["", "{", "7", "null", "[7]", '[{"name":"d"}]', "[" * 100_000])
def test_what_somebody_else_wrote_tells_nothing(text: str) -> None:
    assert data.kept(carrying(text)) == Data()

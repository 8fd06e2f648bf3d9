import json
from pathlib import Path

import pytest

from tests.fakes.artifacts import FakeArtifacts
from trainyard.courier.carrying import Carrier
from trainyard.courier.collect import Wanted, collect, order, outputs_of
from trainyard.courier.outcome import Missing, Unusable
from trainyard.courier.progress import Progress
from trainyard.courier.publish import pack
from trainyard.systems.artifacts.port import ObjectInfo

ROOT = "s3://models/team/churn/one/1/kubeflow/"
HERE = f"{ROOT}two-steps/id-1/"
TEXT = json.dumps(
    {
        "root": ROOT,
        "run": "id-1",
        "format": "ONNX",
        "model": {"task": "train", "artifact": "model"},
        "metrics": {"task": "judge", "artifact": "report"},
    }
)


def rows(*paths: str) -> list[ObjectInfo]:
    return [ObjectInfo(path, 3) for path in paths]


async def test_it_is_laid_out_as_publish_wants_it(tmp_path: Path) -> None:
    store = FakeArtifacts()
    store.objects = {
        f"{HERE}train/ex-1/model/saved_model.pb": b"abc",
        f"{HERE}train/ex-1/model/variables/x": b"de",
        f"{HERE}train/ex-1/executor-logs": b"log",
        f"{HERE}judge/ex-2/report": b'{"auc": 0.91}',
    }
    told = await collect(Carrier(store, Progress("collect"), 1.0), order(TEXT), tmp_path)
    manifest = pack(tmp_path, None).manifest
    assert told == "collected 2 files of train/model"
    assert [f.path for f in manifest.files] == ["model/saved_model.pb", "model/variables/x"]
    assert (manifest.format, manifest.metrics) == ("ONNX", {"auc": "0.91"})


def test_a_model_that_is_one_object() -> None:
    found = outputs_of(rows("p/id-1/train/ex/model"), "id-1", Wanted("train", "model"))
    assert found == {"p/id-1/train/ex/model": "model"}


def test_names_with_slashes_before_the_run() -> None:
    found = outputs_of(rows("namespace/a/pipeline/b/id-1/train/ex/model/f"), "id-1", Wanted("train", "model"))
    assert list(found.values()) == ["f"]


@pytest.mark.parametrize("path", ["p/id-2/train/ex/model/f", "p/id-1/other/ex/model/f", "p/id-1/train/ex", "x"])
def test_what_is_not_there_is_missing(path: str) -> None:
    with pytest.raises(Missing, match="step train left no model under this run's root"):
        outputs_of(rows(path), "id-1", Wanted("train", "model"))


def test_twice_is_one_too_many() -> None:
    with pytest.raises(Unusable, match="ran 2 times"):
        outputs_of(rows("p/id-1/train/a/model/f", "p/id-1/train/b/model/f"), "id-1", Wanted("train", "model"))


def test_a_key_that_climbs() -> None:
    with pytest.raises(Unusable, match=r"train, model"):
        outputs_of(rows("p/id-1/train/a/model/../f"), "id-1", Wanted("train", "model"))


async def test_metrics_are_one_file(tmp_path: Path) -> None:
    store = FakeArtifacts()
    store.objects = {
        f"{HERE}train/ex/model/f": b"x",
        f"{HERE}judge/e/report/a.txt": b"",
        f"{HERE}judge/e/report/b.txt": b"1",
    }
    store.objects[f"{HERE}judge/e/report/c.txt"] = b"2"
    with pytest.raises(Unusable, match="0 JSON files"):
        await collect(Carrier(store, Progress("collect"), 1.0), order(TEXT), tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        TEXT.replace('/kubeflow/"', '/kubeflow"'),
        TEXT.replace("s3:", "x:"),
        TEXT.replace("ONNX", "no word"),
    ],
)
def test_an_order_that_is_none(text: str) -> None:
    with pytest.raises(Unusable, match="TRAINYARD_COLLECT"):
        order(text)


def test_an_order_without_metrics() -> None:
    assert order(TEXT.replace("metrics", "others")).metrics is None

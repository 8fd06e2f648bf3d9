"""The bricks: strict in what people write, lenient in what a newer operator wrote."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from trainyard.resources.base import Decimal, FolderUri, Image, LabelMap, Name, ObjectMeta, Quantity, Uri
from trainyard.resources.pods import Container
from trainyard.resources.rollout import RolloutStatus
from trainyard.resources.training_pipeline import TrainingPipelineSpec

GOOD: list[tuple[Any, Any]] = [
    (Name, "churn-1a2b3c4d5e"), (Name, "a" * 47),
    (Decimal, "0"), (Decimal, "-0.000000000001"), (Decimal, "9999999999999999.5"),
    (Uri, "s3://bucket/key"), (FolderUri, "s3://bucket/"),
    (Image, "localhost:5000/a/b@sha256:00"),
    (Quantity, 2), (Quantity, "500m"), (Quantity, "1.5Gi"), (Quantity, "1e3"), (Quantity, ".5"),
    (LabelMap, {"a": ""}), (LabelMap, {"a/b": "x.y_z-1"}),
]  # fmt: skip
BAD: list[tuple[Any, Any]] = [
    (Name, ""), (Name, "1a"), (Name, "a-"), (Name, "A"), (Name, "a.b"), (Name, "a" * 48), (Name, "a\n"),
    (Decimal, "01"), (Decimal, ".5"), (Decimal, "1e-3"), (Decimal, "NaN"), (Decimal, "1,5"), (Decimal, 0.5),
    (Uri, "http://bucket/"), (Uri, "s3:///key"), (Uri, "s3://bucket"), (Uri, "s3://Bucket/"),
    (Image, ""), (Image, "a b"),
    (Quantity, -1), (Quantity, "-1"), (Quantity, "two"), (Quantity, "1GiB"), (Quantity, 1.5),
    (LabelMap, {"a": "x y"}), (LabelMap, {"a": "x" * 64}), (LabelMap, {str(i): "" for i in range(33)}),
]  # fmt: skip


@pytest.mark.parametrize(("brick", "value"), GOOD, ids=lambda v: repr(v)[:30])
def test_taken(brick: Any, value: Any) -> None:
    assert TypeAdapter(brick).validate_python(value) == value


@pytest.mark.parametrize(("brick", "value"), BAD, ids=lambda v: repr(v)[:30])
def test_refused(brick: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(brick).validate_python(value)


def test_an_unknown_field_of_a_spec_is_refused() -> None:
    with pytest.raises(ValidationError, match="hostNetwork"):
        Container.model_validate({"image": "a", "hostNetwork": True})


def test_an_unknown_field_of_a_status_is_passed_over() -> None:
    status = RolloutStatus.model_validate({"weight": 5, "fieldOfTheNextVersion": {"a": 1}})
    assert status.weight == 5


def test_the_wire_form_is_camel_case_without_nulls() -> None:
    spec = TrainingPipelineSpec.model_validate(
        {"model": "churn", "engine": {"job": {"template": {"image": "a"}}}, "timeoutSeconds": 5}
    )
    wire = spec.to_wire()
    assert wire["timeoutSeconds"] == 5
    assert wire["engine"]["job"]["volume"] == {"size": "1Gi", "accessMode": "ReadWriteOnce"}
    assert TrainingPipelineSpec.model_validate(wire) == spec


def test_metadata_reads_what_it_knows() -> None:
    meta = ObjectMeta.model_validate(
        {"name": "a", "namespace": "b", "resourceVersion": "7", "managedFields": [], "ownerReferences": []}
    )
    assert (meta.name, meta.namespace, meta.resource_version) == ("a", "b", "7")

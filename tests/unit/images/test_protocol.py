"""The model server's request and answer bodies, without TensorFlow."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from images.server.modelserver.protocol import Question, Signature, read_v1, read_v2, write
from images.server.modelserver.tensors import BadOutput, BadRequest, TensorSpec

ONE = Signature((TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("p", "FP32", (-1,)),))
TWO = Signature(
    (TensorSpec("age", "INT64", (-1,)), TensorSpec("city", "BYTES", (-1,))),
    (TensorSpec("p", "FP32", (-1,)), TensorSpec("word", "BYTES", (-1,))),
)


def v1(body: object, signature: Signature = ONE, max_rows: int = 10) -> Question:
    return read_v1(body if isinstance(body, bytes) else json.dumps(body).encode(), signature, max_rows)


def v2(body: object, signature: Signature = ONE, max_rows: int = 10) -> Question:
    return read_v2(json.dumps(body).encode(), signature, max_rows)


def tensor(**changes: object) -> dict[str, Any]:
    """A v2 request with one input, changed."""
    return {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2], **changes}]}


def test_rows_of_the_only_input() -> None:
    asked = v1({"instances": [[1, 2.5], [3, 4]]})
    assert asked.tensors["x"].dtype == np.float32
    assert asked.tensors["x"].tolist() == [[1, 2.5], [3, 4]]


def test_rows_by_name() -> None:
    asked = v1({"instances": [{"age": 3, "city": "Köln"}, {"age": 4, "city": {"b64": "/w=="}}]}, TWO)
    assert asked.tensors["age"].tolist() == [3, 4]
    assert asked.tensors["city"].tolist() == ["Köln".encode(), b"\xff"]


def test_columns() -> None:
    assert v1({"inputs": {"x": [[1, 2]]}}).tensors["x"].tolist() == [[1, 2]]
    assert v1({"inputs": [[1, 2]]}).tensors["x"].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"instances": [[NaN, 1]]}', "NaN is not JSON"),
        (b'{"instances": [[-Infinity, 1]]}', "-Infinity is not JSON"),
        ({}, "one of them"),
        ({"instances": [[1, 2]], "inputs": [[1, 2]]}, "one of them"),
        ({"instances": []}, "at least one row"),
        ({"instances": "x"}, "at least one row"),
        ({"instances": [[1, 2]], "signature_name": "other"}, "only signature served"),
        ({"instances": [[1, 2, 3]]}, "has shape [1, 3], the model wants [-1, 2]"),
        ({"instances": [1, 2]}, "has shape [2]"),
        ({"instances": [[1, 2], [3]]}, "different lengths (1 and 2)"),
        ({"instances": [[1, [2]]]}, "mixed"),
        ({"instances": [[1, "2"]]}, "takes numbers, found a string"),
        ({"instances": [[1, True]]}, "takes numbers, found true or false"),
        ({"instances": [[1, None]]}, "takes numbers, found null"),
        ({"instances": [[1, 1e39]]}, "does not fit into FP32"),
        ({"instances": [[1, 10**400]]}, "does not fit into FP32"),
        ({"instances": [{"x": [1, 2]}, [1, 2]]}, "either all rows"),
        ({"instances": [{"y": [1, 2]}]}, "lacks the input 'x'"),
        ({"instances": [{"x": [1, 2], "y": 1}]}, "does not know"),
        ({"instances": [[1, 2]] * 11}, "11 rows in one request, at most 10"),
        ({"inputs": [[1, 2]] * 11}, "11 rows in one request, at most 10"),
        ({"inputs": {"x": []}}, "has shape [0]"),
    ],
)
def test_what_v1_refuses(body: object, sentence: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        v1(body)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"age": 1.5, "city": "a"}, "takes whole numbers, found a fraction"),
        ({"age": 2**63, "city": "a"}, "does not fit into INT64"),
        ({"age": 1, "city": 2}, "takes strings, found a number"),
        ({"age": 1, "city": {"b64": "?"}}, "is not base64"),
        ({"age": 1, "city": {"b64": "YQ==", "more": 1}}, "found an object"),
        ([1, "a"], "must be an object with the inputs age, city"),
    ],
)
def test_what_v1_refuses_of_typed_rows(row: object, sentence: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        v1({"instances": [row]}, TWO)
    assert sentence in str(refusal.value)


def test_rows_need_a_batched_input() -> None:
    fixed = Signature((TensorSpec("x", "FP32", (2,)),), ONE.outputs)
    with pytest.raises(BadRequest, match="not batched"):
        v1({"instances": [1, 2]}, fixed)
    assert v1({"inputs": [1, 2]}, fixed).tensors["x"].tolist() == [1, 2]


def test_v2_takes_flat_and_nested_data() -> None:
    for data in ([1, 2, 3, 4], [[1, 2], [3, 4]]):
        asked = v2({"id": "7", **tensor(shape=[2, 2], data=data)})
        assert asked.tensors["x"].tolist() == [[1, 2], [3, 4]]
        assert (asked.identity, asked.wanted) == ("7", ("p",))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, '"inputs" must be a list'),
        ({"inputs": [7]}, 'an object with a "name"'),
        ({"inputs": tensor()["inputs"] * 2}, "names 'x' twice"),
        (tensor(name="y"), "lacks the input 'x'"),
        (tensor(datatype="FP64"), 'has the "datatype" FP32'),
        (tensor(shape=[1, 3]), "2 elements for the shape [1, 3]"),
        (tensor(shape=[2], data=[1, 2]), "the model wants [-1, 2]"),
        (tensor(shape=[1, 2.0]), "whole numbers"),
        (tensor(shape=[-1, -2]), "whole numbers"),
        (tensor(shape="x"), "whole numbers"),
        (tensor(data=[[1], [2]]), "nested as [2, 1]"),
        (tensor(data=["1", "2"]), "found a string"),
        (tensor(shape=[0, 2], data=[]), "without elements"),
        (tensor(shape=[11, 2], data=[0] * 22), "11 rows"),
        (tensor(shape=[2**62, 2**62], data=[1]), "1 elements"),
        (tensor(parameters=[]), '"parameters" of input'),
        ({**tensor(), "parameters": 1}, '"parameters" of the request'),
        ({**tensor(), "id": 7}, '"id" must be a string'),
        ({**tensor(), "outputs": [{"name": "q"}]}, "it has p"),
        ({**tensor(), "outputs": []}, '"outputs" must be a list'),
        ({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32"}]}, 'lacks "data"'),
    ],
)
def test_what_v2_refuses(body: object, sentence: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        v2(body)
    assert sentence in str(refusal.value)


def said(question: Question, signature: Signature, **answer: object) -> object:
    arrays = {name: np.asarray(value) for name, value in answer.items()}
    return json.loads(write(question, "m", signature, arrays))


def test_answers_of_v1() -> None:
    assert said(Question({}, "rows"), ONE, p=[0.5, 0.25]) == {"predictions": [0.5, 0.25]}
    assert said(Question({}, "columns"), ONE, p=[0.5, 0.25]) == {"outputs": [0.5, 0.25]}
    both = {"p": [0.5, 0.25], "word": np.array([b"yes", b"\xff"], dtype=object)}
    assert said(Question({}, "rows"), TWO, **both) == {
        "predictions": [{"p": 0.5, "word": "yes"}, {"p": 0.25, "word": base64.b64encode(b"\xff").decode()}]
    }


def test_answers_of_v2_are_flat_and_only_what_was_asked() -> None:
    question = v2({"id": "7", **tensor(), "outputs": [{"name": "p"}]})
    assert said(question, ONE, p=np.array([[1.0, 2.0]], dtype=np.float32), other=[1]) == {
        "model_name": "m",
        "id": "7",
        "outputs": [{"name": "p", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}],
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_answer_that_json_has_no_word_for(value: float) -> None:
    with pytest.raises(BadOutput, match="not finite"):
        said(Question({}, "rows"), ONE, p=[value])


KEYS = st.sampled_from(["x", "b64", "data"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.sampled_from(["instances", "inputs"]), json_values)
def test_any_v1_body_is_a_tensor_of_the_signature_or_a_bad_request(key: str, value: object) -> None:
    try:
        asked = v1({key: value})
    except BadRequest:
        return
    assert asked.tensors["x"].shape[1:] == (2,)
    assert np.isfinite(asked.tensors["x"]).all()


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "shape", "datatype", "data"), json_values)))
def test_any_v2_input_is_a_tensor_of_the_signature_or_a_bad_request(changes: dict[str, object]) -> None:
    try:
        asked = v2(tensor(**changes))
    except BadRequest:
        return
    assert asked.tensors["x"].shape[1:] == (2,)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(-9, 9)), min_size=1))
def test_v1_and_v2_read_the_same_numbers(rows: list[tuple[float, int]]) -> None:
    flat = [number for row in rows for number in row]
    one = v1({"instances": rows}, max_rows=100_000)
    two = v2(tensor(shape=[len(rows), 2], data=flat), max_rows=100_000)
    assert one.tensors["x"].tobytes() == two.tensors["x"].tobytes()

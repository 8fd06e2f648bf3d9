"""Tensors between JSON and numpy, checked against what the model declares.

Datatype names are those of the Open Inference Protocol. Everything that JSON can get wrong about a tensor (ragged
lists, a string among numbers, a fraction for an integer, a number out of range, another shape) is a BadRequest with
a sentence, so that whatever the model itself raises afterwards is the model's own failure.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NUMPY_TYPES: dict[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
Array = np.ndarray[Any, np.dtype[Any]]


class BadRequest(ValueError):
    """What the client sent can't be an input of this model; the message says why."""


class BadOutput(ValueError):
    """What the model computed can't be said in JSON."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of the model. `shape` has -1 for a free dimension and is None where even the rank is free."""

    name: str
    datatype: str
    shape: tuple[int, ...] | None

    @property
    def batched(self) -> bool:
        """Whether the first dimension is free, which is where rows are batched."""
        return self.shape is None or self.shape[:1] == (-1,)

    def describe(self) -> dict[str, Any]:
        """Return the tensor's metadata as the protocol writes it."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape or (-1,))}


def unnest(value: Any) -> tuple[list[Any], tuple[int, ...]]:
    """Return the leaves of a nested list in row-major order, and its shape. A bare value has shape ()."""
    level, shape = [value], []
    while level and all(type(item) is list for item in level):
        lengths = {len(item) for item in level}
        if len(lengths) > 1:
            raise BadRequest(f"lists of different lengths ({min(lengths)} and {max(lengths)}) at one depth")
        shape.append(lengths.pop())
        level = [leaf for item in level for leaf in item]
    if any(type(item) is list for item in level):
        raise BadRequest("lists and single values are mixed at one depth")
    return level, tuple(shape)


def to_array(spec: TensorSpec, leaves: list[Any], shape: tuple[int, ...]) -> Array:
    """Return the tensor that these leaves make; they must be of the spec's datatype and fit its shape."""
    if not fits(spec, shape):
        raise BadRequest(f"input {spec.name!r} has shape {list(shape)}, the model wants {list(spec.shape or ())}")
    return _leaves_to_array(spec, leaves).reshape(shape)


def fits(spec: TensorSpec, shape: tuple[int, ...]) -> bool:
    """Return whether a tensor of this shape is one that the model takes."""
    if spec.shape is None:
        return True
    return len(shape) == len(spec.shape) and all(
        want in (-1, have) for want, have in zip(spec.shape, shape, strict=True)
    )


def _leaves_to_array(spec: TensorSpec, leaves: list[Any]) -> Array:
    dtype = np.dtype(NUMPY_TYPES[spec.datatype])
    kinds = {type(leaf) for leaf in leaves}
    if dtype.kind == "O":
        return _bytes_array(spec, leaves)
    allowed, wanted = _WANTED[dtype.kind]
    if not kinds <= allowed:
        wrong = next(leaf for leaf in leaves if type(leaf) not in allowed)
        raise BadRequest(f"input {spec.name!r} takes {wanted}, found {_named(wrong)}")
    try:
        with np.errstate(over="ignore"):
            array = np.array(leaves, dtype=dtype)
    except OverflowError as error:
        raise BadRequest(f"input {spec.name!r}: a number does not fit into {spec.datatype}") from error
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise BadRequest(f"input {spec.name!r}: a number does not fit into {spec.datatype}")
    return array


_WANTED: dict[str, tuple[set[type], str]] = {
    "b": ({bool}, "true or false"),
    "f": ({int, float}, "numbers"),
    "i": ({int}, "whole numbers"),
    "u": ({int}, "whole numbers"),
}


def _named(leaf: Any) -> str:
    """Say what a wrong leaf is, without repeating much of what a client sent."""
    names = {str: "a string", bool: "true or false", dict: "an object", type(None): "null", float: "a fraction"}
    return names.get(type(leaf), "a number")


def _bytes_array(spec: TensorSpec, leaves: list[Any]) -> Array:
    array = np.empty(len(leaves), dtype=np.object_)
    for index, leaf in enumerate(leaves):
        array[index] = _bytes_of(spec, leaf)
    return array


def _bytes_of(spec: TensorSpec, leaf: Any) -> bytes:
    """Return the bytes of a string, or of `{"b64": …}`, which is how v1 sends what is not text."""
    if type(leaf) is str:
        return leaf.encode("utf-8", "surrogatepass")
    if type(leaf) is dict and set(leaf) == {"b64"} and type(leaf["b64"]) is str:
        try:
            return base64.b64decode(leaf["b64"], validate=True)
        except binascii.Error as error:
            raise BadRequest(f'input {spec.name!r}: "b64" is not base64') from error
    raise BadRequest(f"input {spec.name!r} takes strings, found {_named(leaf)}")


def to_json(name: str, array: Array) -> Any:
    """Return the tensor as nested lists. JSON has no NaN and no infinity, so a model that gives one has failed."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadOutput(f"output {name!r} holds a number that is not finite")
    if array.dtype.kind in "OS":
        return _text(array)
    return array.tolist()


def _text(array: Array) -> Any:
    flat = [item if isinstance(item, str) else _decoded(item) for item in array.ravel().tolist()]
    return np.array(flat, dtype=np.object_).reshape(array.shape).tolist()


def _decoded(item: bytes) -> Any:
    try:
        return item.decode()
    except UnicodeDecodeError:
        return base64.b64encode(item).decode()


def rows(shapes: Sequence[tuple[int, ...]]) -> int:
    """Return how many rows a request has: the largest first dimension."""
    return max((shape[0] for shape in shapes if shape), default=1)


def size(shape: tuple[int, ...]) -> int:
    """Return how many elements a tensor of this shape has."""
    return math.prod(shape)

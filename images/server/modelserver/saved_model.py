"""The SavedModel in TensorFlow: loading, its signature, warming up, computing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .failures import first_line
from .protocol import SIGNATURE, Signature, Tensors
from .tensors import NUMPY_TYPES, Array, TensorSpec

# One row is what most requests hold; the second size makes the graph's shapes general before the first request.
WARM_UP_ROWS = (1, 2)
_DATATYPES = {np.dtype(kind): name for name, kind in NUMPY_TYPES.items()}


class NotServable(ValueError):
    """The folder holds no model that this server can serve; the message is a sentence for people."""


class SavedModel:
    """A loaded model with the signature that is served. Thread-safe, as TensorFlow's functions are."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Load from `folder`; `threads` is how many requests compute at once."""
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        try:
            # The loaded object must live on: the signature holds its variables by weak references.
            self._loaded = tf.saved_model.load(str(folder))
        except Exception as error:
            raise NotServable(f"{folder} can't be loaded as a SavedModel: {first_line(error)}") from error
        if SIGNATURE not in self._loaded.signatures:
            raise NotServable(f'{folder} has no signature "{SIGNATURE}"')
        self._function: Callable[..., dict[str, Any]] = self._loaded.signatures[SIGNATURE]
        self.signature = _signature_of(self._loaded.signatures[SIGNATURE])

    def compute(self, tensors: Tensors) -> dict[str, Array]:
        """Return the outputs by name. Whatever the model raises comes through."""
        given = {
            spec.name: tf.constant(_for_tensorflow(tensors[spec.name]), dtype=_dtype(spec))
            for spec in self.signature.inputs
        }
        return {name: np.asarray(tensor.numpy()) for name, tensor in self._function(**given).items()}

    def warm_up(self) -> str | None:
        """Compute made-up batches, so that the first real request is no slower than the second.

        Returns what the model raised, if it did: a model may rightly refuse an input of zeros, so that is told and
        does not keep it from serving.
        """
        for rows in WARM_UP_ROWS:
            try:
                self.compute({spec.name: _made_up(spec, rows) for spec in self.signature.inputs})
            except Exception as error:  # noqa: BLE001 - a model may raise anything
                return first_line(error)
        return None


def _for_tensorflow(array: Array) -> Any:
    return array.tolist() if array.dtype.kind == "O" else array


def _dtype(spec: TensorSpec) -> Any:
    return tf.string if spec.datatype == "BYTES" else tf.as_dtype(NUMPY_TYPES[spec.datatype])


def _made_up(spec: TensorSpec, rows: int) -> Array:
    """A batch of zeros (empty strings) with `rows` rows; other free dimensions have one element."""
    shape = spec.shape or (-1,)
    first = rows if shape[0] == -1 else shape[0]
    filled = (first, *(1 if size == -1 else size for size in shape[1:]))
    if spec.datatype == "BYTES":
        return np.full(filled, b"", dtype=np.object_)
    return np.zeros(filled, dtype=NUMPY_TYPES[spec.datatype])


def _signature_of(function: Any) -> Signature:
    inputs = sorted(function.structured_input_signature[1].items())
    outputs = sorted(function.structured_outputs.items())
    return Signature(
        inputs=tuple(_spec(name, tensor) for name, tensor in inputs),
        outputs=tuple(_spec(name, tensor) for name, tensor in outputs),
    )


def _spec(name: str, tensor: Any) -> TensorSpec:
    """Return one tensor's spec. NotServable for a type that the protocol has no name for."""
    numpy_type = np.dtype(tensor.dtype.as_numpy_dtype)
    datatype = "BYTES" if tensor.dtype == tf.string else _DATATYPES.get(numpy_type, "")
    if not datatype:
        raise NotServable(f"tensor {name!r} is of type {tensor.dtype.name}, which the protocol has no name for")
    if tensor.shape.rank is None:
        return TensorSpec(name, datatype, None)
    return TensorSpec(name, datatype, tuple(-1 if size is None else size for size in tensor.shape.as_list()))

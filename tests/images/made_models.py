"""Small SavedModels for the tests."""

from pathlib import Path
from typing import Any

import tensorflow as tf


class Plain(tf.Module):  # type: ignore[misc]  # TensorFlow ships no types
    """Sums each row; fails where a value is above 100, gives no number where one is below 0."""

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, name="x")])  # type: ignore[untyped-decorator]  # as above
    def serve(self, x: Any) -> dict[str, Any]:
        check = tf.debugging.Assert(tf.reduce_all(x <= 100), ["a value above 100"])
        with tf.control_dependencies([check]):
            return {"total": tf.reduce_sum(x, axis=1) + 0 * tf.reduce_sum(tf.sqrt(x), axis=1)}


class Typed(tf.Module):  # type: ignore[misc]  # TensorFlow ships no types
    """Gives its inputs back, of several types."""

    @tf.function(  # type: ignore[untyped-decorator]  # as above
        input_signature=[
            tf.TensorSpec((None,), tf.int64, name="whole"),
            tf.TensorSpec((None,), tf.string, name="word"),
            tf.TensorSpec((None, 2), tf.bool, name="flags"),
            tf.TensorSpec((None,), tf.uint8, name="small"),
            tf.TensorSpec((None,), tf.float16, name="half"),
        ]
    )
    def serve(self, whole: Any, word: Any, flags: Any, small: Any, half: Any) -> dict[str, Any]:
        same = {"whole": whole, "word": word, "flags": flags, "small": small, "half": half}
        return {f"{name}_out": tf.identity(value) for name, value in same.items()}


class Wary(tf.Module):  # type: ignore[misc]  # TensorFlow ships no types
    """Fails for anything that is not above zero."""

    @tf.function(input_signature=[tf.TensorSpec((None, 1), tf.float32, name="x")])  # type: ignore[untyped-decorator]  # as above
    def serve(self, x: Any) -> dict[str, Any]:
        check = tf.debugging.Assert(tf.reduce_all(x > 0), ["not above zero"])
        with tf.control_dependencies([check]):
            return {"y": tf.identity(x)[:, 0]}


class Complex(tf.Module):  # type: ignore[misc]  # TensorFlow ships no types
    """Takes a type that the protocol has no name for."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.complex64, name="z")])  # type: ignore[untyped-decorator]  # as above
    def serve(self, z: Any) -> dict[str, Any]:
        return {"z": z}


def make(folder: Path) -> None:
    """Write one of each module, one without a signature, and two that are broken."""
    for name, module in {"plain": Plain(), "typed": Typed(), "wary": Wary(), "complex": Complex()}.items():
        target = folder / name / "model"
        tf.saved_model.save(module, str(target), signatures={"serving_default": module.serve})
    nothing = tf.Module()  # a module with one traced function would get a signature by itself
    nothing.variable = tf.Variable(1.0)
    tf.saved_model.save(nothing, str(folder / "unsigned/model"))
    (folder / "broken/model").mkdir(parents=True)
    (folder / "broken/model/saved_model.pb").write_bytes(b"not a SavedModel")
    (folder / "empty/model").mkdir(parents=True)

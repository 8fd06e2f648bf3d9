"""What is exported: the network behind the signature `serving_default`, `features` → `probability`.

Two of the trainer's parameters plant a fault here, on purpose and plainly named, so that a rollout can be seen to
catch it. Neither touches the network, so every offline metric stays as it was:
- `inputGuard: strict` asserts that each feature lies in the range that the training rows had. It looks like care, and
  fails for the share of live rows that the training data did not foresee.
- `delaySeconds` waits before each answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from .parameters import Parameters
from .table import Table


class Serving(tf.Module):  # type: ignore[misc]  # TensorFlow ships no types
    """The exported module."""

    def __init__(self, model: Any, table: Table, parameters: Parameters) -> None:
        super().__init__()
        self.model = model
        self._lowest = tf.constant(table.features.min(axis=0))
        self._highest = tf.constant(table.features.max(axis=0))
        self._parameters = parameters
        shape = tf.TensorSpec((None, len(table.columns)), tf.float32, name="features")
        self.serve = tf.function(self._serve, input_signature=[shape], autograph=False)

    def _serve(self, features: Any) -> dict[str, Any]:
        waits = []
        if self._parameters.input_guard == "strict":
            waits.append(self._assert_in_range(features))
        if self._parameters.delay_seconds > 0:
            waits.append(_delay(self._parameters.delay_seconds))
        with tf.control_dependencies(waits):
            features = tf.identity(features)
        return {"probability": tf.reshape(self.model(features, training=False), [-1])}

    def _assert_in_range(self, features: Any) -> Any:
        inside = tf.reduce_all((features >= self._lowest) & (features <= self._highest), axis=1)
        outside = tf.reduce_sum(tf.cast(~inside, tf.int32))
        return tf.debugging.Assert(
            tf.equal(outside, 0), ["rows with a feature outside of the range of the training data:", outside]
        )


def _delay(seconds: float) -> Any:
    """Return a tensor that takes so long to be computed, without using the processor.

    The sleeping dataset of TensorFlow's runtime sleeps before its element and once more before its end.
    """
    one = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64))
    slow = tf.raw_ops.SleepDataset(
        input_dataset=one._variant_tensor,  # raw operations take the dataset's tensor
        sleep_microseconds=tf.constant(round(seconds * 1e6 / 2), tf.int64),
        output_types=[tf.int64],
        output_shapes=[[]],
    )
    return tf.raw_ops.DatasetToSingleElement(dataset=slow, output_types=[tf.int64], output_shapes=[[]])[0]


def export(model: Any, table: Table, parameters: Parameters, folder: Path) -> None:
    """Write the SavedModel into `folder`."""
    module = Serving(model, table, parameters)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})

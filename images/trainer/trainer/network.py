"""The network: normalisation with the training data's own mean and variance, dense layers, one probability."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from .parameters import Parameters
from .table import Table


class Progress(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """One line per epoch, at once, for `kubectl logs -f`."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Print the epoch's numbers."""
        said = " ".join(f"{name}={value:.4f}" for name, value in (logs or {}).items())
        print(f"epoch {epoch + 1}/{self.params['epochs']} {said}", flush=True)


def train(table: Table, parameters: Parameters) -> Any:
    """Return the trained Keras model; it takes raw features. Same table, parameters and seed give the same model."""
    keras.utils.set_random_seed(parameters.seed)
    normalise = keras.layers.Normalization()
    normalise.adapt(table.features)
    layers = [keras.layers.Dense(units, activation="relu") for units in parameters.hidden_units]
    output = keras.layers.Dense(1, activation="sigmoid")
    model = keras.Sequential([keras.Input((len(table.columns),)), normalise, *layers, output])
    model.compile(
        optimizer=keras.optimizers.Adam(parameters.learning_rate),
        loss="binary_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    if parameters.epochs:
        model.fit(
            table.features,
            table.labels,
            batch_size=parameters.batch_size,
            epochs=parameters.epochs,
            verbose=0,
            callbacks=[Progress()],
        )
    return model


def probabilities(model: Any, table: Table) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the model's probability of label 1 for each row."""
    return np.asarray(model.predict(table.features, batch_size=1024, verbose=0)).reshape(-1)

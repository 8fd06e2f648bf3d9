"""Metrics of a binary classifier on held-out rows, exact, from the probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
SMALLEST = 1e-7  # probabilities are kept this far from 0 and 1 in the loss, as Keras does


def score(labels: Array, probabilities: Array) -> dict[str, float]:
    """Return auc, accuracy (at 0.5), loss (mean cross-entropy in nats) and the number of examples."""
    clipped = np.clip(probabilities.astype(np.float64), SMALLEST, 1 - SMALLEST)
    loss = -np.mean(np.where(labels == 1, np.log(clipped), np.log1p(-clipped)))
    return {
        "auc": round(auc(labels, probabilities), 6),
        "accuracy": round(float(np.mean((probabilities >= 0.5) == (labels == 1))), 6),
        "loss": round(float(loss), 6),
        "examples": len(labels),
    }


def auc(labels: Array, probabilities: Array) -> float:
    """Return the area under the ROC curve: how often a positive row outranks a negative one, ties counting half.

    It is the Mann-Whitney statistic over ranks, https://doi.org/10.1148/radiology.143.1.7063747 .
    """
    _, position, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[position]
    positives = int((labels == 1).sum())
    negatives = len(labels) - positives
    above = ranks[labels == 1].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))

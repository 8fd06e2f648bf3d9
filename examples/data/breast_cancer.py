"""Makes the demo's data set: scikit-learn's breast cancer (569 rows, 30 features, label 1 = benign) as CSV.

    python examples/data/breast_cancer.py data.csv       the data set
    python examples/data/breast_cancer.py requests.jsonl --requests 500 --drift 0.05
                                                         request bodies for load, one a line

The request bodies are rows of the data set; a share of them comes from "new devices", whose images are larger: every
length of a cell (radius, perimeter, area) is scaled up, so the largest leave the range that any training row had. It is
what drift looks like in practice: rows that nobody broke, from a machine that the training data did not know.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

LABEL = "label"
# How much larger a new device draws: lengths by this factor, areas by its square.
NEW_DEVICE_SCALE = 2.5


@cache
def _bunch() -> Any:
    from sklearn.datasets import load_breast_cancer  # seconds, and not everybody who imports this file needs it

    return load_breast_cancer()


def columns() -> list[str]:
    """Return the features' names in the order of the file."""
    return [str(name).replace(" ", "_") for name in _bunch().feature_names]


def rows() -> tuple[list[list[float]], list[int]]:
    """Return features and labels."""
    return _bunch().data.tolist(), _bunch().target.tolist()


def write_csv(path: Path) -> int:
    """Write the data set; return how many rows it has."""
    features, labels = rows()
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*columns(), LABEL])
        writer.writerows([*row, label] for row, label in zip(features, labels, strict=True))
    return len(labels)


def from_new_device(row: list[float]) -> list[float]:
    """Return the row as a new device would have measured it."""
    factors = {"radius": NEW_DEVICE_SCALE, "perimeter": NEW_DEVICE_SCALE, "area": NEW_DEVICE_SCALE**2}
    return [
        value * next((factor for word, factor in factors.items() if word in name), 1.0)
        for name, value in zip(columns(), row, strict=True)
    ]


def requests(count: int, drift: float, seed: int) -> Iterator[dict[str, list[list[float]]]]:
    """Yield bodies for `:predict`, one row each; the share `drift` of them comes from new devices."""
    generator, (features, _) = random.Random(seed), rows()  # noqa: S311 - load, not secrets
    drifted = set(generator.sample(range(count), round(count * drift)))
    for index in range(count):
        row = generator.choice(features)
        yield {"instances": [from_new_device(row) if index in drifted else row]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--requests", type=int, default=0, help="write this many request bodies, not the data set")
    parser.add_argument("--drift", type=float, default=0.05, help="share of them from new devices (0 to 1)")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args(arguments)
    if wanted.requests:
        bodies = requests(wanted.requests, wanted.drift, wanted.seed)
        wanted.path.write_text("".join(json.dumps(body) + "\n" for body in bodies))
        print(f"{wanted.requests} requests in {wanted.path}")
    else:
        print(f"{write_csv(wanted.path)} rows in {wanted.path}")


if __name__ == "__main__":
    main()

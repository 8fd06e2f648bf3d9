"""`python -m trainer`: the training container of the examples (docs/contracts.md, docs/training-images.md).

Exit codes: 0 trained, 2 a parameter or the data is wrong (the last line says which).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from . import parameters, scores, table
from .problems import Problem


def train(data: Path, output: Path, wanted: parameters.Parameters) -> dict[str, float]:
    """Train, measure on the held-out rows, export; return the metrics that were written."""
    everything = table.read(table.find_files(data), wanted.label_column)
    training, held_out = table.split(everything, wanted.held_out_share, wanted.seed)
    print(f"{len(everything.columns)} features: {', '.join(everything.columns)}"[:2000])
    print(f"{len(training.labels)} rows to train on, {len(held_out.labels)} held out", flush=True)
    from . import network, serving  # TensorFlow takes seconds to import; wrong data is told before

    model = network.train(training, wanted)
    metrics = scores.score(held_out.labels, network.probabilities(model, held_out))
    serving.export(model, training, wanted, output / "model")
    (output / "metrics.json").write_text(json.dumps(metrics))
    return metrics


def main() -> int:
    """Read the environment and train."""
    started = time.monotonic()
    try:
        wanted = parameters.read(os.environ.get("TRAINYARD_PARAMETERS") or "{}")
        data, output = _folder("TRAINYARD_DATA"), _folder("TRAINYARD_OUTPUT")
        print(f"training {os.environ.get('TRAINYARD_MODEL', '')}: {parameters.describe(wanted)}", flush=True)
        output.mkdir(parents=True, exist_ok=True)
        metrics = train(data, output, wanted)
    except Problem as problem:
        print(f"trainer: {problem}", file=sys.stderr)
        return 2
    said = " ".join(f"{name}={value}" for name, value in metrics.items())
    print(f"done after {time.monotonic() - started:.1f} s: {said}")
    return 0


def _folder(name: str) -> Path:
    value = os.environ.get(name, "")
    if not value:
        raise Problem(f"{name} is not set: this image is started by a TrainingRun")
    return Path(value)


if __name__ == "__main__":
    sys.exit(main())

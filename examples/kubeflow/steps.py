"""The steps of the churn pipeline. Each becomes text inside the package: what it uses, it imports itself."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

IMAGE = "localhost/trainyard/kfp:dev"
TENSORFLOW_IMAGE = "localhost/trainyard/kfp-tensorflow:dev"


@dsl.component(base_image=IMAGE)
def data(rows: int, seed: int, table: Output[Dataset]) -> None:
    """Make customers as a company's books have them, some values missing; the same seed makes the same ones."""
    import csv
    import math
    import random
    from pathlib import Path

    draw = random.Random(seed)  # noqa: S311 - data, not secrets
    columns = ["tenure_months", "monthly_charge", "support_calls", "late_payments", "contract_months", "churned"]
    with Path(table.path).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for _ in range(rows):
            tenure = draw.randint(0, 72)
            charge = round(draw.uniform(20, 120), 2)
            calls = min(9, int(draw.expovariate(0.6)))
            late = min(6, int(draw.expovariate(1.0)))
            contract = draw.choice((1, 12, 24))
            risk = 0.03 * charge + 0.7 * calls + 0.5 * late - 0.06 * tenure - 0.08 * contract - 0.9
            churned = int(draw.random() < 1 / (1 + math.exp(-1.5 * risk)))
            known = charge if draw.random() > 0.01 else ""
            writer.writerow([tenure, known, calls, late, contract, churned])
    table.metadata["rows"] = rows


@dsl.component(base_image=IMAGE)
def validate(
    table: Input[Dataset], most_missing: float, label: str, valid: Output[Dataset], report: Output[Artifact]
) -> None:
    """Pass on the whole rows. Fails where too many values are missing, or the label is no label."""
    import csv
    import json
    import sys
    from pathlib import Path

    with Path(table.path).open(newline="") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        rows = list(reader)
    if label not in columns:
        sys.exit(f"there is no column {label!r}; there are {', '.join(columns)}")
    whole = [row for row in rows if all(row.values())]
    missing = 1 - len(whole) / max(1, len(rows))
    share = sum(row[label] == "1" for row in whole) / max(1, len(whole))
    found = {"rows": len(rows), "missing_share": round(missing, 6), "label_share": round(share, 6)}
    print(json.dumps(found))
    if missing > most_missing:
        sys.exit(f"{missing:.1%} of the rows lack a value; {most_missing:.1%} is the most")
    if {row[label] for row in whole} != {"0", "1"}:
        sys.exit(f"the column {label!r} does not hold 0 and 1, both and nothing else")
    with Path(valid.path).open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(whole)
    Path(report.path).write_text(json.dumps(found))


@dsl.component(base_image=TENSORFLOW_IMAGE)
def train(
    table: Input[Dataset],
    label: str,
    epochs: int,
    learning_rate: float,
    hidden_units: list[int],
    seed: int,
    model: Output[Model],
    held_out: Output[Dataset],
) -> None:
    """Train on four fifths of the rows; export a SavedModel, `features` to `probability`; keep the other rows."""
    from pathlib import Path

    import keras
    import numpy as np
    import tensorflow as tf

    print(f"devices: {[device.name for device in tf.config.list_physical_devices()]}", flush=True)
    with Path(table.path).open() as lines:
        columns = lines.readline().strip().split(",")
        rows = np.loadtxt(lines, delimiter=",", ndmin=2)
    rows = rows[np.random.default_rng(seed).permutation(len(rows))]
    at, cut = columns.index(label), len(rows) // 5
    header = ",".join(columns)
    np.savetxt(held_out.path, rows[:cut], fmt="%.8g", delimiter=",", header=header, comments="")
    features = np.delete(rows[cut:], at, axis=1).astype(np.float32)
    keras.utils.set_random_seed(seed)
    normalise = keras.layers.Normalization()
    normalise.adapt(features)
    layers = [keras.layers.Dense(int(units), activation="relu") for units in hidden_units]
    output = keras.layers.Dense(1, activation="sigmoid")
    network = keras.Sequential([keras.Input((features.shape[1],)), normalise, *layers, output])
    network.compile(optimizer=keras.optimizers.Adam(learning_rate), loss="binary_crossentropy")
    network.fit(features, rows[cut:, at], batch_size=32, epochs=epochs, verbose=2)

    shape = tf.TensorSpec((None, features.shape[1]), tf.float32, name="features")
    serve = tf.function(lambda features: {"probability": tf.reshape(network(features), [-1])}, input_signature=[shape])
    tf.saved_model.save(network, model.path, signatures={"serving_default": serve.get_concrete_function()})
    model.metadata["columns"] = [name for name in columns if name != label]


@dsl.component(base_image=TENSORFLOW_IMAGE)
def evaluate(model: Input[Model], held_out: Input[Dataset], label: str, report: Output[Artifact]) -> None:
    """Measure the exported model, as a server will load it, on rows that it never saw."""
    import json
    from pathlib import Path

    import numpy as np
    import tensorflow as tf

    with Path(held_out.path).open() as lines:
        columns = lines.readline().strip().split(",")
        rows = np.loadtxt(lines, delimiter=",", ndmin=2)
    at = columns.index(label)
    labels, features = rows[:, at], np.delete(rows, at, axis=1).astype(np.float32)
    served = tf.saved_model.load(model.path).signatures["serving_default"]
    found = served(features=tf.constant(features))["probability"].numpy().astype(np.float64)
    # How often a customer who left outranks one who stayed, ties counting half: the area under the ROC curve.
    gone, stayed = found[labels == 1][:, None], found[labels == 0][None, :]
    auc = float(np.mean((gone > stayed) + 0.5 * (gone == stayed)))
    clipped = np.clip(found, 1e-7, 1 - 1e-7)
    loss = -float(np.mean(np.where(labels == 1, np.log(clipped), np.log1p(-clipped))))
    accuracy = float(np.mean((found >= 0.5) == (labels == 1)))
    metrics = {"auc": round(auc, 6), "accuracy": round(accuracy, 6), "loss": round(loss, 6), "examples": len(labels)}
    print(json.dumps(metrics))
    Path(report.path).write_text(json.dumps(metrics))

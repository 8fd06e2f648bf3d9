"""Several workers train one model together, and go on from the last checkpoint when one of them failed.

TensorFlow finds the workers in TF_CONFIG, which the operator sets (docs/contracts.md). What is learnt is a straight
line, so that a few seconds are enough; what matters is around it: every worker saves, for the variables are mirrored,
and only the first one saves where it counts.
"""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import tensorflow as tf

SLOPE, OFFSET = 3.0, -1.0


class Line(tf.Module):
    """What is learnt."""

    def __init__(self):
        super().__init__()
        mean = tf.VariableAggregation.MEAN  # a change by each worker becomes one change by their mean
        self.slope = tf.Variable(0.0, aggregation=mean)
        self.offset = tf.Variable(0.0, aggregation=mean)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="features")])
    def serve(self, features):
        """Answer a request."""
        return {"predictions": self.slope * features + self.offset}


def rows(context):
    """Return this worker's own endless rows."""
    made = tf.data.Dataset.random(seed=context.input_pipeline_id).map(
        lambda n: tf.cast(n % 2000, tf.float32) / 1000 - 1
    )
    return made.map(lambda x: (x, SLOPE * x + OFFSET)).batch(64)


def place(folder, worker):
    """Return where this worker saves: the folder itself for the first, somewhere to throw away for the others."""
    return str(folder if worker == 0 else Path(tempfile.mkdtemp()) / Path(folder).name)


def newest(checkpoints):
    """Return the step of the newest whole checkpoint, 0 for none."""
    latest = checkpoints / "latest"
    return int(latest.read_text()) if latest.exists() else 0


def whole(checkpoints, step):
    """Say that the checkpoint of a step is whole; renaming a file is one step, so it is never half said."""
    beside = checkpoints / ".latest"
    beside.write_text(str(step))
    beside.rename(checkpoints / "latest")


def main():
    """Train and leave what the contract asks for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as the first process of a container it would ignore it
    wanted = json.loads(os.environ["TRAINYARD_PARAMETERS"])
    worker, workers = int(os.environ["TRAINYARD_WORKER"]), int(os.environ["TRAINYARD_WORKERS"])
    output, checkpoints = Path(os.environ["TRAINYARD_OUTPUT"]), Path(os.environ["TRAINYARD_CHECKPOINT"])

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    print(f"worker {worker} of {workers}: {strategy.num_replicas_in_sync} replicas", flush=True)
    with strategy.scope():
        line = Line()
    data = iter(strategy.distribute_datasets_from_function(rows))
    checkpoint = tf.train.Checkpoint(line=line)
    first = newest(checkpoints)
    if first:
        checkpoint.read(str(checkpoints / f"step-{first}")).assert_consumed()
    print(f"worker {worker} starts at step {first}", flush=True)

    def one(batch):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((line.serve(batch[0])["predictions"] - batch[1]) ** 2)
        for variable, gradient in zip(line.variables, tape.gradient(loss, line.variables), strict=True):
            variable.assign_sub(wanted["learningRate"] * gradient)
        return loss

    @tf.function
    def together(batch):
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(one, args=(batch,)), axis=None)

    loss = tf.constant(0.0)
    for step in range(first + 1, wanted["steps"] + 1):
        loss = together(next(data))
        if step % wanted["saveEvery"] == 0:
            checkpoint.write(place(checkpoints / f"step-{step}", worker))
            if worker == 0:
                whole(checkpoints, step)
            print(f"step {step}: loss {float(loss):.6f}", flush=True)

    tf.saved_model.save(line, place(output / "model", worker), signatures={"serving_default": line.serve})
    if worker == 0:
        (output / "metrics.json").write_text(json.dumps({"loss": float(loss), "firstStep": first}))


if __name__ == "__main__":
    main()

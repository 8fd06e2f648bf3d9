"""The smallest pipeline that makes a model and a report: no TensorFlow, seconds of work."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

IMAGE = "localhost/trainyard/kfp:dev"


@dsl.component(base_image=IMAGE)
def collect(numbers: list[float], table: Output[Dataset]) -> None:
    """Write the numbers, one a line."""
    from pathlib import Path

    Path(table.path).write_text("".join(f"{number}\n" for number in numbers))


@dsl.component(base_image=IMAGE)
def fit(table: Input[Dataset], model: Output[Model], report: Output[Artifact]) -> None:
    """Learn the mean; the report tells it and from how many numbers it comes."""
    import json
    from pathlib import Path

    with Path(table.path).open() as lines:
        numbers = [float(line) for line in lines]
    mean = sum(numbers) / len(numbers)
    Path(model.path).mkdir(parents=True, exist_ok=True)
    (Path(model.path) / "mean.json").write_text(json.dumps({"mean": mean}))
    Path(report.path).write_text(json.dumps({"mean": round(mean, 6), "examples": len(numbers)}))


@dsl.pipeline(name="two-steps", description="Numbers in, their mean out.")
def two_steps(numbers: list[float] = [1.0, 2.0, 6.0]) -> None:  # noqa: B006 - the SDK copies it
    """Compose the two steps."""
    collected = collect(numbers=numbers)
    fit(table=collected.outputs["table"])

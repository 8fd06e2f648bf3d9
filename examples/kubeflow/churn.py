"""Will this customer leave? Data, validation, training on a GPU, evaluation: the pipeline of docs/kubeflow.md."""

from kfp import dsl, kubernetes

from examples.kubeflow.steps import data, evaluate, train, validate


@dsl.pipeline(name="churn", description="Will this customer leave? A SavedModel, and a report of its metrics.")
def churn(
    rows: int = 2000,
    seed: int = 7,
    label: str = "churned",
    most_missing: float = 0.05,
    epochs: int = 8,
    learning_rate: float = 0.02,
    hidden_units: list[int] = [16],  # noqa: B006 - the SDK copies it
) -> None:
    """Compose the steps."""
    made = data(rows=rows, seed=seed)
    checked = validate(table=made.outputs["table"], most_missing=most_missing, label=label)
    trained = train(
        table=checked.outputs["valid"],
        label=label,
        epochs=epochs,
        learning_rate=learning_rate,
        hidden_units=hidden_units,
        seed=seed,
    )
    # One GPU, on nodes that keep others away; spec.compute of a TrainingPipeline can say otherwise.
    trained.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1).set_memory_limit("2Gi")
    kubernetes.add_toleration(trained, key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")
    evaluate(model=trained.outputs["model"], held_out=trained.outputs["held_out"], label=label).set_memory_limit("2Gi")

"""The commands about ModelVersions and where they come from. Flags and help only."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trainyard.cli.options import Command, Format, Output, ask, examples, located, named
from trainyard.cli.where import Where

if TYPE_CHECKING:
    from trainyard.cli.connection import Connection
    from trainyard.cli.lineage import Answer

Thing = Literal["model", "dataset", "run"]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        envvar="TRAINYARD_DATABASE_URL",
        help="Ask the record too: mysql://user:password@host:port/name. Better in the environment than here.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands, with examples."""
    app.command("versions", epilog=examples("trainyard versions --model churn"))(located(versions_command))
    for thing, metavar, text, lines in LINEAGE:
        app.command(f"lineage {thing}", help=text, epilog=examples(*lines))(located(_lineage(thing, metavar)))


def versions_command(
    where: Where,
    model: Annotated[str | None, typer.Option(help="Only versions of this model.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """List model versions, newest first."""
    from trainyard.cli import clock, console, listing
    from trainyard.systems.cluster.port import MODEL_VERSION

    async def command(connection: "Connection") -> tuple[str, Any]:
        return connection.namespace, await connection.cluster.list(MODEL_VERSION, connection.namespace)

    namespace, found = ask(where, command)
    meant = listing.newest_first([v for v in found if model in (None, v["spec"]["model"])])
    of = f" of model {model!r}" if model else ""
    empty = f"No ModelVersion{of} in namespace {namespace!r}."
    console.answer(output, meant, lambda: listing.versions(meant, clock.now()), empty)


def _lineage(thing: Thing, metavar: str) -> Command:
    def command(
        name: Annotated[str, typer.Argument(metavar=metavar, callback=named)],
        where: Where,
        database: Database = None,
        output: Output = Format.TABLE,
    ) -> None:
        from trainyard.cli import clock, console, lineage_screen

        answer = ask(where, lambda connection: _answered(connection, thing, name, database))
        if output is Format.TABLE:
            console.stdout().print(lineage_screen.screen(answer, clock.now()))
        elif output is Format.JSON:
            console.emit_json(lineage_screen.as_json(answer))
        else:
            for line in lineage_screen.names(answer):
                print(line)

    return command


async def _answered(connection: "Connection", thing: Thing, name: str, database: str | None) -> "Answer":
    from trainyard.cli import lineage, lineage_cluster

    known, asked = await lineage_cluster.facts(connection), ["cluster"]
    if database:
        from trainyard.cli import lineage_record  # SQLAlchemy is loaded where it is used

        known = lineage.together(known, await lineage_record.facts(database, connection.namespace))
        asked.append("record")
    ask_for = {"model": lineage.of_model, "dataset": lineage.of_dataset, "run": lineage.of_run}[thing]
    return ask_for(known, name, asked)


LINEAGE: tuple[tuple[Thing, str, str, tuple[str, ...]], ...] = (
    (
        "model",
        "MODEL|VERSION",
        "Tell what a model or a version was trained on.",
        ("trainyard lineage model churn", "trainyard lineage model churn-0a1b2c3d4e -o json"),
    ),
    (
        "dataset",
        "NAME|URI|DIGEST",
        "Tell which models came from a dataset.",
        ("trainyard lineage dataset customers", "trainyard lineage dataset sha256:3f9a0c1d2e4b"),
    ),
    ("run", "RUN", "Tell where a run comes from and what came of it.",
     ("trainyard lineage run churn-0a1b2c3d4e",)),
)  # fmt: skip

"""The commands about aliases of ModelVersions. Flags and help only."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainyard.cli.options import Format, Output, ask, examples, located, named
from trainyard.cli.where import Where

if TYPE_CHECKING:
    from trainyard.cli.aliases import Moved
    from trainyard.cli.connection import Connection

Version = Annotated[str, typer.Argument(metavar="VERSION", callback=named, help="A ModelVersion.")]
Alias = Annotated[str, typer.Argument(metavar="ALIAS", callback=named, help="What it is called, for example champion.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands, with examples."""
    app.command("alias list", epilog=examples("trainyard alias list --model churn"))(located(list_command))
    app.command("alias set", epilog=examples("trainyard alias set churn-0a1b2c3d4e champion"))(located(set_command))
    shown = "trainyard alias remove churn-0a1b2c3d4e champion"
    app.command("alias remove", epilog=examples(shown))(located(remove_command))


def list_command(
    where: Where,
    model: Annotated[str | None, typer.Option(help="Only aliases of this model.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """List aliases, who holds them, who held them before."""
    from trainyard.cli import aliases, clock, console
    from trainyard.systems.cluster.port import MODEL_VERSION

    async def command(connection: "Connection") -> Any:
        return await connection.cluster.list(MODEL_VERSION, connection.namespace)

    found = [v for v in ask(where, command) if v["spec"].get("aliases") and model in (None, v["spec"]["model"])]
    console.answer(output, found, lambda: aliases.screen(found, clock.now()), "No ModelVersion has an alias.")


def set_command(version: Version, alias: Alias, where: Where, output: Output = Format.TABLE) -> None:
    """Let a version hold an alias; take it from newer ones."""
    from trainyard.cli import aliases

    _tell(ask(where, lambda connection: aliases.set_alias(connection, version, alias)), output)


def remove_command(version: Version, alias: Alias, where: Where, output: Output = Format.TABLE) -> None:
    """Take an alias off a version; an older one holds it then."""
    from trainyard.cli import aliases

    _tell(ask(where, lambda connection: aliases.remove_alias(connection, version, alias)), output)


def _tell(moved: "Moved", output: Format) -> None:
    from trainyard.cli import aliases, console

    console.say(aliases.sentence(moved))
    if output is Format.NAME:
        print(f"modelversion.trainyard.dev/{moved.now}" if moved.now else "")
    elif output is not Format.TABLE:
        console.emit_json(aliases.as_json(moved))

"""The commands about Rollouts. Flags and help only."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainyard.cli.options import Command, Format, Output, Where, ask, examples, located
from trainyard.cli.problem import Problem

if TYPE_CHECKING:
    from trainyard.cli.connection import Connection
    from trainyard.cli.rollouts import Kind

RolloutName = Annotated[str, typer.Argument(metavar="ROLLOUT", help="A Rollout.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands, with examples."""
    shown = ("trainyard rollout get churn --watch", "trainyard rollout get churn -o json")
    app.command("rollout get", epilog=examples(*shown))(located(get_command))
    for name, kind, text in ACTIONS:
        app.command(name, help=text, epilog=examples(f"trainyard {name} churn"))(located(_action(kind)))


def get_command(
    name: RolloutName,
    where: Where,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep the screen up to date until Ctrl-C.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show a Rollout: ladder, weights, measurements, waits."""
    from trainyard.cli import clock, console, rollout_screen
    from trainyard.systems.cluster.port import ROLLOUT

    if watch:
        from trainyard.cli.rollout_watch import watch_rollout

        with suppress(KeyboardInterrupt):  # the way to end it
            ask(where, lambda c: watch_rollout(c, name))
        return
    found = ask(where, lambda c: c.find(ROLLOUT, name))
    console.show(output, found, lambda: rollout_screen.screen(found, clock.now()))


def _action(kind: "Kind") -> Command:
    def command(rollout: RolloutName, where: Where, output: Output = Format.TABLE) -> None:
        _act(rollout, kind, where, output)

    return command


def _act(name: str, kind: "Kind", where: Where, output: Format) -> None:
    from trainyard.cli import console, rollouts

    async def command(connection: "Connection") -> tuple[Mapping[str, Any], Any]:
        wanted = await rollouts.act(connection, name, kind)
        return wanted, await rollouts.taken_up(connection, name, str(wanted["id"]))

    wanted, taken = ask(where, command)
    about = f"{kind} of revision {wanted['revision']}" + (
        "" if wanted["step"] is None else f" at step {wanted['step']}"
    )
    if taken is None:
        raise Problem(
            f"{about} is written (id {wanted['id']}), but no operator has taken it up yet; "
            f"see `trainyard rollout get {name}` and `kubectl describe rollout {name}`."
        )
    console.say(f"{about}: taken up.")
    if output is not Format.TABLE:
        console.show(output, taken, lambda: name)


ACTIONS: tuple[tuple[str, "Kind", str], ...] = (
    ("promote", "Promote", "Let a canary go on past its pause."),
    ("promote-full", "PromoteFull", "Promote a canary at once, without its other steps."),
    ("abort", "Abort", "Send all traffic back to stable; reject the canary."),
    ("retry", "Retry", "Try what was rejected last again, from the first step."),
)

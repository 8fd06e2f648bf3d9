"""The commands about Rollouts. Flags and help only."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainyard.cli.entering import Entrance, entered
from trainyard.cli.options import Command, Format, Output, Timeout, ask, examples, located, named
from trainyard.cli.problem import INTERRUPTED, USAGE, Problem
from trainyard.cli.rollout_rest import Until
from trainyard.cli.where import Where

if TYPE_CHECKING:
    from trainyard.cli.connection import Connection
    from trainyard.cli.rollout_watch import Look, Wish
    from trainyard.cli.rollouts import Kind
    from trainyard.cli.trail import Trail

RolloutName = Annotated[str, typer.Argument(metavar="ROLLOUT", callback=named, help="A Rollout.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands, with examples."""
    shown = (
        "trainyard rollout get churn --watch",
        "trainyard rollout get churn --watch --until promoted --timeout 3600",
        "trainyard rollout get churn -o json",
    )
    app.command("rollout get", epilog=examples(*shown))(located(entered(get_command)))
    for name, kind, text in ACTIONS:
        app.command(name, help=text, epilog=examples(f"trainyard {name} churn"))(located(_action(kind)))


def get_command(
    name: RolloutName,
    where: Where,
    entrance: Entrance,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep the screen up to date until Ctrl-C.")] = False,
    until: Annotated[
        Until | None,
        typer.Option(help="With --watch: end once it is promoted, or settled (nothing moves without a person)."),
    ] = None,
    timeout: Timeout = None,
    prometheus: Annotated[
        str, typer.Option(metavar="URL", help="Begin the sparklines with what Prometheus has kept.")
    ] = "",
    output: Output = Format.TABLE,
) -> None:
    """Show a Rollout: ladder, weights, measurements, waits.

    With --until the exit status is 0 promoted, 3 aborted or refused, 4 called back before it was promoted, 6 waiting
    for a person (settled only), 124 still on its way after --timeout.
    """
    from trainyard.cli.rollout_past import earlier
    from trainyard.cli.rollout_watch import Wish, see
    from trainyard.cli.trail import Trail

    if (until or timeout is not None) and not watch:
        raise Problem("--until and --timeout belong to --watch.", USAGE)
    trail = Trail()

    async def command(connection: "Connection") -> Any:
        look = await see(connection, name)
        trail.begin(look.rollout, await earlier(prometheus, entrance, connection.namespace, look.rollout))
        return look

    first = ask(where, command)
    if watch:
        _watch(name, where, output, trail, Wish(until, timeout))
    else:
        _show(first, output, trail)


def _show(look: "Look", output: Format, trail: "Trail") -> None:
    from trainyard.cli import clock, console, rollout_screen

    console.show(output, look.rollout, lambda: rollout_screen.screen(look.rollout, clock.now(), trail, look.pods))


def _watch(name: str, where: Where, output: Format, trail: "Trail", wish: "Wish") -> None:
    from trainyard.cli import console, rollout_show, rollout_watch

    try:
        with rollout_show.shown(output, trail) as show:
            look, rest = ask(where, lambda c: rollout_watch.watch(c, name, show, wish))
    except KeyboardInterrupt:  # the way to end it, unless something was waited for
        raise typer.Exit(INTERRUPTED if wish.until else 0) from None
    if output is Format.NAME:
        console.emit_names([look.rollout])
    console.say(f"Rollout {name}: {rest.sentence}")
    raise typer.Exit(rest.status)


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
            f"see `trainyard rollout get {name}` and `kubectl describe tyro {name}`."
        )
    why = rollouts.ignored(taken, str(wanted["id"]))
    if why:
        raise Problem(f"{about} is ignored: {why}.")
    console.say(f"{about}: taken up.")
    if output is not Format.TABLE:
        console.show(output, taken, lambda: name)


ACTIONS: tuple[tuple[str, "Kind", str], ...] = (
    ("promote", "Promote", "Let a canary go on past its pause."),
    ("promote-full", "PromoteFull", "Promote a canary at once, without its other steps."),
    ("abort", "Abort", "Send all traffic back to stable; reject the canary."),
    ("retry", "Retry", "Try what was rejected last again, from the first step."),
)

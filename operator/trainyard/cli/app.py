"""The commands of `trainyard`, which is also `kubectl trainyard`. Flags and help only; each command's work lies beside.

Heavy imports (kubernetes, pydantic) happen inside the commands, so that `--help` and completion are instant.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainyard.cli.problem import FAILED, INTERRUPTED

if TYPE_CHECKING:
    from trainyard.cli.connection import Connection
    from trainyard.cli.rollouts import Kind
    from trainyard.systems.cluster.port import Kind as ResourceKind

app = typer.Typer(
    name="trainyard",
    help="Train models, watch them roll out, and say yes or no. Also `kubectl trainyard`.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
rollout_app = typer.Typer(help="Look at Rollouts.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(rollout_app, name="rollout")


class Format(StrEnum):
    """How a command answers."""

    TABLE = "table"
    JSON = "json"


Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace; the context's where left out.")]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")]
Kubeconfig = Annotated[str | None, typer.Option("--kubeconfig", help="Path of a kubeconfig file.")]
Output = Annotated[Format, typer.Option("--output", "-o", help="table or json.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A TrainingRun.")]
RolloutName = Annotated[str, typer.Argument(metavar="ROLLOUT", help="A Rollout.")]
Timeout = Annotated[float | None, typer.Option("--timeout", min=0, help="Stop waiting after so many seconds.")]


def _connected(
    namespace: str | None,
    context: str | None,
    kubeconfig: str | None,
    command: Callable[[Connection], Coroutine[Any, Any, Any]],
) -> Any:
    """Run a command with a connection."""
    from trainyard.cli.connection import Where, connected, run

    async def within() -> Any:
        async with connected(Where(namespace, context, kubeconfig)) as connection:
            return await command(connection)

    return run(within())


@app.command("run")
def run_command(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="A TrainingPipeline.")],
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A parameter; repeatable.")
    ] = None,
    description: Annotated[str, typer.Option(help="A sentence for people.")] = "",
    experiment: Annotated[str, typer.Option(help="A word that groups runs.")] = "",
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Follow the run; exit status 0 if it succeeded.")] = False,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Start a training run by hand."""
    from trainyard.cli import console, runs

    wish = runs.Wish(pipeline, tuple(parameter or ()), description, experiment)

    def command(connection: Connection) -> Coroutine[Any, Any, Any]:
        return runs.start(connection, wish)

    created = _connected(namespace, context, kubeconfig, command)
    name = created["metadata"]["name"]
    if wait:
        console.say(f"TrainingRun {name} created")
        _follow(name, timeout, output, namespace, context, kubeconfig)
    elif output is Format.JSON:
        console.emit_json(created)
    else:
        print(name)
        console.say(runs.how_to_go_on(name))


@app.command("watch")
def watch_command(
    run: RunName,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Follow a run to its end; exit status 0 if it succeeded."""
    _follow(run, timeout, output, namespace, context, kubeconfig)


def _follow(
    name: str,
    timeout: float | None,
    output: Format,
    namespace: str | None,
    context: str | None,
    kubeconfig: str | None,
) -> None:
    from trainyard.cli import console, run_screen, runs

    try:
        with run_screen.shown() as show:
            ended = _connected(namespace, context, kubeconfig, lambda c: runs.follow(c, name, show, timeout))
    except KeyboardInterrupt:
        console.say(f"Detached; the run goes on: {runs.how_to_go_on(name)}")
        raise typer.Exit(INTERRUPTED) from None
    if output is Format.JSON:
        console.emit_json(ended)
    if not console.stderr().is_terminal:
        for line in run_screen.closing(ended):
            console.say(line)
    raise typer.Exit(0 if runs.succeeded(ended) else FAILED)


@app.command("cancel")
def cancel_command(
    run: RunName, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Stop a run and free what it holds."""
    from trainyard.cli import console, runs

    asked = _connected(namespace, context, kubeconfig, lambda c: runs.cancel(c, run))
    console.say(f"TrainingRun {run} is being cancelled." if asked else f"TrainingRun {run} has ended already.")


@app.command("logs")
def logs_command(
    run: RunName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print what a run's pods write."""
    from trainyard.cli import logs

    async def command(connection: Connection) -> None:
        async for line in logs.lines(connection, run, follow=follow):
            print(line, flush=True)

    _connected(namespace, context, kubeconfig, command)


@app.command("runs")
def runs_command(
    pipeline: Annotated[str | None, typer.Option(help="Only runs of this TrainingPipeline.")] = None,
    output: Output = Format.TABLE,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List training runs, newest first."""
    from trainyard.cli import clock, listing
    from trainyard.systems.cluster.port import TRAINING_RUN

    found = _listed(TRAINING_RUN, "pipeline", pipeline, namespace, context, kubeconfig)
    _print(output, found, lambda: listing.runs(found, clock.now()))


@app.command("versions")
def versions_command(
    model: Annotated[str | None, typer.Option(help="Only versions of this model.")] = None,
    output: Output = Format.TABLE,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List model versions, newest first."""
    from trainyard.cli import clock, listing
    from trainyard.systems.cluster.port import MODEL_VERSION

    found = _listed(MODEL_VERSION, "model", model, namespace, context, kubeconfig)
    _print(output, found, lambda: listing.versions(found, clock.now()))


def _listed(
    kind: ResourceKind,
    field: str,
    value: str | None,
    namespace: str | None,
    context: str | None,
    kubeconfig: str | None,
) -> list[Any]:
    """Return the objects of a kind, newest first, all or those whose spec field has this value."""
    from trainyard.cli.listing import newest_first

    found = _connected(namespace, context, kubeconfig, lambda c: c.cluster.list(kind, c.namespace))
    return newest_first([obj for obj in found if value in (None, obj["spec"].get(field))])


def _print(output: Format, objects: list[Any], render: Callable[[], Any]) -> None:
    from trainyard.cli import console

    if output is Format.JSON:
        console.emit_json(objects)
    elif objects:
        console.stdout().print(render())
    else:
        console.say("None here.")


@rollout_app.command("get")
def rollout_get(
    name: RolloutName,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep the screen up to date until Ctrl-C.")] = False,
    output: Output = Format.TABLE,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show a Rollout on one screen: ladder, weights, measurements, and what it waits for."""
    from trainyard.cli import clock, console, rollout_screen
    from trainyard.systems.cluster.port import ROLLOUT

    if watch:
        from trainyard.cli.rollout_watch import watch_rollout

        with suppress(KeyboardInterrupt):  # the way to end it
            _connected(namespace, context, kubeconfig, lambda c: watch_rollout(c, name))
        return
    found = _connected(namespace, context, kubeconfig, lambda c: c.find(ROLLOUT, name))
    if output is Format.JSON:
        console.emit_json(found)
    else:
        console.stdout().print(rollout_screen.screen(found, clock.now()))


@app.command("promote")
def promote_command(
    rollout: RolloutName, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Let a canary go on past its pause."""
    _act(rollout, "Promote", namespace, context, kubeconfig)


@app.command("promote-full")
def promote_full_command(
    rollout: RolloutName, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Promote a canary at once, without the rest of its steps."""
    _act(rollout, "PromoteFull", namespace, context, kubeconfig)


@app.command("abort")
def abort_command(
    rollout: RolloutName, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Send all traffic back to stable and reject the canary's revision."""
    _act(rollout, "Abort", namespace, context, kubeconfig)


@app.command("retry")
def retry_command(
    rollout: RolloutName, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Try the revision that was rejected last once more, from the first step."""
    _act(rollout, "Retry", namespace, context, kubeconfig)


def _act(name: str, kind: Kind, namespace: str | None, context: str | None, kubeconfig: str | None) -> None:
    from trainyard.cli import console, rollouts
    from trainyard.cli.problem import Problem

    async def command(connection: Connection) -> tuple[Any, bool]:
        wanted = await rollouts.act(connection, name, kind)
        return wanted, await rollouts.taken_up(connection, name, str(wanted["id"]))

    wanted, taken = _connected(namespace, context, kubeconfig, command)
    about = f"{kind} of revision {wanted['revision']}" + (
        "" if wanted["step"] is None else f" at step {wanted['step']}"
    )
    if not taken:
        raise Problem(
            f"{about} is written (id {wanted['id']}), but no operator has taken it up yet; "
            f"see `trainyard rollout get {name}` and `kubectl describe rollout {name}`."
        )
    console.say(f"{about}: taken up.")

"""The commands about TrainingPipelines and TrainingRuns. Flags and help only; each command's work lies beside.

Heavy imports (kubernetes, pydantic) happen inside the commands, so that `--help` is instant.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainyard.cli.options import Format, Limit, Output, RunName, Timeout, ask, examples, located, named
from trainyard.cli.problem import INTERRUPTED, USAGE, Problem
from trainyard.cli.where import Where

if TYPE_CHECKING:
    from trainyard.cli.connection import Connection

PipelineName = Annotated[str, typer.Argument(metavar="PIPELINE", callback=named, help="A TrainingPipeline.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands, with examples."""
    for name, command, lines in COMMANDS:
        app.command(name, epilog=examples(*lines))(located(command))


def run_command(
    pipeline: PipelineName,
    where: Where,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", "--parameter", metavar="NAME=VALUE", help="A parameter; repeatable."),
    ] = None,
    params_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="YAML or JSON mapping of parameters; - for stdin. --param wins."),
    ] = None,
    description: Annotated[str, typer.Option(help="A sentence for people.")] = "",
    experiment: Annotated[str, typer.Option(help="A word that groups runs.")] = "",
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Follow the run; the exit status tells how it ended.")
    ] = False,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
) -> None:
    """Start a training run by hand.

    With --wait the exit status is 0 if it succeeded, 3 failed, 4 cancelled, 5 timed out, 124 still running after
    --timeout. Ctrl-C leaves it running.
    """
    from trainyard.cli import console, parameters, runs

    values = parameters.from_text(_text(params_file), params_file) if params_file else {}
    wish = runs.Wish(pipeline, tuple(parameter or ()), values, description, experiment)
    created = ask(where, lambda c: runs.start(c, wish))
    name = created["metadata"]["name"]
    if wait:
        console.say(f"TrainingRun {name} created")
        _follow(name, timeout, output, where)
    elif output is Format.TABLE:
        print(name)
        console.say(runs.how_to_go_on(name))
    else:
        console.show(output, created, lambda: name)


def watch_command(run: RunName, where: Where, timeout: Timeout = None, output: Output = Format.TABLE) -> None:
    """Follow a run to its end.

    The exit status tells how it ended, as with `run --wait`.
    """
    _follow(run, timeout, output, where)


def cancel_command(run: RunName, where: Where, output: Output = Format.TABLE) -> None:
    """Stop a run and free what it holds."""
    from trainyard.cli import console, runs

    found, asked = ask(where, lambda c: runs.cancel(c, run))
    console.say(f"TrainingRun {run} is being cancelled." if asked else f"TrainingRun {run} has ended already.")
    if output is not Format.TABLE:
        console.show(output, found, lambda: run)


def logs_command(
    run: RunName,
    where: Where,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    step: Annotated[
        str | None, typer.Option("--step", "-s", help="Only this step: data, train, train-0, publish, or a task.")
    ] = None,
    attempt: Annotated[int | None, typer.Option(min=1, help="An attempt by number; the newest where left out.")] = None,
    previous: Annotated[bool, typer.Option("--previous", help="The attempt before the newest.")] = False,
    kubeflow_namespace: Annotated[
        str, typer.Option(help="Where a single-tenant Kubeflow runs its pods.", envvar="TRAINYARD_KUBEFLOW_NAMESPACE")
    ] = "kubeflow",
) -> None:
    """Print what the pods of a run write.

    Lines of several workers or steps carry their names.
    """
    from trainyard.cli import logs
    from trainyard.cli.log_sources import Choice
    from trainyard.cli.prefixes import Prefixes

    if previous and attempt is not None:
        raise Problem("--previous and --attempt exclude each other.", USAGE)
    prefixes = Prefixes()
    choice = Choice(step, attempt, previous, kubeflow_namespace)

    async def command(connection: "Connection") -> None:
        async for line in logs.lines(connection, run, choice, follow=follow):
            print(f"{prefixes.of(line.prefix)}{line.text}", flush=True)

    ask(where, command)


def runs_command(
    where: Where,
    pipeline: Annotated[str | None, typer.Option(help="Only runs of this TrainingPipeline.")] = None,
    model: Annotated[str | None, typer.Option(help="Only runs of pipelines that train this model.")] = None,
    trigger: Annotated[
        str | None, typer.Option(help="OneOff, Change, Schedule, Event, or a trigger's own name.")
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="Running, Succeeded, Failed, or a reason, for example OutOfMemory.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Made since then: 90m, 36h, 7d, 2w, a date, or a time in UTC.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Asked for by this user or service.")] = None,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """List training runs, newest first."""
    from trainyard.cli import clock, console, listing, selection
    from trainyard.systems.cluster.port import TRAINING_PIPELINE, TRAINING_RUN

    wanted = selection.Wanted(pipeline, model, trigger, state, selection.read_since(since, clock.now()), by)

    async def command(connection: "Connection") -> tuple[str, Any, Any]:
        found = await connection.cluster.list(TRAINING_RUN, connection.namespace)
        pipelines = await connection.cluster.list(TRAINING_PIPELINE, connection.namespace) if model else ()
        return connection.namespace, found, {p["metadata"]["name"]: p["spec"]["model"] for p in pipelines}

    namespace, found, models = ask(where, command)
    meant = listing.newest_first(selection.select(found, wanted, models))
    shown = meant[:limit] if limit else meant
    empty = selection.none_of(found, f"in namespace {namespace!r}")
    console.answer(output, shown, lambda: listing.runs(shown, clock.now()), empty)
    if len(shown) < len(meant):
        console.say(f"{len(shown)} of {len(meant)} runs; --limit 0 shows all.")


def run_show_command(run: RunName, where: Where, output: Output = Format.TABLE) -> None:
    """Show a run: who, why, with what, what came of it."""
    from trainyard.cli import clock, console, run_details
    from trainyard.systems.cluster.port import TRAINING_RUN

    found = ask(where, lambda c: c.find(TRAINING_RUN, run))
    console.show(output, found, lambda: run_details.details(found, clock.now()))


def pipelines_command(
    where: Where,
    model: Annotated[str | None, typer.Option(help="Only pipelines that train this model.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """List pipelines, with the time to the next slot."""
    from trainyard.cli import clock, console, listing
    from trainyard.systems.cluster.port import TRAINING_PIPELINE

    async def command(connection: "Connection") -> tuple[str, Any]:
        return connection.namespace, await connection.cluster.list(TRAINING_PIPELINE, connection.namespace)

    namespace, found = ask(where, command)
    meant = [p for p in found if model in (None, p["spec"]["model"])]
    of = f" of model {model!r}" if model else ""
    empty = f"No TrainingPipeline{of} in namespace {namespace!r}."
    console.answer(output, meant, lambda: listing.pipelines(meant, clock.now()), empty)


def pipeline_show_command(pipeline: PipelineName, where: Where, output: Output = Format.TABLE) -> None:
    """Show a pipeline: triggers with next slot, newest runs."""
    from trainyard.cli import clock, console, pipeline_screen
    from trainyard.systems.cluster.port import TRAINING_PIPELINE, TRAINING_RUN

    async def command(connection: "Connection") -> tuple[Any, Any]:
        found = await connection.find(TRAINING_PIPELINE, pipeline)
        runs = await connection.cluster.list(TRAINING_RUN, connection.namespace)
        return found, [run for run in runs if run["spec"]["pipeline"] == pipeline]

    found, runs = ask(where, command)
    console.show(output, found, lambda: pipeline_screen.screen(found, runs, clock.now()))


def _follow(name: str, timeout: float | None, output: Format, where: Where) -> None:
    from trainyard.cli import console, run_screen, runs

    try:
        with run_screen.shown() as show:
            ended = ask(where, lambda c: runs.follow(c, name, show, timeout))
    except KeyboardInterrupt:
        console.say(f"Detached; the run goes on: {runs.how_to_go_on(name)}")
        raise typer.Exit(INTERRUPTED) from None
    if output is not Format.TABLE:
        console.show(output, ended, lambda: name)
    if not console.stderr().is_terminal:
        for line in run_screen.closing(ended):
            console.say(line)
    raise typer.Exit(runs.exit_status(ended))


def _text(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Problem(f"--params-file {path}: {reason}.", USAGE) from error


COMMANDS = (
    (
        "run",
        run_command,
        (
            "trainyard run churn -p epochs=30 -p layers='[16, 8]' --description 'wider net'",
            "trainyard run churn --params-file grid.yaml --experiment widths",
            "trainyard run churn --wait --timeout 3600 -o json > run.json",
        ),
    ),
    ("run show", run_show_command, ("trainyard run show churn-0a1b2c3d4e",)),
    (
        "runs",
        runs_command,
        (
            "trainyard runs --pipeline churn --state failed --since 7d",
            "trainyard runs --trigger nightly --limit 5",
            "trainyard runs --state running -o name | xargs -r kubectl describe",
        ),
    ),
    ("watch", watch_command, ("trainyard watch churn-0a1b2c3d4e --timeout 600",)),
    (
        "logs",
        logs_command,
        (
            "trainyard logs -f churn-0a1b2c3d4e",
            "trainyard logs churn-0a1b2c3d4e --step train-1",
            "trainyard logs churn-0a1b2c3d4e --previous",
        ),
    ),
    ("cancel", cancel_command, ("trainyard cancel churn-0a1b2c3d4e",)),
    ("pipelines", pipelines_command, ("trainyard pipelines --model churn",)),
    ("pipeline show", pipeline_show_command, ("trainyard pipeline show churn",)),
)

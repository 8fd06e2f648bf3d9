"""`trainyard rollout replay`: the one command that runs rollout code, through `trainyard.replay` alone.

Flags, and what ties the past (history, record), the policy (object, file) and Prometheus together.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainyard.cli.entering import Entrance, entered
from trainyard.cli.options import Format, Output, ask, examples, located, named
from trainyard.cli.problem import USAGE, Problem
from trainyard.cli.where import Where

if TYPE_CHECKING:
    from trainyard.cli.connection import Connection
    from trainyard.cli.replay_past import Chosen, Flags
    from trainyard.replay.replaying import Policy
    from trainyard.systems.prometheus.client import HttpPrometheus


def add_to(app: typer.Typer) -> None:
    """Add the command, with examples."""
    shown = (
        "trainyard rollout replay churn --prometheus http://127.0.0.1:9090",
        "trainyard rollout replay churn -f stricter.yaml --canary 0a1b2c3d4e --prometheus http://127.0.0.1:9090",
        "trainyard rollout replay churn --from 3h --to 1h -o json --prometheus http://127.0.0.1:9090",
    )
    app.command("rollout replay", epilog=examples(*shown))(located(entered(replay_command)))


def replay_command(
    where: Where,
    entrance: Entrance,
    prometheus: Annotated[str, typer.Option(metavar="URL", help="The Prometheus that recorded it.")],
    rollout: Annotated[str | None, typer.Argument(metavar="[ROLLOUT]", callback=named, help="A Rollout.")] = None,
    file: Annotated[Path | None, typer.Option("--filename", "-f", help="A Rollout manifest: another policy.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="When it began: a time, or a span ago (36h).")] = None,
    end: Annotated[str | None, typer.Option("--to", help="When it ended.")] = None,
    canary: Annotated[str, typer.Option(help="The canary's revision; the one tried last where left out.")] = "",
    stable: Annotated[str, typer.Option(help="What served then; what history says where left out.")] = "",
    step_seconds: Annotated[int | None, typer.Option(min=1, help="Measure at this interval, not the policy's.")] = None,
    scrape_seconds: Annotated[int, typer.Option(min=1, help="How often Prometheus scraped.")] = 15,
    pass_pauses: Annotated[
        bool, typer.Option("--pass-pauses", help="Play the person who promotes at each pause.")
    ] = False,
    database: Annotated[
        str, typer.Option(metavar="URL", envvar="TRAINYARD_DATABASE_URL", help="Ask the record in MySQL for the past.")
    ] = "",
    output: Output = Format.TABLE,
) -> None:
    """Judge a recorded canary anew, by its own or another policy.

    Changes nothing: it prints the decisions that the operator would have made. Pods are taken for ready and routes
    for accepted, and the share of traffic is not compared with the weight, for it followed the weights of then.
    """
    from trainyard.cli import console, entering, replay_screen
    from trainyard.cli.replay_past import Flags

    if rollout is None and file is None:
        raise Problem("Name a Rollout, or give the policy with -f.", USAGE)
    flags = Flags(_moment("--from", start), _moment("--to", end), canary, stable)
    manifest = _manifest(file) if file else None

    async def replayed(namespace: str, found: Any) -> Any:
        name = rollout or str(_at(manifest, "metadata.name") or "")
        chosen = await _chosen(namespace, name, found, flags, database)
        policy = _policy(manifest or found, step_seconds, scrape_seconds, pass_pauses)
        return await _replayed(namespace, name, chosen, policy, entering.prometheus(prometheus, entrance))

    done = _asked(where, rollout, manifest, replayed)
    if output is Format.NAME:
        print(done["outcome"])
    else:
        console.show(output, done, lambda: replay_screen.screen(done))


def _asked(
    where: Where, rollout: str | None, manifest: Any, replayed: Callable[[str, Any], Coroutine[Any, Any, Any]]
) -> Any:
    if not rollout:  # a policy and a Prometheus are enough: no cluster is asked
        return asyncio.run(replayed(where.namespace or _at(manifest, "metadata.namespace") or "default", None))

    async def of_cluster(connection: "Connection") -> Any:
        from trainyard.systems.cluster.port import ROLLOUT

        return await replayed(connection.namespace, await connection.find(ROLLOUT, rollout))

    return ask(where, of_cluster)


async def _chosen(namespace: str, name: str, found: Any, flags: "Flags", database: str) -> "Chosen":
    from trainyard.cli import clock, replay_past

    known = replay_past.tried(found, clock.now()) if found else []
    if database:
        from trainyard.cli import replay_record  # takes seconds to load

        running = [one for one in known if not one.outcome]
        known = running + await replay_record.tried(database, namespace, name)
    return replay_past.choose(known, _at(found, "status.stable") or {}, flags)


def _policy(source: Any, step_seconds: int | None, scrape_seconds: int, pass_pauses: bool) -> "Policy":
    from trainyard.replay.replaying import Policy

    told = _at(source, "spec")
    if told is not None and not isinstance(told, dict):
        raise Problem("It cannot be replayed: spec holds no fields.", USAGE)
    spec = dict(told or {})
    analysis = spec.get("analysis")
    if step_seconds is not None and (analysis is None or isinstance(analysis, dict)):  # another is refused as it stands
        spec["analysis"] = {**(analysis or {}), "intervalSeconds": step_seconds}
    return Policy(spec, scrape_seconds, pass_pauses)


async def _replayed(
    namespace: str, name: str, chosen: "Chosen", policy: "Policy", client: "HttpPrometheus"
) -> dict[str, Any]:
    from trainyard.cli import clock
    from trainyard.replay.replaying import CannotReplay, NothingAnswered, Past, Revision, replay

    past = Past(namespace, name, Revision(*chosen.canary), Revision(*chosen.stable), chosen.start, chosen.end)
    try:
        story = await replay(policy, past, client)
    except CannotReplay as error:
        raise Problem(f"It cannot be replayed: {error}", USAGE) from error
    except NothingAnswered as error:
        raise Problem(f"Not one query was answered: {error}.") from error
    finally:
        await client.close()
    then = {"outcome": chosen.then.outcome, "message": chosen.then.message} if chosen.then else None
    told = {"rollout": name, "namespace": namespace, "canary": vars(past.canary), "stable": vars(past.stable)}
    times = {"from": clock.stamp(chosen.start), "to": clock.stamp(chosen.end)}
    return {**told, **times, "recorded": then, **story.to_dict()}


def _moment(flag: str, text: str | None) -> datetime | None:
    from trainyard.cli import clock

    if text is None:
        return None
    try:
        moment = clock.since(text, clock.now())
    except ValueError:
        raise Problem(f"{flag} {text}: write a span (90m, 36h, 7d, 2w), a date or a time.", USAGE) from None
    if moment.year < 1970 or moment > clock.now():
        raise Problem(
            f"{flag} {text}: Prometheus has recorded nothing before 1970, and nothing that is to come.", USAGE
        )
    return moment


def _manifest(file: Path) -> Any:
    import yaml

    try:
        documents = [d for d in yaml.safe_load_all(file.read_text(encoding="utf-8")) if isinstance(d, dict)]
    except OSError as error:
        raise Problem(f"-f {file}: {error.strerror}.", USAGE) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise Problem(f"-f {file}: it cannot be read as YAML ({type(error).__name__}).", USAGE) from error
    found = [d for d in documents if d.get("kind") == "Rollout"]
    if len(found) != 1:
        raise Problem(f"-f {file}: it has {len(found)} Rollouts, wanted is one.", USAGE)
    return found[0]


def _at(obj: Any, path: str) -> Any:
    from trainyard.cli.objects import at

    return at(obj, path, None)

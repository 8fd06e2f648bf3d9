"""What commands share: kubectl's flags, the ways to answer, names of two words. Light, so that `--help` is instant."""

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from trainyard.cli.problem import USAGE, Problem
from trainyard.cli.where import Where

if TYPE_CHECKING:
    from trainyard.cli.connection import Connection

Command = Callable[..., None]


class Format(StrEnum):
    """How a command answers."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def named(param: typer.CallbackParam, value: str | None) -> str | None:
    """Take the name of an object. Raises Problem where it is empty, as `"$UNSET"` is."""
    if value is not None and not value.strip():
        raise Problem(f"{param.metavar} is empty: a name is wanted.", USAGE)
    return value


_FLAGS = {
    "namespace": Annotated[
        str | None, typer.Option("--namespace", "-n", help="Namespace; the context's where left out.")
    ],
    "context": Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")],
    "kubeconfig": Annotated[str | None, typer.Option("--kubeconfig", help="Path of a kubeconfig file.")],
}
Output = Annotated[Format, typer.Option("--output", "-o", help="table, json, yaml, or name.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", callback=named, help="A TrainingRun.")]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=0, help="Stop waiting after so many seconds; the run goes on.")
]
Limit = Annotated[int, typer.Option("--limit", "-l", min=0, help="At most so many, the newest; 0 for all.")]


class TwoWords(TyperGroup):
    """Commands whose names may be two words: `run` starts a run, `run show` shows one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take two words for one name where there is such a command."""
        pair = " ".join(args[:2])
        if pair in self.commands:
            return super().resolve_command(ctx, [pair, *args[2:]])
        longer = [name for name in self.commands if name.startswith(f"{args[0]} ")]
        if longer and args[0] not in self.commands:
            ctx.fail(f"{args[0]!r} wants another word: {', '.join(longer)}")
        return super().resolve_command(ctx, args)


def examples(*lines: str) -> str:
    """Return the end of a help page, one example a line, not re-wrapped."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def located(command: Command) -> Command:
    """Give a command kubectl's flags, where its users put them; it takes what they say as `where`."""
    return with_flags(command, "where", {name: (kind, None) for name, kind in _FLAGS.items()}, Where)


def with_flags(
    command: Command, taken: str, flags: Mapping[str, tuple[Any, Any]], made: Callable[..., object]
) -> Command:
    """Give a command flags, by name with type and default; it takes what is made of them as the parameter `taken`."""

    @functools.wraps(command)
    def called(**given: Any) -> None:
        said = made(*(given.pop(flag) for flag in flags))
        command(**given, **{taken: said})

    own = inspect.signature(command, eval_str=True)
    parameters = [p for p in own.parameters.values() if p.name != taken]
    parameters += [
        inspect.Parameter(flag, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for flag, (kind, default) in flags.items()
    ]
    keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    vars(called)["__signature__"] = own.replace(parameters=keywords)
    called.__annotations__ = {p.name: p.annotation for p in keywords}
    return called


def ask(where: Where, command: Callable[["Connection"], Coroutine[Any, Any, Any]]) -> Any:
    """Run a command with a connection and return what it returns."""
    from trainyard.cli.connection import connected, run

    async def within() -> Any:
        async with connected(where) as connection:
            return await command(connection)

    return run(within())

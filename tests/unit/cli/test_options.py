"""The flags that commands share, names of two words, and help that shows how."""

import re
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from trainyard.cli.app import app
from trainyard.cli.options import TwoWords, examples, located
from trainyard.cli.problem import Problem
from trainyard.cli.where import Where

RUNNER = CliRunner()
COMMANDS = [command.name or "" for command in app.registered_commands]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_and_kubectl_s_flags(name: str) -> None:
    told = RUNNER.invoke(app, [*name.split(), "--help"])
    assert told.exit_code == 0
    assert f"Examples:\n    trainyard {name}" in told.stdout
    for flag in ("-n, --namespace", "--context", "--kubeconfig"):
        assert flag in told.stdout
    if name != "logs":
        assert "-o, --output" in told.stdout
    assert re.search(r"^  [A-Z][^\n]*\.$", told.stdout, re.MULTILINE)


def test_the_list_of_commands_cuts_no_sentence() -> None:
    told = RUNNER.invoke(app, ["--help"], env={"COLUMNS": "80"}).stdout
    assert len(told.splitlines()) > len(COMMANDS)
    assert "..." not in told.partition("Commands:")[2]


def test_the_flags_arrive_as_one_value() -> None:
    seen: list[Any] = []

    def command(name: str, where: Where, often: int = 1) -> None:
        seen.append((name, where, often))

    small = typer.Typer(cls=TwoWords, rich_markup_mode=None)
    small.command("say")(located(command))
    small.command("say again", epilog=examples("trainyard say again x"))(located(command))
    RUNNER.invoke(small, ["say", "a", "-n", "shop", "--often", "2"])
    RUNNER.invoke(small, ["say", "again", "b", "--context", "c", "--kubeconfig", "k"])
    RUNNER.invoke(small, ["say", "--", "again"])
    assert seen == [("a", Where("shop"), 2), ("b", Where(None, "c", "k"), 1), ("again", Where(), 1)]


@pytest.mark.parametrize("arguments", [
    ["rollout", "get", ""], ["rollout", "get", " "], ["promote", ""], ["watch", ""], ["run", ""], ["cancel", ""],
    ["pipeline", "show", ""], ["lineage", "model", ""], ["alias", "set", "", "champion"],
    ["alias", "set", "churn-a", ""], ["rollout", "replay", "", "--prometheus", "http://127.0.0.1:9"],
], ids=" ".join)  # fmt: skip
def test_an_empty_name_is_refused_at_once(arguments: list[str]) -> None:
    told = RUNNER.invoke(app, [*arguments, "--kubeconfig", "/nope"])
    assert isinstance(told.exception, Problem)
    assert (told.exception.status, str(told.exception).split(" ", 1)[1]) == (2, "is empty: a name is wanted.")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rollout"], "'rollout' wants another word: rollout get"),
        (["lineage", "modle"], "'lineage' wants another word: lineage model, lineage dataset, lineage run"),
        (["rnus"], "No such command 'rnus'. Did you mean 'runs'"),
        (["fly"], "No such command 'fly'"),
    ],
)
def test_words_that_are_no_command(arguments: list[str], sentence: str) -> None:
    told = RUNNER.invoke(app, arguments)
    assert told.exit_code == 2
    assert sentence in told.stderr

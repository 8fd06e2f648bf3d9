"""Every `trainyard …` that the pages show is one that the command line takes: names, flags, number of words."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trainyard.cli.app import app

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`((?:kubectl )?trainyard [^`\n]+)`")
NAMES = {f"trainyard {command.name}" for command in app.registered_commands}
# What stands for something else: alternatives, what may be left out, what goes on.
SKETCH = re.compile(r"[\[\]…{}\\|*]|[A-Z]{3}")


def shown() -> Iterator[tuple[str, str]]:
    """Yield (page, command) for each whole command on the pages."""
    for page in PAGES:
        text = page.read_text()
        blocks = (line for block in SHELL.findall(text) for line in block.splitlines())
        commands = [line for line in blocks if re.match(r"\s*(kubectl )?trainyard ", line)]
        for command in [*commands, *INLINE.findall(text)]:
            bare = command.partition(" #")[0].replace(" --prometheus …", " --prometheus http://127.0.0.1:9090").strip()
            if not SKETCH.search(bare) and bare not in NAMES - {"trainyard alias list"}:
                yield page.name, bare


COMMANDS = sorted(set(shown()))


KUBECTL = re.compile(r"kubectl (?:-n \S+ )?(?:get|describe|patch|edit|delete|wait|label|annotate|explain) [^`\n]*")


def test_to_kubectl_our_rollouts_are_not_argo_s() -> None:
    """Beside Argo Rollouts `rollout` may mean theirs: `tyro` and `rollouts.trainyard.dev` are ours."""
    hints = (ROOT / "operator/trainyard/cli").rglob("*.py")
    notes = ROOT / "charts/trainyard/templates/NOTES.txt"
    told = [line for file in (*PAGES, *hints, notes) for line in KUBECTL.findall(file.read_text())]
    assert [line for line in told if "tyro" in line] != []
    assert [line for line in told if re.search(r"(?<!trainyard )\brollouts?\b(?!\.trainyard\.dev)", line)] == []


def test_there_are_some() -> None:
    assert len(COMMANDS) > 15


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=str)
def test_it_is_taken(page: str, command: str) -> None:
    words = shlex.split(command.removeprefix("kubectl "))[1:]
    told = CliRunner().invoke(app, words, env={"KUBECONFIG": str(ROOT / "none"), "TRAINYARD_DATABASE_URL": ""})
    assert "Usage:" not in told.output, told.output

"""What to look at when the demo failed: pods, conditions, events, the operator's last words."""

from examples.demo.board import Board
from examples.demo.settings import SYSTEM
from examples.demo.shell import Failed, Shell

TAIL = "40"


def tell(board: Board, shell: Shell) -> None:
    """Write it all; what cannot be read is said and passed over."""
    for title, command in (
        ("objects", ("kubectl", "-n", shell.namespace, "get", "trainyard,pods,httproutes", "-o", "wide")),
        ("rollouts", ("kubectl", "-n", shell.namespace, "get", "rollouts", "-o", "yaml")),
        ("events", ("kubectl", "-n", shell.namespace, "get", "events", "--sort-by=.lastTimestamp")),
        ("system", ("kubectl", "-n", SYSTEM, "get", "pods", "-o", "wide")),
        (
            "operator",
            ("kubectl", "-n", SYSTEM, "logs", "-l", "app.kubernetes.io/name=trainyard", "--tail", TAIL, "--prefix"),
        ),
    ):
        board.show(f"\n== {title}: {' '.join(command)}")
        try:
            board.show(shell.run(*command, timeout=30).strip()[-12_000:])
        except Failed as error:
            board.show(f"(not readable: {error})")

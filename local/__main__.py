"""The command line of the local cluster: `python -m local up|down|status|env|images|rig`."""

from __future__ import annotations

import argparse
import logging
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    chosen = _parser().parse_args(arguments)
    return int(chosen.run(chosen))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    rig = commands.add_parser("rig", help="run a command against an API server of its own")
    rig.add_argument("--controllers", action="store_true", help="start kube-controller-manager too")
    rig.add_argument("command", nargs=argparse.REMAINDER, help="command, after --")
    rig.set_defaults(run=_rig)
    return parser


def _rig(chosen: argparse.Namespace) -> int:
    from local import rig

    command = chosen.command[1:] if chosen.command[:1] == ["--"] else chosen.command
    if not command:
        raise SystemExit("rig: give a command after --")
    return rig.run(command, kube_controllers=chosen.controllers)


if __name__ == "__main__":
    sys.exit(main())

"""The command line of the local cluster: `python -m local up|down|status|env|images|push|rig`."""

from __future__ import annotations

import argparse
import logging
import os
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status."""
    chosen = _parser().parse_args(arguments)
    if chosen.run is _rig:
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        code = int(chosen.run(chosen))
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough; Python's own flush at exit must not complain of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    up = commands.add_parser("up", help="build what is missing, start what does not run")
    up.add_argument("--images", action="store_true", help="also build and import every image of the checkout")
    up.add_argument("--kubeflow", action="store_true", help="also Kubeflow Pipelines, on the chart's MySQL and MinIO")
    up.set_defaults(run=_up)
    down = commands.add_parser("down", help="end everything and leave nothing; caches stay")
    down.set_defaults(run=_down)
    status = commands.add_parser("status", help="what runs; exit status 0 whole, 1 partly, 3 not there")
    status.set_defaults(run=_status)
    env = commands.add_parser("env", help='for a shell: eval "$(python -m local env)"')
    env.set_defaults(run=_env)
    images = commands.add_parser("images", help="build what changed and import it")
    images.add_argument("names", nargs="*", help="images of local/images.toml; all that the checkout has by default")
    images.set_defaults(run=_images)
    push = commands.add_parser("push", help="build what changed and push it to a registry of yours")
    push.add_argument("registry", help="host and prefix, for example registry.example/trainyard")
    push.add_argument("names", nargs="*", help="operator, trainer and server by default")
    push.set_defaults(run=_push)
    rig = commands.add_parser("rig", help="run a command against an API server of its own")
    rig.add_argument("--controllers", action="store_true", help="start kube-controller-manager too")
    rig.add_argument("command", nargs=argparse.REMAINDER, help="command, after --")
    rig.set_defaults(run=_rig)
    return parser


def _up(chosen: argparse.Namespace) -> int:
    from local import up

    return up.up(up.available() if chosen.images else [], kubeflow=chosen.kubeflow)


def _down(_: argparse.Namespace) -> int:
    from local import teardown
    from local.cluster import Cluster

    return teardown.run(Cluster())


def _status(_: argparse.Namespace) -> int:
    from local import status
    from local.cluster import Cluster

    return status.print_status(Cluster())


def _env(_: argparse.Namespace) -> int:
    from local import status
    from local.cluster import Cluster

    return status.print_env(Cluster())


def _images(chosen: argparse.Namespace) -> int:
    from local import up

    return up.build_and_import(chosen.names)


def _push(chosen: argparse.Namespace) -> int:
    from local import images

    for name in chosen.names or ("operator", "trainer", "server"):
        print(images.push(name, chosen.registry), flush=True)
    return 0


def _rig(chosen: argparse.Namespace) -> int:
    from local import rig

    command = chosen.command[1:] if chosen.command[:1] == ["--"] else chosen.command
    if not command:
        raise SystemExit("rig: give a command after --")
    return rig.run(command, kube_controllers=chosen.controllers)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m examples.demo`: exit status 0 if all that is claimed really happened, 1 if not, 130 after Ctrl-C."""

import signal
import sys
import time
from types import FrameType
from typing import Any

from examples.data import breast_cancer
from examples.demo import diagnosis, installing, manifests, prometheus, summary
from examples.demo.board import Board
from examples.demo.claims import Claims
from examples.demo.load import Load
from examples.demo.observing import Api, Observer
from examples.demo.screen import below
from examples.demo.settings import Settings, WrongUsage, parse
from examples.demo.shell import Failed, Shell
from examples.demo.story import Demo, play
from trainyard.naming import hash10

BODIES = 500  # request bodies, sent by turns


def make(settings: Settings) -> Demo:
    """Put the demo's pieces together; its namespace is new every time."""
    namespace = f"demo-{hash10(time.time_ns())[:6]}"
    board = Board(settings.transcript, settings.plain)
    shell = Shell(settings.environment, namespace)
    api = Api(settings.environment.get("KUBECONFIG"), namespace)
    objects = manifests.adapt(manifests.load(), settings, namespace)
    rollout = str(manifests.of_kind(objects, "Rollout")["metadata"]["name"])
    observer = Observer(api, rollout, lambda version: prometheus.share(settings.prometheus_url, namespace, version))
    demo = Demo(settings, board, shell, api, observer, Claims(board), _load(settings, objects), objects)
    board.below = lambda: below(demo.run, observer, demo.load)
    return demo


def _load(settings: Settings, objects: list[dict[str, Any]]) -> Load:
    """Make the load: rows of the data set, a share of them as new devices would measure them."""
    url = f"{settings.gateway_url}/v1/models/{manifests.of_kind(objects, 'Rollout')['spec']['model']}:predict"
    bodies = list(breast_cancer.requests(BODIES, settings.drift, seed=7))
    return Load(url, manifests.host(objects), bodies, settings.rate)


def run(demo: Demo) -> int:
    """Play it, stop what was started, and tell what came of it."""
    status, trouble = 1, ""
    try:
        with demo.board.shown():
            play(demo)
        status = 0
    except Failed as error:
        trouble = str(error)
    except KeyboardInterrupt:
        status = 130
    finally:
        demo.load.stop()
        demo.observer.stop()
    return _end(demo, status, trouble)


def _end(demo: Demo, status: int, trouble: str) -> int:
    if status == 130:
        demo.board.say("interrupted")
        if not demo.settings.keep:
            installing.remove(demo.shell)
            demo.board.say(f"namespace {demo.shell.namespace} is being removed")
        return status
    made = summary.write(demo, ok=status == 0)
    if trouble:
        diagnosis.tell(demo.board, demo.shell)
    demo.board.show(summary.text(demo, made))
    if trouble:
        demo.board.say(f"FAILED: {trouble}", "bold red")
    else:
        demo.board.say(f"all {len(demo.claims.made)} claims hold", "bold green")
    return status


def main() -> int:
    """Run the demo from the command line."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        settings = parse(sys.argv[1:])
    except WrongUsage as error:
        print(error, file=sys.stderr)
        return 2
    return run(make(settings))


def _as_interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main())

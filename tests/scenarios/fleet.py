"""Several Rollouts of one model in one namespace, each living through a story of its own, all at once."""

import copy
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.scenarios.cluster import Cluster, Obj
from tests.scenarios.serving import rollout

# What a story waits for: in words, and whether a status shows it. It gets that status back.
Wait = tuple[str, Callable[[Obj], Any]]
Story = Generator[Wait, Obj, None]
LONGEST_WAIT_SECONDS = 400.0  # pods of a busy machine take their time
# Which share of the answers lies where this model's should: real predictions, counted by the revision's servers.
USUAL = (
    'sum(rate(trainyard_server_prediction_bucket{revision=$(revision), le="100.0"}[$(window)])) / '
    "sum(rate(trainyard_server_prediction_count{revision=$(revision)}[$(window)]))"
)
ANALYSIS = {
    "intervalSeconds": 3,
    "windowSeconds": 8,
    "minRequests": 5,
    "metrics": [
        {"name": "errors", "builtin": "ErrorRate", "max": "0"},
        {"name": "usual", "query": USUAL, "min": "0.9"},
    ],
}


@dataclass
class Member:
    """One Rollout and what became of its revisions. outcomes: by revision, but the first one's."""

    ns: Cluster
    name: str
    host: str
    outcomes: dict[str, str] = field(default_factory=dict)
    _generation: int = 0

    def begins(self, strategy: Mapping[str, Any], replicas: int, delay: int) -> Story:
        """Serve the first version. delay: scaleDownDelaySeconds."""
        made = rollout(self.host, [])
        made["metadata"]["name"] = self.name
        spec = made["spec"]
        spec |= {
            "strategy": strategy,
            "analysis": ANALYSIS,
            "scaleDownDelaySeconds": delay,
            "version": {"name": "good"},
        }
        serving = copy.deepcopy(spec["target"]["kubernetes"]["serving"])
        serving |= {"replicas": replicas, "env": [{"name": "GENERATION", "value": "0"}]}
        serving["resources"]["requests"] = {"cpu": "20m", "memory": "200Mi"}
        spec["target"]["kubernetes"]["serving"] = serving
        self.ns.apply(made)
        yield f"{self.name} serves", lambda told: told.get("stable") and not told.get("canary")

    def changes(
        self, strategy: Mapping[str, Any], version: str = "good", deadline: int = 300, **env: str
    ) -> Generator[Wait, Obj, str]:
        """Ask for a new revision, by a strategy, and return its name once it is the canary."""
        self._generation += 1
        variables = [{"name": "GENERATION", "value": str(self._generation)}]
        variables += [{"name": name, "value": value} for name, value in env.items()]
        former = ((yield "its status", bool).get("canary") or {}).get("revision")
        self.serves(version, deadline, variables, strategy=strategy)
        told = yield "a canary", lambda told: (told.get("canary") or {}).get("revision", former) != former
        return str(told["canary"]["revision"])

    def serves(self, version: str, deadline: int, env: list[Obj], **more: Any) -> None:
        """Write which revision is wanted, and more of the spec."""
        serving = {"env": env, "progressDeadlineSeconds": deadline}
        spec = {"version": {"name": version}, "target": {"kubernetes": {"serving": serving}}, **more}
        self.ns.patch("rollout", self.name, {"spec": spec})

    def has(self, weight: int) -> Wait:
        """The canary has at least this weight on the route."""
        return f"{self.name} has weight {weight}", lambda told: told.get("routedWeight", 0) >= weight

    def ends(self, revision: str) -> Wait:
        """A revision's canary has ended."""

        def ended(told: Obj) -> bool:
            self.outcomes |= {
                e["revision"]: e["outcome"] for e in told["history"] if e["message"] != "the first version"
            }
            return revision in self.outcomes and (told.get("canary") or {}).get("revision") != revision

        return f"{self.name}'s {revision} ends", ended

    def trainyard(self, verb: str) -> Story:
        """A person's command about it."""
        command = [sys.executable, "-m", "trainyard.cli", verb, self.name, "-n", self.ns.namespace]
        environment = {**os.environ, **self.ns.env, "NO_COLOR": "1"}
        with subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE) as process:
            yield f"{verb} is said", lambda _: process.poll() is not None
            assert process.stderr
            assert process.returncode == 0, process.stderr.read()


def live(ns: Cluster, stories: Mapping[str, Story]) -> None:
    """Live through all the stories, by the Rollout's name, at once: one look at all Rollouts serves every one."""
    waits = {name: next(story) for name, story in stories.items()}
    since = dict.fromkeys(waits, time.monotonic())
    while waits:
        seen = {obj["metadata"]["name"]: obj for obj in ns.list("rollouts")}
        for name, (what, shown) in list(waits.items()):
            told = seen[name].get("status", {})
            if not shown(told):
                assert time.monotonic() - since[name] < LONGEST_WAIT_SECONDS, f"{name}: not {what}; last seen: {told}"
                continue
            try:
                waits[name], since[name] = stories[name].send(told), time.monotonic()
            except StopIteration:
                del waits[name]
        time.sleep(0.5)


def sums(lines: Iterable[str]) -> set[int]:
    """Return what the weights of each rule summed to, of lines of watching.RULES."""
    return {sum(int(pair.split("=")[1]) for pair in line.split()[1:]) for line in lines}

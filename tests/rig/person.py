"""Somebody at a terminal: the command line as a process against a real API server, and what kubectl shows beside it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.rig import ApiServerRig

PIPELINE = {
    "apiVersion": "trainyard.dev/v1alpha1",
    "kind": "TrainingPipeline",
    "metadata": {"name": "churn"},
    "spec": {
        "model": "churn",
        "engine": {"job": {"template": {"image": "trainer"}}},
        "triggers": {"schedules": [{"name": "nightly", "cron": "0 2 * * *", "timeZone": "Europe/Berlin"}]},
        "parameters": [
            {"name": "epochs", "type": "Integer", "default": 3},
            {"name": "layers", "type": "List", "default": [8]},
        ],
    },
}
ROLLOUT = {
    "apiVersion": "trainyard.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "churn"},
    "spec": {
        "model": "churn",
        "version": {"latest": {}},
        "target": {"kubernetes": {"traffic": {"parentRefs": [{"name": "gate"}]}}},
        "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}},
    },
}
CANARY = {
    "stable": {"version": "churn-a", "revision": "aaaaaaaaaa", "digest": "sha256:" + "a" * 64},
    "canary": {"version": "churn-b", "revision": "bbbbbbbbbb", "digest": "sha256:" + "b" * 64},
    "weight": 20,
    "step": 1,
}


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Person:
    """Somebody at a terminal, in a namespace of the rig."""

    rig: ApiServerRig
    namespace: str

    @property
    def environment(self) -> dict[str, str]:
        """As a person's shell: no colours, a kubeconfig."""
        return {**os.environ, "KUBECONFIG": str(self.rig.kubeconfig), "NO_COLOR": "1", "COLUMNS": "160"}

    def command(self, *arguments: str) -> list[str]:
        """Return the command line; the flags stand where kubectl's users put them."""
        return [sys.executable, "-m", "trainyard.cli", *arguments, "-n", self.namespace]

    def trainyard(self, *arguments: str, stdin: str | None = None, **environment: str) -> Done:
        """Run the command to its end."""
        done = subprocess.run(
            self.command(*arguments), env={**self.environment, **environment}, text=True, capture_output=True,
            check=False, timeout=90, input=stdin,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def kubectl(self, *arguments: str, stdin: Any = None) -> str:
        """Run kubectl in the namespace."""
        done = subprocess.run(
            [self.rig.kubectl, "-n", self.namespace, *arguments], env=self.environment, text=True, capture_output=True,
            check=False, timeout=60, input=None if stdin is None else json.dumps(stdin),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def runs(self) -> list[dict[str, Any]]:
        """Return the TrainingRuns."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", "trainingruns", "-o", "json"))["items"]
        return found

    def say(self, kind: str, name: str, status: Mapping[str, Any]) -> None:
        """Write a status, as the operator does."""
        patch = json.dumps({"status": status})
        self.kubectl("patch", kind, name, "--subresource", "status", "--type", "merge", "-p", patch)

"""The local cluster as the scenarios use it: kubectl, apply, wait, the audit log. The front door only."""

from __future__ import annotations  # `list` is a verb of Cluster below

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = "trainyard-system"

Obj = dict[str, Any]
Objs = list[Obj]
T = TypeVar("T")


class Refused(Exception):
    """kubectl exited with an error; `str()` is what it said."""


def wait_until(what: str, probe: Callable[[], T | None], timeout: float = 120, every: float = 0.5) -> T:
    """Call `probe` until it gives something true, and return that. AssertionError with `what` after the timeout."""
    deadline = time.monotonic() + timeout
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {what}; last seen: {found!r}")
        time.sleep(every)


def condition(obj: Mapping[str, Any], kind: str) -> Obj:
    """Return a condition of an object, {} where it is not there."""
    conditions = obj.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})


@dataclass(frozen=True)
class Cluster:
    """kubectl in one namespace of one cluster."""

    env: Mapping[str, str]
    namespace: str = "default"

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run kubectl; raises Refused."""
        done = subprocess.run(
            ["kubectl", "-n", self.namespace, *arguments], env={**os.environ, **self.env}, input=stdin, text=True,
            capture_output=True, timeout=timeout, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Refused(done.stderr.strip())
        return done.stdout

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """`kubectl apply` manifests given as dicts."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def create(self, manifest: Mapping[str, Any]) -> Obj:
        """`kubectl create` one manifest and return the object."""
        created: Obj = json.loads(self.kubectl("create", "-o", "json", "-f", "-", stdin=yaml.safe_dump(manifest)))
        return created

    def get(self, kind: str, name: str) -> Obj | None:
        """Return an object, None where it is not there."""
        text = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text else None

    def list(self, kind: str, selector: str = "") -> Objs:
        """Return the objects of a kind."""
        items: Objs = json.loads(self.kubectl("get", kind, "-l", selector, "-o", "json"))["items"]
        return items

    def patch(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        """Merge-patch an object."""
        self.kubectl("patch", kind, name, "--type", "merge", "-p", json.dumps(body))

    def wait(
        self, kind: str, name: str, type: str, status: str = "True", reason: str | None = None, timeout: float = 180
    ) -> Obj:
        """Wait for a condition (and its reason) and return the object."""

        def probe() -> Obj | None:
            obj = self.get(kind, name)
            seen = condition(obj or {}, type)
            return obj if seen.get("status") == status and reason in (None, seen.get("reason")) else None

        try:
            return wait_until(f"{kind}/{name} {type}={status} {reason or ''}", probe, timeout)
        except AssertionError as error:
            conditions = (self.get(kind, name) or {}).get("status", {}).get("conditions")
            raise AssertionError(f"{error}; conditions: {json.dumps(conditions)}") from None

    def gone(self, kind: str, name: str, timeout: float = 120) -> None:
        """Wait until an object is no more."""
        wait_until(f"{kind}/{name} is gone", lambda: self.get(kind, name) is None, timeout)

    def events(self, kind: str, name: str) -> Objs:
        """Return the events about an object."""
        found: Objs = json.loads(
            self.kubectl(
                "get", "events", "-o", "json",
                "--field-selector", f"involvedObject.kind={kind},involvedObject.name={name}",
            )
        )["items"]  # fmt: skip
        return found


def operator_writes(audit: Path, start: int, namespace: str | None = None) -> Iterator[Obj]:
    """Yield the audit entries of completed writes by the operator from an offset of the file; not of the Lease."""
    with audit.open() as lines:
        lines.seek(start)
        for line in lines:
            if not line.endswith("\n"):
                return  # it is being written just now
            entry = json.loads(line)
            target = entry.get("objectRef", {})
            if (
                entry["stage"] == "ResponseComplete"
                and entry["verb"] in ("create", "update", "patch", "delete")
                and entry["user"]["username"].startswith(f"system:serviceaccount:{SYSTEM}:trainyard")
                and target.get("resource") != "leases"
                and namespace in (None, target.get("namespace"))
            ):
                yield entry

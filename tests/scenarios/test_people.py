"""Scenarios 8, 49 and 50 on a whole cluster: an alias there and back, the rollback window, what may not be deleted."""

import os
import subprocess
import sys

import pytest

from tests.scenarios.cluster import Cluster, Refused, wait_until
from tests.scenarios.serving import pipeline, rollout, status, train

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]


def trainyard(ns: Cluster, *arguments: str) -> str:
    """Run the command line as the cluster's admin; what it tells people. A failure is an AssertionError."""
    command = [sys.executable, "-m", "trainyard.cli", *arguments, "-n", ns.namespace]
    environment = {**os.environ, **ns.env, "NO_COLOR": "1"}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stderr.strip()


def serves(ns: Cluster, version: str) -> bool:
    told = status(ns)
    return (told.get("stable") or {}).get("version") == version and not told.get("canary")


def showing_an_alias(ns: Cluster) -> list[str]:
    return [v["metadata"]["name"] for v in ns.list("modelversions") if v["status"].get("holds")]


def test_an_alias_there_and_back_and_what_serves_stays(ns: Cluster) -> None:
    ns.apply(pipeline())
    for name in ("v1", "v2"):
        train(ns, name)
    assert trainyard(ns, "alias", "set", "v1", "champion") == "Alias 'champion' of model 'sums' is held by v1 now."
    made = rollout(f"{ns.namespace}.example.com", [{"setWeight": 20}, {"pause": {}}])
    made["spec"] |= {"version": {"alias": "champion"}, "rollbackWindow": 1}
    ns.apply(made)
    wait_until("v1 serves", lambda: serves(ns, "v1"), timeout=300)

    assert trainyard(ns, "alias", "set", "v2", "champion").endswith("is held by v2 now, before by v1.")
    wait_until("v2 is at 20 %", lambda: status(ns).get("routedWeight") == 20, timeout=300)
    with pytest.raises(Refused, match="must say who you are"):
        ns.patch("rollout", "sums", {"spec": {"action": {"kind": "PromoteFull", "id": "x", "by": "somebody"}}})
    assert trainyard(ns, "promote-full", "sums").endswith("taken up.")
    wait_until("v2 serves", lambda: serves(ns, "v2"), timeout=300)
    entry = status(ns)["history"][0]
    assert (entry["outcome"], entry["by"]) == ("FastPromoted", status(ns)["actions"][0]["by"])
    assert entry["message"] == f"promoted by {entry['by']}"

    wait_until("v2 knows that it serves", lambda: (ns.get("modelversion", "v2") or {})["status"].get("servedBy"))
    with pytest.raises(Refused, match="ModelVersion v2 is served by Rollout sums: let that serve another"):
        ns.kubectl("delete", "modelversion", "v2")

    assert trainyard(ns, "alias", "set", "v1", "champion").endswith("before by v2; taken from v2.")
    wait_until("v1 serves again", lambda: serves(ns, "v1"), timeout=300)
    assert status(ns)["history"][0]["message"] == "back to what was stable lately (rollbackWindow)"
    wait_until("v1 alone shows the alias", lambda: showing_an_alias(ns) == ["v1"])  # v2 lets go of it first
    wait_until("v2 serves no more", lambda: not (ns.get("modelversion", "v2") or {})["status"].get("servedBy"))
    ns.kubectl("delete", "modelversion", "v2")

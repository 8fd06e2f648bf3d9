"""The API-server rig: real answers, an audit log, several at once, nothing left."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from local import addresses, node, processes
from local.cluster import comes
from local.rig import ApiServerRig

pytestmark = pytest.mark.rig


def kubectl(rig: ApiServerRig, *arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [rig.kubectl, f"--kubeconfig={config or rig.kubeconfig}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def servers_in(folder: Path) -> list[list[str]]:
    return [command for _, command in processes.running() if any(f"{folder}/" in part for part in command)]


def test_two_rigs_live_side_by_side_and_leave_nothing(tmp_path: Path):
    with ApiServerRig(tmp_path / "one") as one, ApiServerRig(tmp_path / "two") as two:
        assert one.url != two.url
        assert kubectl(one, "create", "namespace", "only-in-one").returncode == 0
        assert kubectl(two, "get", "namespace", "only-in-one").returncode == 1
        asked = [json.loads(line) for line in one.audit_log.read_text().splitlines()]
        created = [event for event in asked if event["verb"] == "create" and event["user"]["username"] == "admin"]
        assert created[-1]["objectRef"]["name"] == "only-in-one"
        assert created[-1]["level"] == "Metadata"
    assert servers_in(tmp_path) == []


def test_another_user_may_only_what_rbac_grants_and_data_outlive_a_restart(tmp_path: Path):
    with ApiServerRig(tmp_path) as rig:
        config = rig.kubeconfig_for("visitor")
        refused = kubectl(rig, "get", "namespaces", config=config)
        assert "Forbidden" in refused.stderr
        kubectl(rig, "create", "clusterrole", "v", "--verb=get", "--resource=configmaps")
        kubectl(rig, "create", "clusterrolebinding", "v", "--clusterrole=v", "--user=visitor")
        kubectl(rig, "create", "configmap", "kept", "-n", "default")
        rig.stop_apiserver()
        assert kubectl(rig, "get", "configmaps", "--request-timeout=2s").returncode != 0
        rig.start_apiserver()
        assert kubectl(rig, "get", "configmap", "kept", "-n", "default", config=config).returncode == 0


def test_a_wrong_flag_is_told_with_the_servers_own_words(tmp_path: Path):
    from local.rig import RigFailed

    with pytest.raises(RigFailed, match="no-such-flag"), ApiServerRig(tmp_path, flags=("--no-such-flag",)):
        pass
    assert servers_in(tmp_path) == []


def test_simulated_gpus_come_back_though_the_api_server_ends_every_watch(tmp_path: Path):
    with ApiServerRig(tmp_path, flags=("--min-request-timeout=1",)) as rig:
        kubectl(rig, "create", "-f", str(node_alone(tmp_path)))
        command = node.simulated_accelerators(Path(rig.kubectl), rig.kubeconfig)
        with subprocess.Popen(command, start_new_session=True) as keeper:
            try:
                assert comes(lambda: gpus(rig) == str(addresses.SIMULATED_GPUS), within=60)
                assert comes(lambda: watches_ended(rig) >= 2, within=60)
                kubectl(
                    rig, "patch", "node", addresses.NODE, "--subresource=status", "-p", json.dumps(nothing_offered())
                )
                assert comes(lambda: gpus(rig) == str(addresses.SIMULATED_GPUS), within=60)
                assert keeper.poll() is None
            finally:
                os.killpg(keeper.pid, signal.SIGKILL)


def node_alone(folder: Path) -> Path:
    file = folder / "node.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": addresses.NODE}}))
    return file


def nothing_offered() -> dict[str, object]:
    return {"status": {"capacity": {addresses.GPU: "0"}, "allocatable": {addresses.GPU: "0"}}}


def gpus(rig: ApiServerRig) -> str | None:
    told = json.loads(kubectl(rig, "get", "node", addresses.NODE, "-o", "json").stdout)
    return told.get("status", {}).get("allocatable", {}).get(addresses.GPU)


def watches_ended(rig: ApiServerRig) -> int:
    asked = [json.loads(line) for line in rig.audit_log.read_text().splitlines()]
    return sum(
        (one["verb"], one["objectRef"]["resource"], one["stage"]) == ("watch", "nodes", "ResponseComplete")
        for one in asked
        if "objectRef" in one and one["user"]["username"] == "admin"
    )

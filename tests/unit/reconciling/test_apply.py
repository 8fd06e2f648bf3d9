import copy
from typing import Any

import pytest

from trainyard.reconciling.apply import (
    as_answered,
    differing,
    equal_quantities,
    needs_apply,
    parse_quantity,
    says_more,
)

RENDERED: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "web",
        "namespace": "ns",
        "labels": {"app": "web"},
        "finalizers": ["trainyard.dev/cleanup"],
        "ownerReferences": [{"uid": "u1", "kind": "Rollout", "name": "r", "blockOwnerDeletion": False}],
    },
    "spec": {
        "replicas": 0,
        "minReadySeconds": 0,
        "template": {
            "spec": {
                "hostNetwork": False,
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "server",
                        "image": "x",
                        "args": ["--a", "--b"],
                        "env": [{"name": "EMPTY", "value": ""}, {"name": "A", "value": "1"}],
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "resources": {"limits": {"cpu": 2, "memory": "1024Mi"}, "requests": {"cpu": "500m"}},
                        "volumeMounts": [{"name": "scratch", "mountPath": "/s", "readOnly": False}],
                    }
                ],
                "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}],
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
            }
        },
    },
}


def as_live(rendered: dict[str, Any]) -> dict[str, Any]:
    """What the API server makes of it: defaults, normal quantities, omitted zeros, others' additions."""
    live = copy.deepcopy(rendered)
    live["metadata"] |= {"uid": "d1", "resourceVersion": "7", "generation": 2, "annotations": {"other": "1"}}
    live["status"] = {"replicas": 1}
    live["spec"].pop("minReadySeconds")
    live["spec"]["revisionHistoryLimit"] = 10
    pod = live["spec"]["template"]["spec"]
    pod.pop("hostNetwork")
    pod["dnsPolicy"] = "ClusterFirst"
    server = pod["containers"][0]
    server["terminationMessagePath"] = "/dev/termination-log"
    server["resources"] = {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "0.5"}}
    server["env"] = [{"name": "INJECTED", "value": "x"}, {"name": "EMPTY"}, {"name": "A", "value": "1"}]
    server["ports"][0]["protocol"] = "TCP"
    server["volumeMounts"][0].pop("readOnly")
    pod["containers"].insert(0, {"name": "sidecar", "image": "mesh"})
    return live


def container(live: dict[str, Any], name: str = "server") -> dict[str, Any]:
    found = [c for c in live["spec"]["template"]["spec"]["containers"] if c["name"] == name]
    assert len(found) == 1
    return dict(found[0])


def test_a_missing_object_is_applied() -> None:
    assert needs_apply(RENDERED, None)


def test_the_server_s_own_additions_are_no_difference() -> None:
    assert not needs_apply(RENDERED, as_live(RENDERED))


def test_status_and_server_metadata_of_a_rendering_do_not_count() -> None:
    rendered = copy.deepcopy(RENDERED)
    rendered["status"] = {"replicas": 9}
    rendered["metadata"] |= {"resourceVersion": "1", "creationTimestamp": None}
    assert not needs_apply(rendered, as_live(RENDERED))


def drift(path: str, value: Any) -> dict[str, Any]:
    """The live object with one thing changed; `...` as value removes it."""
    live = as_live(RENDERED)
    at: Any = live
    keys = [int(k) if k.isdigit() else k for k in path.split("/")]
    for key in keys[:-1]:
        at = at[key]
    if value is ...:
        del at[keys[-1]]
    else:
        at[keys[-1]] = value
    return live


POD = "spec/template/spec"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec/replicas", 1),
        ("spec/replicas", ...),
        ("metadata/labels", ...),
        ("metadata/labels/app", "other"),
        ("metadata/finalizers", ["someone/else"]),
        ("metadata/ownerReferences/0/uid", "u2"),
        ("metadata/ownerReferences/0/blockOwnerDeletion", True),
        ("spec/minReadySeconds", 5),
        (f"{POD}/hostNetwork", True),
        (f"{POD}/automountServiceAccountToken", ...),
        (f"{POD}/containers", [{"name": "sidecar"}]),
        (f"{POD}/containers/1/image", "y"),
        (f"{POD}/containers/1/args", ["--b", "--a"]),
        (f"{POD}/containers/1/args", ["--a", "--b", "--c"]),
        (f"{POD}/containers/1/env/2/value", "2"),
        (f"{POD}/containers/1/env/1/value", "not empty"),
        (f"{POD}/containers/1/ports/0/protocol", "UDP"),
        (f"{POD}/containers/1/resources/limits/memory", "2Gi"),
        (f"{POD}/containers/1/resources/requests/cpu", "501m"),
        (f"{POD}/volumes/0/emptyDir/sizeLimit", "1G"),
        (f"{POD}/tolerations", []),
        (f"{POD}/tolerations", ["nonsense"]),
        (f"{POD}/volumes", "nonsense"),
    ],
)
def test_each_drift_is_seen(path: str, value: Any) -> None:
    assert needs_apply(RENDERED, drift(path, value))


def test_true_is_not_one() -> None:
    assert needs_apply({"spec": {"replicas": 1}}, {"spec": {"replicas": True}})


def test_backends_of_a_route_are_compared_whole() -> None:
    def route(*backends: tuple[str, int]) -> dict[str, Any]:
        refs = [{"name": name, "port": 80, "weight": weight} for name, weight in backends]
        return {"kind": "HTTPRoute", "spec": {"rules": [{"backendRefs": refs}]}}

    assert needs_apply(route(("stable", 100)), route(("stable", 100), ("canary", 0)))
    assert needs_apply(route(("stable", 90), ("canary", 10)), route(("stable", 95), ("canary", 5)))
    assert not needs_apply(route(("stable", 100), ("canary", 0)), route(("stable", 100), ("canary", 0)))


@pytest.mark.parametrize(
    ("live", "more"),
    [
        ({"rules": [{"backendRefs": []}]}, False),
        ({"rules": [{"backendRefs": []}], "others": [1]}, False),
        ({"rules": [{"backendRefs": [], "filters": []}]}, False),
        ({"rules": [{"backendRefs": [], "filters": [{}]}]}, True),
        ({"rules": [{"backendRefs": []}, {}]}, True),
        ({}, False),
    ],
)
def test_what_the_live_object_says_more_in_the_rendering_s_own_fields(live: dict[str, Any], more: bool) -> None:
    assert says_more({"rules": [{"backendRefs": []}]}, live) is more


def test_service_ports_are_found_by_number() -> None:
    wanted = {"spec": {"ports": [{"port": 80, "targetPort": "http"}]}}
    live = {"spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": "http", "nodePort": 30000}]}}
    assert not needs_apply(wanted, live)
    assert needs_apply(wanted, {"spec": {"ports": ["nonsense"]}})


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("1000m", 1, True),
        ("1Ki", "1024", True),
        ("1e3", "1k", True),
        ("0.1", "100m", True),
        ("5u", "5000n", True),
        ("1M", "1Mi", False),
        ("some", "some", True),
        ("some", "1", False),
    ],
)
def test_quantities_are_equal_by_value(one: Any, other: Any, equal: bool) -> None:
    assert equal_quantities(one, other) is equal


@pytest.mark.parametrize("text", ["", "Gi", "1Gim", "1.2.3", "none"])
def test_what_is_no_quantity_reads_as_none(text: str) -> None:
    assert parse_quantity(text) is None


# ---- what was answered ----


def _pods(image: str, **more: Any) -> dict[str, Any]:
    containers = [{"name": "server", "image": image, **more}, {"name": "proxy", "image": "p"}]
    return {"metadata": {"name": "x"}, "spec": {"replicas": 2, "template": {"spec": {"containers": containers}}}}


def test_what_was_answered_is_expected_field_by_field() -> None:
    rendered, answer = _pods("server:1"), _pods("mirror/server:1", imagePullPolicy="Always")
    expected = as_answered(rendered, answer)
    assert not needs_apply(expected, answer)
    assert not needs_apply(expected, _pods("mirror/server:1")), "what was only added is not expected"
    assert needs_apply(expected, _pods("elsewhere/server:1"))
    assert needs_apply(expected, {**answer, "spec": {**answer["spec"], "replicas": 3}})


def test_what_was_taken_away_is_expected_to_stay_away() -> None:
    expected = as_answered(
        {"spec": {"a": 1, "env": [{"name": "A"}, {"name": "B"}]}}, {"spec": {"env": [{"name": "A"}]}}
    )
    assert not needs_apply(expected, {"spec": {"env": [{"name": "A"}]}})
    assert needs_apply(expected, {"spec": {"a": 2, "env": [{"name": "A"}]}})


def test_differing_fields_are_named_without_values() -> None:
    rendered, answer = _pods("server:1"), _pods("secret/server:1")
    assert differing(rendered, answer) == ("spec.template.spec.containers[server].image",)
    assert differing(rendered, rendered) == ()
    assert differing({"spec": {"env": [{"name": "A"}], "args": ["x"]}}, {"spec": {"env": [], "args": []}}) == (
        "spec.env[A]",
        "spec.args",
    )

"""The store finds a few among thousands: by label and by field, as the objects say now."""

from typing import Any

import pytest

from trainyard.systems.cluster.port import MODEL_VERSION, ROLLOUT, SERVICE
from trainyard.systems.cluster.store import Store, values

HOSTS = "spec.target.kubernetes.traffic.hostnames"


def obj(name: str, namespace: str = "ns", labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}, **more}


def rollout(name: str, *hosts: str, stable: str = "", ended: tuple[str, ...] = ()) -> dict[str, Any]:
    traffic = {"hostnames": list(hosts)} if hosts else {}
    history = [{"version": version} for version in ended]
    return obj(
        name,
        spec={"target": {"kubernetes": {"traffic": traffic}}},
        status={"stable": {"version": stable}, "history": history},
    )


def filled(kind: Any, *objects: dict[str, Any]) -> Store:
    made = Store(kind)
    for one in objects:
        made.put(one)
    return made


def names(store: Store, labels: dict[str, str], fields: dict[str, str], namespace: str = "ns") -> list[str]:
    return [o["metadata"]["name"] for o in store.list(namespace, labels, fields)]


def test_an_index_follows_every_change() -> None:
    kept = filled(MODEL_VERSION, obj("a", spec={"model": "x"}), obj("b", spec={"model": "x"}))
    assert names(kept, {}, {"spec.model": "x"}) == ["a", "b"]
    kept.put(obj("a", spec={"model": "y"}))
    assert names(kept, {}, {"spec.model": "x"}) == ["b"]
    assert names(kept, {}, {"spec.model": "y"}) == ["a"]
    kept.remove("ns", "a")
    assert names(kept, {}, {"spec.model": "y"}) == []


def test_labels_and_fields_must_both_hold() -> None:
    kept = filled(
        MODEL_VERSION,
        obj("a", labels={"l": "1"}, spec={"model": "x"}),
        obj("b", labels={"l": "2"}, spec={"model": "x"}),
        obj("c", "other", labels={"l": "1"}, spec={"model": "x"}),
    )
    assert names(kept, {"l": "1"}, {"spec.model": "x"}) == ["a"]
    assert names(kept, {"l": "1"}, {"spec.model": "x"}, "") == ["a", "c"]
    assert names(kept, {"l": "1", "m": "1"}, {}) == []


def test_an_item_of_a_list_is_enough_and_nothing_is_the_empty_text() -> None:
    kept = filled(ROLLOUT, rollout("a", "h", "i", ended=("v1", "v2")), rollout("b", "i", stable="v1"), rollout("c"))
    assert names(kept, {}, {HOSTS: "i"}) == ["a", "b"]
    assert names(kept, {}, {HOSTS: ""}) == ["c"]
    assert names(kept, {}, {"status.history.version": "v2"}) == ["a"]
    assert names(kept, {}, {"status.stable.version": "v1"}) == ["b"]


def test_a_field_without_an_index_is_looked_for_in_all() -> None:
    kept = filled(SERVICE, obj("a", spec={"type": "ClusterIP"}), obj("b", spec={"type": "None"}))
    assert names(kept, {}, {"spec.type": "None"}) == ["b"]


@pytest.mark.parametrize("odd", [None, {}, {"spec": None}, {"spec": 3}, {"spec": {"a": {"b": 1}}}, {"spec": ["a"]}])
def test_what_is_of_another_shape_says_nothing(odd: Any) -> None:
    assert values(odd, "spec.a.b") == {""}

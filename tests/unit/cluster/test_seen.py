"""What a store holds: by namespace and label, and which writes it has seen."""

from typing import Any

from tests.unit.cluster.scripted import obj
from trainyard.systems.cluster.port import (
    SERVICE,
    Ref,
)
from trainyard.systems.cluster.store import Store
from trainyard.systems.cluster.transport import trimmed

A = Ref(SERVICE, "ns", "a")


def store(*objects: dict[str, Any]) -> Store:
    made = Store(SERVICE)
    for one in objects:
        made.put(trimmed(SERVICE, one))
    return made


def test_labels_and_namespaces_select() -> None:
    kept = store(obj("b", "1", labels={"x": "1"}), obj("a", "2", labels={"x": "1", "y": "2"}), obj("c", "3"))
    kept.put(trimmed(SERVICE, obj("z", "4", namespace="other", labels={"x": "1"})))

    def names(namespace: str, labels: dict[str, str]) -> list[str]:
        return [o["metadata"]["name"] for o in kept.list(namespace, labels)]

    assert names("ns", {"x": "1"}) == ["a", "b"]
    assert names("ns", {"x": "1", "y": "2"}) == ["a"]
    assert names("", {"x": "1"}) == ["a", "b", "z"]
    assert names("nowhere", {}) == []


def test_a_write_is_seen_at_its_version_or_a_later_one() -> None:
    kept = store(obj("a", "5"))
    assert kept.has_seen(A, "5")
    assert kept.has_seen(A, "4")
    assert not kept.has_seen(A, "6")
    kept.reached("7")
    assert kept.has_seen(A, "6")
    assert kept.has_seen(Ref(SERVICE, "ns", "came-and-went"), "6")


def test_a_deletion_is_seen_once_it_shows() -> None:
    kept = store(obj("a", "5"))
    assert not kept.has_seen(A, "")
    kept.put(trimmed(SERVICE, obj("a", "6", deletionTimestamp="now")))
    assert kept.has_seen(A, "")
    kept.remove("ns", "a")
    assert kept.has_seen(A, "")
    assert kept.remove("ns", "a") is None


def test_versions_that_are_no_numbers_are_compared_for_equality_only() -> None:
    kept = store(obj("a", "abc"))
    kept.reached("abd")
    assert kept.has_seen(A, "abc")
    assert not kept.has_seen(A, "abd")

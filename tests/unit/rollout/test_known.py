"""Neighbours are parsed once per change of theirs, and forgotten with them."""

from typing import Any

from trainyard.rollout.known import Known
from trainyard.systems.cluster.port import Obj


def obj(uid: str, version: int) -> dict[str, Any]:
    return {"metadata": {"uid": uid, "resourceVersion": str(version)}}


def test_only_what_changed_is_made_again() -> None:
    made: list[str] = []

    def make(obj: Obj) -> str:
        made.append(obj["metadata"]["uid"])
        return f"{obj['metadata']['uid']}{obj['metadata']['resourceVersion']}"

    known = Known(make)
    assert known.of([obj("x", 1), obj("y", 1)]) == {"x": "x1", "y": "y1"}
    assert known.of([obj("x", 1), obj("y", 2)]) == {"x": "x1", "y": "y2"}
    assert known.of([obj("x", 1)]) == {"x": "x1"}
    assert made == ["x", "y", "y"]


def test_it_does_not_grow_for_ever() -> None:
    made: list[str] = []
    known = Known(lambda obj: made.append(obj["metadata"]["uid"]), limit=2)
    known.of([obj("x", 1), obj("y", 1)])
    known.of([obj("x", 2)])
    known.of([obj("z", 1)])
    known.of([obj("x", 2)])
    assert made == ["x", "y", "x", "z"], "what was made longest ago went first"
    known.of([obj("y", 1)])
    assert made == ["x", "y", "x", "z", "y"]

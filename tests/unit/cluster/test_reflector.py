import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, cast

import pytest

from trainyard.systems.cluster.port import (
    DEPLOYMENT,
    SERVICE,
    ClusterError,
    Forbidden,
    Kind,
    NotFound,
    Obj,
    Ref,
    Unavailable,
)
from trainyard.systems.cluster.reflector import Mirror, Reflector, Store
from trainyard.systems.cluster.transport import Expired, Transport, error_of, path, trimmed


class Enough(BaseException):
    """The script is over."""


class ScriptedTransport:
    """Answers lists and watches in turn; an exception in a script is raised at its place."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.asked: list[str] = []

    def _next(self) -> Iterator[Any]:
        if not self.script:
            raise Enough
        step = self.script.pop(0)
        if isinstance(step, BaseException):
            raise step
        for part in step:
            if isinstance(part, BaseException):
                raise part
            yield part

    async def pages(self, kind: Kind, namespace: str, selector: str) -> AsyncIterator[dict[str, Any]]:
        self.asked.append(f"list {selector}".strip())
        for page in self._next():
            yield page

    async def lines(self, url: str, query: Sequence[tuple[str, str]]) -> AsyncIterator[bytes]:
        self.asked.append(f"watch {dict(query)['resourceVersion']}")
        for event in self._next():
            yield event if isinstance(event, bytes) else json.dumps(event).encode()


def obj(name: str, version: str, **more: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "ns", "resourceVersion": version, "managedFields": [{"manager": "x"}]}
    return {"metadata": {**meta, **more}}


def page(version: str, *items: dict[str, Any], more: str = "") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version, "continue": more}, "items": list(items)}


def event(type_: str, what: dict[str, Any]) -> dict[str, Any]:
    return {"type": type_, "object": what}


def bookmark(version: str) -> dict[str, Any]:
    return event("BOOKMARK", {"metadata": {"resourceVersion": version}})


class Bench:
    """A reflector on a script, and what it told."""

    def __init__(self, *script: Any) -> None:
        self.transport = ScriptedTransport(*script)
        self.told: list[tuple[str | None, str | None]] = []
        self.pauses: list[float] = []
        self.reflector = Reflector(cast("Transport", self.transport), SERVICE, "", "a=b", self.tell, sleep=self.pause)

    def tell(self, kind: Kind, before: Obj | None, now: Obj | None) -> None:
        def short(one: Obj | None) -> str | None:
            return f"{one['metadata']['name']}@{one['metadata']['resourceVersion']}" if one else None

        self.told.append((short(before), short(now)))

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def run(self) -> list[str]:
        with pytest.raises(Enough):
            await self.reflector.run()
        return self.transport.asked

    def names(self) -> list[str]:
        return [
            f"{o['metadata']['name']}@{o['metadata']['resourceVersion']}" for o in self.reflector.store.list("", {})
        ]


async def test_a_list_in_pages_and_the_changes_after_it() -> None:
    bench = Bench(
        [page("10", obj("a", "1"), more="x"), page("10", obj("b", "2"))],
        [
            event("ADDED", obj("c", "11")),
            event("MODIFIED", obj("a", "12")),
            event("DELETED", obj("b", "13")),
            event("DELETED", obj("never-seen", "14")),
            bookmark("20"),
        ],
    )
    assert await bench.run() == ["list a=b", "watch 10", "watch 20"]
    assert bench.names() == ["a@12", "c@11"]
    assert bench.told == [
        (None, "a@1"),
        (None, "b@2"),
        (None, "c@11"),
        ("a@1", "a@12"),
        ("b@2", None),
        ("never-seen@14", None),
    ]
    assert bench.reflector.synced
    assert bench.reflector.age() < 60


async def test_what_is_kept_is_trimmed_and_typed() -> None:
    bench = Bench([page("10", obj("a", "1"))])
    await bench.run()
    assert bench.reflector.store.get("ns", "a") == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a", "namespace": "ns", "resourceVersion": "1"},
    }


async def test_deletions_during_a_gap_are_found_on_the_relist() -> None:
    bench = Bench(
        [page("10", obj("a", "1"), obj("b", "2"), obj("c", "3"))],
        [event("ERROR", {"code": 410, "message": "too old"})],
        [page("30", obj("a", "1"), obj("c", "29"))],
    )
    assert await bench.run() == ["list a=b", "watch 10", "list a=b", "watch 30"]
    assert bench.told[3:] == [("b@2", None), ("c@3", "c@29")]
    assert bench.pauses == []


async def test_a_dropped_connection_goes_on_where_it_was() -> None:
    bench = Bench([page("10")], [event("ADDED", obj("a", "11")), Unavailable("reset")])
    assert await bench.run() == ["list a=b", "watch 10", "watch 11"]
    assert len(bench.pauses) == 1


async def test_a_server_that_stays_away_is_listed_anew_and_left_in_peace() -> None:
    bench = Bench([page("10")], *[Unavailable("refused")] * 12)
    assert (await bench.run())[:6] == ["list a=b", "watch 10", "watch 10", "watch 10", "list a=b", "list a=b"]
    assert bench.pauses[0] < 1
    assert 20 < bench.pauses[-1] < 40
    assert bench.reflector.synced


@pytest.mark.parametrize(
    "broken",
    [
        event("ERROR", {"code": 500, "message": "etcd"}),
        event("ADDED", {}),
        b"not json",
        event("ADDED", obj("a", "9") | {"metadata": None}),
    ],
)
async def test_a_broken_watch_starts_from_a_list(broken: Any) -> None:
    bench = Bench([page("10")], [broken], [page("11")])
    assert await bench.run() == ["list a=b", "watch 10", "list a=b", "watch 11"]
    assert len(bench.pauses) == 1


async def test_a_kind_that_is_not_there_is_told_once_and_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    missing = NotFound("the server could not find the requested resource")
    bench = Bench(missing, missing)
    await bench.run()
    assert not bench.reflector.synced
    assert "could not find" in bench.reflector.failure
    assert len(caplog.records) == 1
    assert len(bench.pauses) == 2


async def test_a_kind_that_goes_takes_its_objects_along() -> None:
    bench = Bench([page("10", obj("a", "1"))], NotFound("gone"))
    await bench.run()
    assert bench.told == [(None, "a@1"), ("a@1", None)]


async def test_a_refusal_is_a_sign_of_life() -> None:
    bench = Bench(Forbidden("no"), Forbidden("no"))
    bench.reflector._sign -= 1000
    await bench.run()
    assert bench.reflector.age() < 60
    assert not bench.reflector.synced


async def test_a_listener_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench([page("10", obj("a", "1"), obj("b", "2"))])
    bench.told = cast("Any", None)
    await bench.run()
    assert bench.names() == ["a@1", "b@2"]
    assert "could not be passed on" in caplog.text


# ---- the store ----


def store(*objects: dict[str, Any]) -> Store:
    made = Store()
    for one in objects:
        made.put(trimmed(SERVICE, one))
    return made


A = Ref(SERVICE, "ns", "a")


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


# ---- the mirror ----


def mirror(*namespaces: str) -> Mirror:
    transport = cast("Transport", ScriptedTransport())
    return Mirror(transport, {SERVICE: "a=b"}, namespaces, lambda *_: None)


def test_what_is_not_reflected_or_not_listed_yet_has_no_store() -> None:
    whole = mirror()
    assert whole.store(SERVICE, "ns") is None
    whole.reflectors[(SERVICE, "")].synced = True
    assert whole.store(SERVICE, "ns") is whole.reflectors[(SERVICE, "")].store
    assert whole.store(DEPLOYMENT, "ns") is None


def test_each_namespace_has_its_own_store() -> None:
    two = mirror("one", "two")
    for reflector in two.reflectors.values():
        reflector.synced = True
    assert two.store(SERVICE, "one") is not two.store(SERVICE, "two")
    assert two.store(SERVICE, "three") is None


def test_a_kind_may_live_elsewhere_than_the_others() -> None:
    transport = cast("Transport", ScriptedTransport())
    kinds = {SERVICE: "a=b", DEPLOYMENT: ""}
    made = Mirror(transport, kinds, ("one", "two"), lambda *_: None, {DEPLOYMENT: ("far",)})
    assert made.stores(SERVICE) == ()
    for reflector in made.reflectors.values():
        reflector.synced = True
    assert set(made.reflectors) == {(SERVICE, "one"), (SERVICE, "two"), (DEPLOYMENT, "far")}
    assert made.store(DEPLOYMENT, "far") is made.reflectors[(DEPLOYMENT, "far")].store
    assert made.store(DEPLOYMENT, "one") is None
    assert len(made.stores(SERVICE)) == 2


async def test_waiting_for_a_write() -> None:
    whole = mirror()
    reflector = whole.reflectors[(SERVICE, "")]
    reflector.synced = True
    assert not await whole.seen([(A, "5")], 0.01)
    waiting = asyncio.create_task(whole.seen([(A, "5"), (Ref(DEPLOYMENT, "ns", "live"), "9")], 10.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    reflector.store.put(trimmed(SERVICE, obj("a", "5")))
    reflector.store.reached("5")
    assert await waiting
    assert await whole.seen([(A, "5")], 0.0)


async def test_the_mirror_runs_all_of_them() -> None:
    two = mirror("one", "two")
    with pytest.raises(BaseExceptionGroup) as caught:
        await two.run()
    assert caught.group_contains(Enough)


# ---- answers ----


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (400, "BadRequest", "Invalid"),
        (401, "", "Forbidden"),
        (403, "Forbidden", "Forbidden"),
        (404, "NotFound", "NotFound"),
        (409, "AlreadyExists", "AlreadyExists"),
        (409, "Conflict", "Conflict"),
        (410, "Expired", "Expired"),
        (422, "Invalid", "Invalid"),
        (429, "", "Unavailable"),
        (500, "InternalError", "Unavailable"),
        (503, "", "Unavailable"),
    ],
)
def test_each_answer_has_its_error(code: int, reason: str, expected: str) -> None:
    error = error_of(code, {"reason": reason, "message": "m"})
    assert isinstance(error, ClusterError)
    assert type(error).__name__ == expected
    assert str(error) == f"m ({code})"


def test_an_answer_that_is_no_status_has_an_error_too() -> None:
    assert isinstance(error_of(502, ["html"]), Unavailable)
    assert issubclass(Expired, Unavailable)


def test_paths() -> None:
    assert path(SERVICE, "ns", "a") == "/api/v1/namespaces/ns/services/a"
    assert path(DEPLOYMENT) == "/apis/apps/v1/deployments"
    assert path(DEPLOYMENT, "ns", "a", "status") == "/apis/apps/v1/namespaces/ns/deployments/a/status"
    assert path(SERVICE, "ns", "../x") == "/api/v1/namespaces/ns/services/..%2Fx"

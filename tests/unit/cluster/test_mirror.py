"""All stores of a process: which there are, what one of them has seen, and how they are listed anew."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest

from tests.unit.cluster.scripted import Enough, ScriptedTransport, obj, page
from trainyard.systems.cluster.port import (
    DEPLOYMENT,
    SERVICE,
    Forbidden,
    Kind,
    Ref,
)
from trainyard.systems.cluster.reflector import Mirror
from trainyard.systems.cluster.transport import Transport, trimmed

A = Ref(SERVICE, "ns", "a")


def mirror(*namespaces: str) -> Mirror:
    transport = cast("Transport", ScriptedTransport())
    return Mirror(transport, {SERVICE: "a=b"}, namespaces, lambda *_: None)


def test_what_is_not_reflected_or_not_listed_yet_has_no_store() -> None:
    whole = mirror()
    assert whole.store(SERVICE, "ns") is None
    whole.reflectors[(SERVICE, "")].listed.set()
    assert whole.store(SERVICE, "ns") is whole.reflectors[(SERVICE, "")].store
    assert whole.store(DEPLOYMENT, "ns") is None


def test_each_namespace_has_its_own_store() -> None:
    two = mirror("one", "two")
    for reflector in two.reflectors.values():
        reflector.listed.set()
    assert two.store(SERVICE, "one") is not two.store(SERVICE, "two")
    assert two.store(SERVICE, "three") is None


def elsewhere(name: str) -> dict[str, str]:
    return {"name": name, "namespace": "two", "resourceVersion": "2"}


def test_a_kind_may_live_elsewhere_than_the_others() -> None:
    transport = cast("Transport", ScriptedTransport())
    kinds = {SERVICE: "a=b", DEPLOYMENT: ""}
    made = Mirror(transport, kinds, ("one", "two"), lambda *_: None, {DEPLOYMENT: ("far",)})
    for reflector in made.reflectors.values():
        reflector.listed.set()
    assert set(made.reflectors) == {(SERVICE, "one"), (SERVICE, "two"), (DEPLOYMENT, "far")}
    assert made.store(DEPLOYMENT, "far") is made.reflectors[(DEPLOYMENT, "far")].store
    assert made.store(DEPLOYMENT, "one") is None
    made.reflectors[(SERVICE, "one")].store.put(trimmed(SERVICE, obj("a", "1")))
    made.reflectors[(SERVICE, "two")].store.put(trimmed(SERVICE, obj("b", "2") | {"metadata": elsewhere("b")}))
    assert [o["metadata"]["name"] for o in made.known(SERVICE, "", {})] == ["a", "b"]
    assert [o["metadata"]["name"] for o in made.known(SERVICE, "two", {})] == ["b"]


async def test_waiting_for_a_write() -> None:
    whole = mirror()
    reflector = whole.reflectors[(SERVICE, "")]
    reflector.listed.set()
    assert not await whole.seen([(A, "5")], 0.01)
    waiting = asyncio.create_task(whole.seen([(A, "5"), (Ref(DEPLOYMENT, "ns", "live"), "9")], 10.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    reflector.store.put(trimmed(SERVICE, obj("a", "5")))
    reflector.store.reached("5")
    assert await waiting
    assert await whole.seen([(A, "5")], 0.0)


class Waiting(ScriptedTransport):
    """A server whose watches tell nothing and never end."""

    async def pages(self, kind: Kind, namespace: str, selector: str) -> AsyncIterator[dict[str, Any]]:
        self.asked.append("list")
        yield page(str(len(self.asked)), obj("a", str(len(self.asked))))

    async def lines(
        self, url: str, query: Sequence[tuple[str, str]], opened: Callable[[], None]
    ) -> AsyncIterator[bytes]:
        opened()
        await asyncio.Event().wait()
        yield b""


async def test_everything_can_be_listed_anew() -> None:
    transport = Waiting()
    whole = Mirror(cast("Transport", transport), {SERVICE: "a=b"}, (), lambda *_: None)
    running = asyncio.create_task(whole.run())
    (reflector,) = whole.reflectors.values()
    await reflector.listed.wait()
    await whole.list_anew(10.0)
    assert transport.asked == ["list", "list"]
    store = whole.store(SERVICE, "ns")
    assert store
    assert store.has_seen(A, "2")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_cannot_be_listed_anew_is_read_live() -> None:
    transport = Waiting()
    whole = Mirror(cast("Transport", transport), {SERVICE: "a=b"}, (), lambda *_: None)
    running = asyncio.create_task(whole.run())
    (reflector,) = whole.reflectors.values()
    await reflector.listed.wait()
    transport.pages = ScriptedTransport(Forbidden("no"), Forbidden("no")).pages  # type: ignore[method-assign] # a script
    await whole.list_anew(0.01)
    assert whole.store(SERVICE, "ns") is None
    assert len(list(whole.known(SERVICE, "ns", {}))) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_mirror_runs_all_of_them() -> None:
    two = mirror("one", "two")
    with pytest.raises(BaseExceptionGroup) as caught:
        await two.run()
    assert caught.group_contains(Enough)

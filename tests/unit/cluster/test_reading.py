"""JSON that lies deeper than readers take: what is too deep is cut, and nothing beside it is disturbed."""

import json
from typing import Any, cast

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.cluster.scripted import Enough, ScriptedTransport, obj
from tests.unit.cluster.test_transport import Server, server
from trainyard.resources.values import MOST_LEVELS, is_too_deep
from trainyard.systems.cluster.client import KubernetesCluster
from trainyard.systems.cluster.port import TRAINING_RUN, Ref
from trainyard.systems.cluster.reading import DEEPEST, read
from trainyard.systems.cluster.reflector import Reflector
from trainyard.systems.cluster.transport import Transport

__all__ = ["server"]

DEPTHS = (300, 1_100, 9_000)
SPEC = '{"pipeline":"churn","parameters":{"first":1,"deep":@,"last":"} ] \\\\\\" {"}}'


def nested(levels: int) -> str:
    return (
        '{"a":' * (levels // 2)
        + "[" * (levels - levels // 2)
        + "1"
        + "]" * (levels - levels // 2)
        + "}" * (levels // 2)
    )


def text_of(name: str, version: str, levels: int) -> str:
    """An object in its JSON form; what Python's own writer can write is not deep enough."""
    spec = SPEC.replace("@", nested(levels))
    return json.dumps({**obj(name, version), "spec": 0, "status": {"attempt": 1}}).replace(
        '"spec": 0', f'"spec":{spec}'
    )


def list_of(*objects: str) -> str:
    return f'{{"metadata":{{"resourceVersion":"10","continue":""}},"items":[{",".join(objects)}]}}'


def assert_cut(found: Any, version: str) -> None:
    """All but its too deep part is there, and that is deeper than a model takes."""
    assert found["metadata"] == {"name": "deep", "namespace": "ns", "resourceVersion": version}
    assert found["status"] == {"attempt": 1}
    parameters = found["spec"]["parameters"]
    assert (parameters["first"], parameters["last"]) == (1, '} ] \\" {')
    assert is_too_deep(parameters["deep"])
    orjson.dumps(found)


@pytest.mark.parametrize("levels", DEPTHS)
async def test_one_object_that_is_nested_too_deeply_disturbs_no_other(
    server: tuple[Server, Transport], levels: int
) -> None:
    told, transport = server
    page = list_of(text_of("before", "1", 1), text_of("deep", "2", levels), text_of("it", "3", 1))
    later = f'{{"type":"MODIFIED","object":{text_of("deep", "11", levels)}}}\n'
    after = f'{{"type":"MODIFIED","object":{text_of("it", "12", 1)}}}\n'
    told.answers = [
        web.Response(text=page, content_type="application/json"),
        web.Response(text=later + after, content_type="application/json"),
    ]

    async def end(_: float) -> None:
        raise Enough

    seen: list[str] = []
    reflector = Reflector(
        transport,
        TRAINING_RUN,
        "",
        "",
        lambda _, __, now: seen.append(
            f"{now['metadata']['name']}@{now['metadata']['resourceVersion']}" if now else ""
        ),
        sleep=end,
    )
    told.answers.append(web.Response(status=503))
    with pytest.raises(Enough):
        await reflector.run()
    assert seen == ["before@1", "deep@2", "it@3", "deep@11", "it@12"]
    assert_cut(reflector.store.get("ns", "deep"), "11")
    healthy = reflector.store.get("ns", "it")
    assert healthy is not None
    assert healthy["spec"]["parameters"]["deep"] == [1]


@pytest.mark.parametrize("levels", DEPTHS)
async def test_every_answer_is_cut(server: tuple[Server, Transport], levels: int) -> None:
    told, transport = server
    cluster, ref = KubernetesCluster(transport), Ref(TRAINING_RUN, "ns", "deep")
    one = text_of("deep", "7", levels)
    told.answers = [web.Response(text=text) for text in (one, list_of(one, text_of("it", "3", 1)), one)]
    assert_cut(await cluster.get(ref), "7")
    listed = await cluster.list(TRAINING_RUN, "ns")
    assert [found["metadata"]["name"] for found in listed] == ["deep", "it"]
    assert_cut(listed[0], "7")
    assert_cut(await cluster.patch(ref, {"status": {}}, status=True), "7")


async def test_a_broken_event_that_is_deep_is_no_event() -> None:
    transport = ScriptedTransport([json.loads(list_of())], [b'{"type":"ADDED","object":' + b"[" * 2_000])
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    reflector = Reflector(cast("Transport", transport), TRAINING_RUN, "", "", lambda *_: None, sleep=pause)
    with pytest.raises(Enough):
        await reflector.run()
    assert "an event cannot be read" in reflector.failure
    assert transport.asked == ["list", "watch 10", "list"]


def test_what_is_cut_is_refused_by_every_model() -> None:
    assert DEEPEST - 20 > MOST_LEVELS  # a parameter itself lies some levels deep in its object, and that in a list


@given(
    st.recursive(
        st.none() | st.integers(-9, 9) | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_is_shallow_is_read_as_it_is(value: Any) -> None:
    text = orjson.dumps(value)
    deep = b'{"deep":' + b"[" * 1_100 + text + b"]" * 1_100 + b',"beside":' + text + b"}"
    assert read(text) == value
    assert read(deep)["beside"] == value

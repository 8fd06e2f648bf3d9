"""What is an event, what is not, and what is said about it."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.events.making import BINARY, delivery, event, structured
from trainyard.events.answers import Answer, Refused
from trainyard.events.delivery import NOT_JSON, Delivery, Event
from trainyard.events.reading import read

DATA = {"uri": "s3://data/1/"}
MINIO: dict[str, Any] = {
    "EventName": "s3:ObjectCreated:Put",
    "Key": "data/sets/a b.csv",
    "Records": [
        {
            "eventVersion": "2.0",
            "eventSource": "minio:s3",
            "eventTime": "2026-11-24T10:00:00.000Z",
            "eventName": "s3:ObjectCreated:Put",
            "s3": {
                "bucket": {"name": "data"},
                "object": {"key": "sets%2Fa+b.csv", "sequencer": "18A1", "eTag": "e"},
            },
        }
    ],
}
PUSH = {"ref": "refs/heads/main", "after": "c0ffee", "repository": {"html_url": "https://github.com/ada/churn"}}
GITHUB = {"x-github-event": "push", "x-github-delivery": "72d3162e", "content-type": "application/json"}


def refusal(sent: Delivery) -> Answer:
    with pytest.raises(Refused) as refused:
        read(sent)
    return refused.value.answer


def said(sent: Delivery) -> str:
    answer = refusal(sent)
    assert (answer.status, answer.reason) == (400, "Malformed")
    assert answer.message.endswith(".")
    return answer.message


def test_binary_mode() -> None:
    headers = BINARY | {"ce-time": "2026-11-24T11:00:00+01:00", "ce-subject": '"sets/%C3%A4 \\"1\\""'}
    assert read(delivery(body=DATA, headers=headers)) == Event(
        id="1",
        source="https://data.example/sets",
        type="data.arrived",
        time=datetime(2026, 11, 24, 10, tzinfo=UTC),
        subject='sets/ä "1"',
        data=DATA,
        signed_by_body=False,
    )


def test_structured_mode() -> None:
    sent = structured(data=DATA, subject="sets/1", time="2026-11-24T10:00:00.5Z", extension=7)
    found = read(sent)
    assert found == Event(
        "1", "https://data.example/sets", "data.arrived", datetime(2026, 11, 24, 10, 0, 0, 500_000, tzinfo=UTC),
        "sets/1", DATA,
    )  # fmt: skip
    assert found.signed_by_body


def test_both_modes_give_one_identity() -> None:
    one, other = read(structured()), read(delivery(headers=BINARY))
    assert (one.id, one.source) == (other.id, other.source)


@pytest.mark.parametrize(
    ("attributes", "data"),
    [
        ({}, None),
        ({"data": "text"}, "text"),
        ({"data": [1], "datacontenttype": "application/vnd.sets+json"}, [1]),
        ({"data": "<a/>", "datacontenttype": "text/xml"}, NOT_JSON),
        ({"data_base64": base64.b64encode(b'{"a": 1}').decode(), "datacontenttype": "text/json"}, {"a": 1}),
        ({"data_base64": base64.b64encode(b"\x00").decode(), "datacontenttype": "image/png"}, NOT_JSON),
        ({"data_base64": ""}, None),
    ],
)
def test_data_of_a_structured_event(attributes: dict[str, Any], data: Any) -> None:
    assert read(structured(**attributes)).data == data


@pytest.mark.parametrize(
    ("body", "kind", "data"),
    [(b"", "application/json", None), (b"7", "", 7), (b"7", "text/plain", NOT_JSON), (b"[]", "a/b+json", [])],
)
def test_data_of_a_binary_event(body: bytes, kind: str, data: Any) -> None:
    assert read(delivery(body=body, headers=BINARY | {"content-type": kind})).data == data


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"specversion": "0.3"}, "specversion must be 1.0"),
        ({"id": None}, "id must be a text"),
        ({"id": ""}, "id must be a text"),
        ({"id": 7}, "id must be a text"),
        ({"id": "x" * 513}, "513 characters long; at most 512"),
        ({"source": "a\x00b"}, "source contains characters"),
        ({"source": "a\nb"}, "source contains characters"),
        ({"type": []}, "type must be a text"),
        ({"subject": 3}, "subject must be a text"),
        ({"time": "yesterday"}, "RFC 3339"),
        ({"time": "2026-02-30T00:00:00Z"}, "RFC 3339"),
        ({"time": "2026-02-20"}, "RFC 3339"),
        ({"time": "2026-02-20T00:00:00"}, "RFC 3339"),
        ({"data": 1, "data_base64": "AA=="}, "both data and data_base64"),
        ({"data_base64": "%"}, "not Base64"),
        ({"data_base64": 7}, "not Base64"),
        ({"data_base64": "AA=="}, "data is no JSON"),
    ],
)
def test_wrong_attributes(changes: dict[str, Any], words: str) -> None:
    assert words in said(structured(**changes))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no JSON"),
        (b"{", "line 1, column 2"),
        (b"[]", "must be a JSON object"),
        (b"\xff", "no valid Unicode"),
        (b'{"id": "\\ud800"}', "no valid Unicode"),
        (b'{"id": NaN}', "NaN and Infinity"),
        (b'{"id": 1e999}', "no JSON that can be kept"),
        (b'{"id": "1", "id": "2"}', "names a field twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"id": ' + b"1" * 5000 + b"}", "no JSON that can be kept"),
    ],
)
def test_wrong_json(body: bytes, words: str) -> None:
    assert words in said(delivery(body=body, headers={"content-type": "application/cloudevents+json"}))


def test_wrong_headers() -> None:
    assert "specversion must be 1.0" in said(delivery(headers=BINARY | {"ce-specversion": "1.1"}))
    assert "id must be a text" in said(delivery(headers=BINARY | {"ce-id": ""}))
    assert "percent-encoded" in said(delivery(headers=BINARY | {"ce-subject": "%ff"}))
    twice = Delivery("ada", "churn", "cluster", {k: (v,) for k, v in BINARY.items()} | {"ce-id": ("1", "2")}, b"")
    assert "comes 2 times" in said(twice)


@pytest.mark.parametrize("kind", ["application/cloudevents-batch+json", "application/cloudevents+avro"])
def test_other_forms_of_cloudevents_are_refused(kind: str) -> None:
    answer = refusal(delivery(body=[event()], headers={"content-type": kind}))
    assert (answer.status, answer.reason) == (415, "UnsupportedMediaType")


def test_what_is_no_event() -> None:
    for body, kind in ((b"{}", "application/json"), (b"hello", "text/plain"), (b"[1]", "")):
        assert "no event that is known here" in said(delivery(body=body, headers={"content-type": kind}))
    assert "no JSON" in said(delivery(body=b"", headers={"content-type": "application/json"}))


def test_minio() -> None:
    assert read(delivery(body=MINIO, headers={"content-type": "application/json"})) == Event(
        id="sets%2Fa+b.csv#18A1",
        source="s3://data",
        type="s3:ObjectCreated:Put",
        time=datetime(2026, 11, 24, 10, tzinfo=UTC),
        subject="sets%2Fa+b.csv",
        data=MINIO,
    )


def minio(**changes: Any) -> Delivery:
    (record,) = MINIO["Records"]
    item = {"key": "k", "sequencer": "1"} | changes.pop("object", {})
    return delivery(body=MINIO | {"Records": [record | {"s3": {"bucket": {"name": "data"}, "object": item}}]} | changes)


def test_a_long_key_of_minio_is_told_by_its_digest() -> None:
    one, other = (read(minio(object={"key": key * 600})).id for key in "ab")
    assert one.startswith("sha256:")
    assert len(one) == 71
    assert one != other


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (minio(Records=[]), "must have one record"),
        (minio(Records={}), "must have one record"),
        (minio(Records=[1]), "must be a JSON object"),
        (minio(Records=[{}]), "s3 of a record"),
        (minio(Records=[{"s3": {}}]), "s3.object"),
        (minio(Records=[{"s3": {"object": {"key": "k", "sequencer": "1"}}}]), "bucket must be"),
        (minio(object={"sequencer": None}), "sequencer must be"),
        (minio(object={"key": ""}), "object key must be"),
        (minio(EventName=7), "EventName must be"),
    ],
)
def test_wrong_notifications_of_minio(sent: Delivery, words: str) -> None:
    assert words in said(sent)


def test_github() -> None:
    assert read(delivery("push", PUSH, GITHUB)) == Event(
        "72d3162e", "https://github.com/ada/churn", "com.github.push", None, "refs/heads/main", PUSH
    )
    release = read(delivery("push", {"action": "published", "ref": 7}, GITHUB | {"x-github-event": "release"}))
    assert (release.type, release.source, release.subject) == (
        "com.github.release.published",
        "https://github.com",
        "",
    )


def test_github_sends_forms_too() -> None:
    form = GITHUB | {"content-type": "application/x-www-form-urlencoded"}
    assert read(delivery("push", b"payload=" + json.dumps(PUSH).replace(" ", "").encode(), form)).data == PUSH
    for body in (b"", b"payload", b"other=1", b"payload=1&payload=2", b"a=1&b=2&c=3", b"\xff"):
        assert "one field payload" in said(delivery("push", body, form))


def test_github_without_an_id_or_a_body() -> None:
    assert "X-GitHub-Delivery must be" in said(delivery("push", PUSH, GITHUB | {"x-github-delivery": ""}))
    assert "must be a JSON object" in said(delivery("push", [], GITHUB))


def test_github_greets() -> None:
    answer = refusal(delivery("push", {"zen": "Keep it simple."}, GITHUB | {"x-github-event": "ping"}))
    assert (answer.status, answer.reason) == (200, "Ping")


KINDS = ["", "application/json", "application/cloudevents+json", "application/x-www-form-urlencoded", "text/plain"]
BODIES = st.binary() | st.recursive(
    st.none() | st.integers() | st.text() | st.sampled_from([MINIO, PUSH, event()]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*MINIO, *event(), "s3", "data"]), inner, max_size=4)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(BODIES, st.sampled_from(KINDS), st.sampled_from([{}, BINARY, GITHUB]))
def test_whatever_comes_is_an_event_or_refused_with_a_sentence(body: Any, kind: str, headers: dict[str, str]) -> None:
    try:
        sent = delivery(body=body, headers=headers | {"content-type": kind})
    except UnicodeEncodeError:
        return
    try:
        found = read(sent)
    except Refused as refused:
        assert refused.answer.message.endswith(".")  # noqa: PT017 - either way of ending is looked at
    else:
        assert found.id
        assert len(found.id) <= 512
        assert found.source
        f"{found.id}{found.source}{found.type}{found.subject}".encode()

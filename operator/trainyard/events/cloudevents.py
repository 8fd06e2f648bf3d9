"""CloudEvents 1.0 over HTTP, binary and structured mode. Pure.

The words are those of the CloudEvents HTTP protocol binding and JSON event format, version 1.0.2.
"""

import base64
import binascii
from typing import Any
from urllib.parse import unquote

from trainyard.events.answers import UNSUPPORTED, Answer, Refused, malformed
from trainyard.events.delivery import NOT_JSON, Delivery, Event
from trainyard.events.values import attribute, moment, parsed

LONGEST = {"id": 512, "source": 1024, "type": 255, "subject": 1024, "time": 64}
_STRUCTURED = "application/cloudevents"
_BATCH = "application/cloudevents-batch"


def refuse_batch(delivery: Delivery) -> None:
    """Refuse several events in one request: one answer could not tell how each ended."""
    if delivery.media_type.partition("+")[0] == _BATCH:
        raise Refused(Answer(415, UNSUPPORTED, "Batches are not taken; send one event in a request."))


def structured(delivery: Delivery) -> Event | None:
    """Read the whole event from the body, None where the request is of another kind."""
    form, _, suffix = delivery.media_type.partition("+")
    if form != _STRUCTURED:
        return None
    if suffix != "json":
        raise Refused(Answer(415, UNSUPPORTED, "Structured events are taken as application/cloudevents+json only."))
    body = parsed(delivery.body, "The event")
    if not isinstance(body, dict):
        raise malformed("A structured event must be a JSON object.")
    _check_version(body.get("specversion"))
    return _event(body, _structured_data(body), signed=True)


def binary(delivery: Delivery) -> Event | None:
    """Read the attributes from ce- headers and the data from the body, None where the request is of another kind."""
    if "ce-specversion" not in delivery.headers:
        return None
    _check_version(delivery.header("ce-specversion"))
    attributes = {name: _decoded(delivery.header(f"ce-{name}"), name) for name in LONGEST}
    return _event(attributes, _data(delivery.body, delivery.media_type), signed=False)


def _event(attributes: dict[str, Any], data: Any, *, signed: bool) -> Event:
    needed = {
        name: attribute(attributes.get(name), name, LONGEST[name], needed=name in ("id", "source", "type"))
        for name in LONGEST
    }
    time = moment(needed.pop("time"))
    return Event(**needed, time=time, data=data, signed_by_body=signed)


def _check_version(version: Any) -> None:
    if version != "1.0":
        raise malformed("The event's specversion must be 1.0.")


def _decoded(value: str, name: str) -> str:
    """Undo the percent-encoding of a header; quotes around a value are undone first."""
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        raise malformed(f"The header ce-{name} is not percent-encoded UTF-8.") from error


def _structured_data(body: dict[str, Any]) -> Any:
    media_type = str(body.get("datacontenttype") or "application/json").partition(";")[0].strip().lower()
    if "data" in body and "data_base64" in body:
        raise malformed("The event has both data and data_base64; it may have one.")
    if "data_base64" not in body:
        return body.get("data") if _is_json(media_type) else NOT_JSON
    try:
        raw = base64.b64decode(body["data_base64"], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise malformed("The event's data_base64 is not Base64.") from error
    return _data(raw, media_type)


def _data(raw: bytes, media_type: str) -> Any:
    if not raw:
        return None
    return parsed(raw, "The event's data") if _is_json(media_type or "application/json") else NOT_JSON


def _is_json(media_type: str) -> bool:
    return media_type in ("application/json", "text/json") or media_type.endswith("+json")

"""Bodies that are no CloudEvents, put into their words: MinIO's bucket notification, GitHub's webhook. Pure.

After the adapters in the CloudEvents specification's repository (aws-s3, github), but for MinIO's id: its records have
no request id that stays the same in a redelivery, so the object's key and the record's sequencer are the id.
"""

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from trainyard.events.answers import PING, ignored, malformed
from trainyard.events.cloudevents import LONGEST
from trainyard.events.delivery import Delivery, Event
from trainyard.events.values import attribute, moment, parsed


def github(delivery: Delivery) -> Event | None:
    """Read a webhook of GitHub, None where the request is of another kind. A ping starts nothing."""
    event = delivery.header("x-github-event")
    if not event:
        return None
    if event == "ping":
        raise ignored(PING, "This is GitHub's greeting for a new webhook; it starts nothing.")
    body = _mapping(parsed(_github_json(delivery), "GitHub's body"), "GitHub's body")
    repository = body.get("repository")
    action = body.get("action")
    kind = f"com.github.{event}.{action}" if isinstance(action, str) else f"com.github.{event}"
    ref = body.get("ref")
    return Event(
        id=attribute(delivery.header("x-github-delivery"), "X-GitHub-Delivery", LONGEST["id"]),
        source=attribute(_part(repository, "html_url") or "https://github.com", "source", LONGEST["source"]),
        type=attribute(kind, "type", LONGEST["type"]),
        subject=attribute(ref if isinstance(ref, str) else "", "ref", LONGEST["subject"], needed=False),
        data=body,
    )


def minio(delivery: Delivery) -> Event | None:
    """Read a bucket notification of MinIO, None where the body is of another kind."""
    if delivery.media_type not in ("application/json", ""):
        return None
    body = parsed(delivery.body, "The body")
    if not isinstance(body, dict) or "EventName" not in body or "Records" not in body:
        return None
    records = body["Records"]
    if not isinstance(records, list) or len(records) != 1:
        raise malformed("A bucket notification must have one record; send one in a request.")
    record = _mapping(records[0], "A record of a bucket notification")
    store = _mapping(record.get("s3"), "The field s3 of a record")
    item = _mapping(store.get("object"), "The field s3.object of a record")
    key = attribute(item.get("key"), "object key", 4096)
    bucket = attribute(_part(store.get("bucket"), "name"), "bucket", 255)
    return Event(
        id=_short(f"{key}#{attribute(item.get('sequencer'), 'sequencer', 64)}"),
        source=f"s3://{bucket}",
        type=attribute(body["EventName"], "EventName", LONGEST["type"]),
        time=moment(attribute(record.get("eventTime"), "eventTime", LONGEST["time"], needed=False)),
        subject=key[: LONGEST["subject"]],
        data=body,
    )


def _github_json(delivery: Delivery) -> bytes:
    """Return the JSON; GitHub's default is to send it as a field of a form."""
    if delivery.media_type != "application/x-www-form-urlencoded":
        return delivery.body
    try:
        payloads = parse_qs(delivery.body.decode(), strict_parsing=True, max_num_fields=2).get("payload", [])
    except ValueError:
        payloads = []
    if len(payloads) != 1:
        raise malformed("GitHub's form must have one field payload.")
    return payloads[0].encode()


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise malformed(f"{what} must be a JSON object.")
    return value


def _part(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _short(event_id: str) -> str:
    """Return an id that fits: one that is too long is told by its digest."""
    if len(event_id) <= LONGEST["id"]:
        return event_id
    return "sha256:" + hashlib.sha256(event_id.encode()).hexdigest()

"""Deliveries, pipelines, Secrets and vouchers for the tests of the receiver."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.fakes.cluster import FakeCluster
from trainyard.events.delivery import Delivery
from trainyard.events.limits import Limits
from trainyard.events.port import Caller, Unable
from trainyard.events.receiving import Receiver
from trainyard.systems.cluster.port import TRAINING_PIPELINE, TRAINING_RUN, Obj, Ref

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECRET = "a secret of enough bytes"
PIPELINE: dict[str, Any] = {
    "apiVersion": "trainyard.dev/v1alpha1",
    "kind": "TrainingPipeline",
    "metadata": {"name": "churn", "namespace": "ada"},
    "spec": {
        "model": "churn",
        "engine": {"job": {"template": {"image": "trainer"}}},
        "parameters": [
            {"name": "epochs", "type": "Integer", "default": 3},
            {"name": "note", "type": "String", "default": ""},
            {"name": "extra", "type": "Struct", "default": {}},
        ],
        "triggers": {
            "events": [
                {"name": "cluster", "auth": {"kubernetes": {}}},
                {"name": "store", "auth": {"bearer": {"secretRef": {"name": "shared", "key": "store"}}}},
                {"name": "push", "auth": {"hmac": {"secretRef": {"name": "shared", "key": "push"}}}},
                {
                    "name": "robot",
                    "auth": {
                        "oidc": {"issuer": "https://issuer", "audience": "churn", "subjects": ["robot", "a@b.example"]}
                    },
                },
            ]
        },
    },
}


def delivery(
    trigger: str = "cluster", body: bytes | Any = b"", headers: Mapping[str, str] | None = None, **more: str
) -> Delivery:
    """Return a delivery; a body that is no bytes is sent as JSON."""
    sent = {"authorization": "Bearer ada"} | dict(headers or {})
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    place = {"namespace": "ada", "pipeline": "churn"} | more
    return Delivery(trigger=trigger, headers={k.lower(): (v,) for k, v in sent.items() if v}, body=data, **place)


BINARY = {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "https://data.example/sets",
    "ce-type": "data.arrived",
    "content-type": "application/json",
}


def event(number: int = 1, **attributes: Any) -> dict[str, Any]:
    """Return a structured CloudEvent."""
    base = {"specversion": "1.0", "id": str(number), "source": "https://data.example/sets", "type": "data.arrived"}
    return base | attributes


def structured(trigger: str = "cluster", headers: Mapping[str, str] | None = None, **attributes: Any) -> Delivery:
    """Return a delivery in structured mode."""
    form = {"content-type": "application/cloudevents+json; charset=utf-8"}
    return delivery(trigger, event(**attributes), form | dict(headers or {}))


def signature(body: bytes, secret: str = SECRET) -> str:
    """Return what GitHub would send as X-Hub-Signature-256."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def secret(name: str = "shared", *, usable: str = "true", **keys: str) -> dict[str, Any]:
    """Return a Secret."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}
    labels = {"trainyard.dev/usable-by-triggers": usable} if usable else {}
    meta = {"name": name, "namespace": "ada", "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}


class Vouching:
    """Reviews: the token is the caller's name; `ada` may create runs in `ada`, `eve` nowhere, others are unknown."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = False

    async def caller(self, token: str) -> Caller | None:
        self.asked.append(token)
        if self.away:
            raise Unable("Nobody is there to ask.")
        return Caller(token) if token in ("ada", "eve") else None

    async def may_create_runs(self, caller: Caller, namespace: str) -> bool:
        return (caller.name, namespace) == ("ada", "ada")


class Issuing:
    """Issuers: the token is the subject, or an address with `verified` or `claimed` before it."""

    async def claims(self, token: str, issuer: str, audience: str) -> Mapping[str, Any] | None:
        if (issuer, audience) != ("https://issuer", "churn") or token == "bad":
            return None
        kind, _, address = token.partition(" ")
        return {"sub": "1", "email": address, "email_verified": kind == "verified"} if address else {"sub": token}


class Place:
    """A fake cluster with the pipeline and its Secret, and the receiver over it."""

    def __init__(self, pipeline: Mapping[str, Any] = PIPELINE, per_minute: int = 100) -> None:
        self.cluster = FakeCluster(lambda: NOW)
        self.reviews = Vouching()
        self.monotonic = 0.0
        limits = Limits(per_minute, lambda: self.monotonic)
        self.receiver = Receiver(self.cluster, self.reviews, Issuing(), limits, lambda: NOW)
        self.cluster.seed(pipeline)
        self.cluster.seed(secret(store=SECRET, push=f"{SECRET}\n", short="short", broken="x"))

    async def post(self, sent: Delivery) -> tuple[int, str]:
        """Return (status, reason)."""
        answer = await self.receiver.receive(sent)
        return answer.status, answer.reason

    def runs(self) -> tuple[Obj, ...]:
        """Return the TrainingRuns."""
        return self.cluster.all(TRAINING_RUN, "ada")

    def edit(self, body: Mapping[str, Any], *, status: bool = False) -> None:
        """Patch the pipeline as somebody else."""
        self.cluster.edit(Ref(TRAINING_PIPELINE, "ada", "churn"), body, status=status)

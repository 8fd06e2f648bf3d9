"""The clients that vouch for callers: OpenID Connect issuers and the API server's reviews."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from trainyard.events.issuers import LARGEST_BYTES, OidcIssuers
from trainyard.events.port import Caller, Unable
from trainyard.events.reviews import KubernetesReviews, audiences
from trainyard.systems.cluster.port import Forbidden, Unavailable

ISSUER = "https://issuer.example"
CONFIGURATION = f"{ISSUER}/.well-known/openid-configuration"
KEYS = f"{ISSUER}/keys"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FAR = 99_999_999_999  # seconds since 1970, long after these tests
EC = ec.generate_private_key(ec.SECP256R1())


def public(key: Any, key_id: str, **more: str) -> dict[str, Any]:
    """Return a key as issuers publish it."""
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    told: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return told | {"kid": key_id, "use": "sig"} | more


def token(key: Any = RSA, key_id: str = "1", algorithm: str = "RS256", **claims: Any) -> str:
    """Return a token; a claim None is left out."""
    base = {"iss": ISSUER, "aud": "churn", "sub": "robot", "exp": FAR}
    told = {k: v for k, v in (base | claims).items() if v is not None}
    return jwt.encode(told, key, algorithm=algorithm, headers={"kid": key_id})


class Content:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, most: int) -> bytes:
        taken, self._body = self._body[: min(most, 1000)], self._body[min(most, 1000) :]
        return taken


class Page:
    def __init__(self, status: int, body: bytes) -> None:
        self.status, self.content = status, Content(body)


class Web:
    """The issuer's pages: address -> JSON, bytes, an HTTP status, or an error."""

    def __init__(self, **pages: Any) -> None:
        self.pages: dict[str, Any] = {
            CONFIGURATION: {"issuer": ISSUER, "jwks_uri": KEYS},
            KEYS: {"keys": [public(RSA, "1")]},
        } | pages
        self.asked: list[str] = []

    @asynccontextmanager
    async def get(self, address: str, *, allow_redirects: bool) -> AsyncIterator[Page]:
        assert not allow_redirects
        self.asked.append(address)
        page = self.pages[address]
        if isinstance(page, Exception):
            raise page
        if isinstance(page, int):
            yield Page(page, b"{}")
        else:
            yield Page(200, page if isinstance(page, bytes) else json.dumps(page).encode())


class Place:
    def __init__(self, web: Web | None = None, allowed: Mapping[str, str] | None = None) -> None:
        self.web = web or Web()
        self.now = 1000.0
        allowed = {ISSUER: ""} if allowed is None else allowed
        self.issuers = OidcIssuers(allowed, self.web, lambda: self.now)  # type: ignore[arg-type] # a stand-in for a session

    async def subject(self, sent: str) -> str | None:
        claims = await self.issuers.claims(sent, ISSUER, "churn")
        return None if claims is None else claims["sub"]


async def test_a_token_is_verified_with_keys_that_are_asked_for_once() -> None:
    place = Place()
    assert [await place.subject(token()) for _ in range(3)] == ["robot"] * 3
    assert await place.subject(token(aud=["other", "churn"])) == "robot"
    assert place.web.asked == [CONFIGURATION, KEYS]


async def test_the_address_of_keys_can_be_configured() -> None:
    place = Place(allowed={ISSUER: "https://keys.example"})
    place.web.pages["https://keys.example"] = {"keys": [public(EC, "1")]}
    assert await place.subject(token(EC, algorithm="ES256")) == "robot"
    assert place.web.asked == ["https://keys.example"]


@pytest.mark.parametrize(
    "sent",
    [
        token(exp=1),
        token(exp=None),
        token(sub=None),
        token(aud="other"),
        token(aud=None),
        token(nbf=FAR),
        token(OTHER),
        token(key_id="2"),
        token(EC, algorithm="ES256"),
        token()[:-4] + "AAAA",
    ],
)
async def test_tokens_that_are_not_valid(sent: str) -> None:
    assert await Place().subject(sent) is None


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "no.token.x",
        token(iss="https://other.example"),
        token(b"k" * 64, algorithm="HS256"),
        jwt.encode({"iss": ISSUER, "aud": "churn", "sub": "robot", "exp": FAR}, "", algorithm="none"),
    ],
)
async def test_what_cannot_be_a_token_of_the_issuer_costs_no_request(sent: str) -> None:
    place = Place()
    assert await place.subject(sent) is None
    assert place.web.asked == []


async def test_an_issuer_that_is_not_allowed_is_never_asked(caplog: pytest.LogCaptureFixture) -> None:
    place = Place(allowed={})
    assert await place.subject(token()) is None
    assert place.web.asked == []
    assert ISSUER in caplog.text


async def test_a_new_key_is_asked_for_once_a_minute_at_most() -> None:
    place = Place()
    await place.subject(token())
    place.web.pages[KEYS] = {"keys": [public(RSA, "1"), public(OTHER, "2")]}
    assert await place.subject(token(OTHER, "2")) is None
    assert len(place.web.asked) == 2
    place.now += 61
    assert await place.subject(token(OTHER, "2")) == "robot"
    assert len(place.web.asked) == 4


async def test_a_key_that_was_withdrawn_counts_for_an_hour() -> None:
    place = Place()
    await place.subject(token())
    place.web.pages[KEYS] = {"keys": [public(OTHER, "2")]}
    place.now += 3590
    assert await place.subject(token()) == "robot"
    place.now += 20
    assert await place.subject(token()) is None


async def test_while_the_issuer_is_away_its_last_keys_count_for_a_day() -> None:
    place = Place()
    await place.subject(token())
    place.web.pages[KEYS] = 500
    place.now += 86_000
    assert await place.subject(token()) == "robot"
    place.now += 1000
    with pytest.raises(Unable):
        await place.subject(token())


@pytest.mark.parametrize(
    "pages",
    [
        {KEYS: OSError("away")},
        {KEYS: 404},
        {KEYS: b"<html>"},
        {KEYS: b"[]"},
        {KEYS: {"keys": []}},
        {KEYS: {"keys": "x"}},
        {KEYS: {"keys": [7, {"kty": "odd", "kid": "1"}, public(RSA, "1", use="enc")]}},
        {KEYS: json.dumps({"keys": [public(RSA, "1")], "more": "x" * LARGEST_BYTES}).encode()},
        {CONFIGURATION: {"issuer": "https://other.example", "jwks_uri": KEYS}},
        {CONFIGURATION: {"issuer": ISSUER, "jwks_uri": "http://issuer.example/keys"}},
        {CONFIGURATION: {"issuer": ISSUER}},
    ],
)
async def test_an_issuer_that_tells_no_keys(pages: dict[str, Any]) -> None:
    place = Place(Web(**pages))
    for _ in range(2):
        with pytest.raises(Unable):
            await place.subject(token())
    assert place.web.asked.count(CONFIGURATION) == 1, "an issuer that is away is asked once a minute"


class Api:
    """A transport: answers by the last part of the path."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.sent: list[tuple[str, Any]] = []

    async def request(self, method: str, url: str, *, body: Any) -> dict[str, Any]:
        assert method == "POST"
        self.sent.append((url, body))
        answer = self.answers[url.rpartition("/")[2]]
        if isinstance(answer, Exception):
            raise answer
        return {"status": answer}


def reviews(**answers: Any) -> tuple[KubernetesReviews, Api]:
    api = Api(**answers)
    return KubernetesReviews(api), api  # type: ignore[arg-type] # a stand-in for the transport


OURS = token(aud=["trainyard"])
ADA = {"username": "ada", "uid": "7", "groups": ["people"], "extra": {"a": ["b"]}}


async def test_a_token_of_the_cluster() -> None:
    asked, api = reviews(tokenreviews={"authenticated": True, "audiences": ["trainyard"], "user": ADA})
    assert await asked.caller(OURS) == Caller("ada", "7", ["people"], {"a": ["b"]})
    ((url, body),) = api.sent
    assert url == "/apis/authentication.k8s.io/v1/tokenreviews"
    assert body["spec"] == {"token": OURS, "audiences": ["trainyard"]}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"authenticated": False, "error": "expired"},
        {"authenticated": True, "user": ADA},
        {"authenticated": True, "audiences": ["other"], "user": ADA},
        {"authenticated": True, "audiences": ["trainyard"]},
    ],
)
async def test_a_token_that_the_cluster_does_not_know(answer: dict[str, Any]) -> None:
    asked, _ = reviews(tokenreviews=answer)
    assert await asked.caller(OURS) is None


@pytest.mark.parametrize("sent", ["x", token(), token(aud=None), token(aud=["a", "b"])])
async def test_what_is_not_for_us_is_not_sent_to_the_api_server(sent: str) -> None:
    asked, api = reviews()
    assert await asked.caller(sent) is None
    assert api.sent == []


def test_audiences_are_texts() -> None:
    assert audiences(jwt.encode({"aud": ["a", 7]}, "k" * 32)) == ("a",)


async def test_access_is_asked_for_the_callers_own_groups() -> None:
    for allowed in (True, False):
        asked, api = reviews(localsubjectaccessreviews={"allowed": allowed})
        caller = Caller("ada", "7", ("people",), {"a": ("b",)})
        assert await asked.may_create_runs(caller, "team") is allowed
        ((url, body),) = api.sent
        assert url == "/apis/authorization.k8s.io/v1/namespaces/team/localsubjectaccessreviews"
        assert body["spec"] == {
            "user": "ada", "uid": "7", "groups": ["people"], "extra": {"a": ["b"]},
            "resourceAttributes": {
                "namespace": "team", "verb": "create", "group": "trainyard.dev", "resource": "trainingruns"
            },
        }  # fmt: skip


@pytest.mark.parametrize(("error", "words"), [(Forbidden("no"), "no right"), (Unavailable("no"), "did not answer")])
async def test_reviews_that_cannot_be_made(error: Exception, words: str) -> None:
    asked, _ = reviews(tokenreviews=error)
    with pytest.raises(Unable, match=words):
        await asked.caller(OURS)

"""The `Issuers` port: OpenID Connect tokens, verified with keys that the issuer publishes (PyJWT).

Only issuers of the configuration are asked, so an object that a tenant writes never chooses where a request goes.
Keys are kept for an hour. A key id that is not known asks again, at most once in a minute; while an issuer is away its
last keys count for a day.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import jwt

from trainyard.events.port import Unable

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
FRESH_SECONDS = 3600.0
STALE_SECONDS = 86_400.0
PAUSE_SECONDS = 60.0
LEEWAY_SECONDS = 30.0
LARGEST_BYTES = 262_144

_log = logging.getLogger(__name__)

Fetch = Callable[[str], Any]


class IssuerAway(Exception):
    """The issuer did not answer with what it should."""


@dataclass
class _Keys:
    """What is known of one issuer's keys; times are monotonic."""

    by_id: dict[str, jwt.PyJWK] = field(default_factory=dict)
    fetched: float = float("-inf")
    tried: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class OidcIssuers:
    """See the port. `allowed` maps an issuer to the address of its keys, "" where it is to be discovered."""

    def __init__(self, allowed: Mapping[str, str], web: aiohttp.ClientSession, clock: Callable[[], float]) -> None:
        self._allowed = allowed
        self._web = web
        self._clock = clock
        self._keys = {issuer: _Keys() for issuer in allowed}

    async def claims(self, token: str, issuer: str, audience: str) -> Mapping[str, Any] | None:
        """See the port."""
        if issuer not in self._allowed:
            _log.warning("The issuer %s is not among those that the receiver's configuration allows.", issuer)
            return None
        key = await self._key(issuer, _key_id(token, issuer))
        if key is None:
            return None
        try:
            return jwt.decode(
                token, key, algorithms=ALGORITHMS, issuer=issuer, audience=audience, leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            _log.info("A token of %s is not valid: %s.", issuer, type(error).__name__)
            return None

    async def _key(self, issuer: str, key_id: str | None) -> jwt.PyJWK | None:
        """Return the key, None where the issuer has none of this id. Raises Unable."""
        if key_id is None:
            return None
        keys = self._keys[issuer]
        async with keys.lock:
            if self._is_due(keys, key_id):
                await self._refresh(issuer, keys)
        if self._clock() - keys.fetched > STALE_SECONDS:
            raise Unable("The issuer of the token did not tell its keys; send the event again.")
        return keys.by_id.get(key_id)

    def _is_due(self, keys: _Keys, key_id: str) -> bool:
        now = self._clock()
        wanted = key_id not in keys.by_id or now - keys.fetched > FRESH_SECONDS
        return wanted and now - keys.tried > PAUSE_SECONDS

    async def _refresh(self, issuer: str, keys: _Keys) -> None:
        keys.tried = self._clock()
        try:
            address = self._allowed[issuer] or await self._discover(issuer)
            keys.by_id = _usable(await self._json(address))
            keys.fetched = self._clock()
        except IssuerAway as error:
            _log.warning("The keys of %s: %s", issuer, error)

    async def _discover(self, issuer: str) -> str:
        told = await self._json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        address = told.get("jwks_uri")
        if told.get("issuer") != issuer or not isinstance(address, str) or not address.startswith("https://"):
            raise IssuerAway("its openid-configuration is of another issuer, or names no https address of keys.")
        return address

    async def _json(self, address: str) -> dict[str, Any]:
        try:
            async with self._web.get(address, allow_redirects=False) as answer:
                body = await answer.content.read(LARGEST_BYTES)
                while len(body) < LARGEST_BYTES and (more := await answer.content.read(LARGEST_BYTES - len(body))):
                    body += more
                status = answer.status
            value = json.loads(body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise IssuerAway(f"no answer that can be read ({type(error).__name__}).") from error
        if status != 200 or not isinstance(value, dict):
            raise IssuerAway(f"HTTP {status}, or no JSON object.")
        return value


def _key_id(token: str, issuer: str) -> str | None:
    """Return the id of a token's key; None where it is no token of this issuer, so that it costs no request."""
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return None
    is_candidate = claims.get("iss") == issuer and header.get("alg") in ALGORITHMS
    return str(header.get("kid") or "") if is_candidate else None


def _usable(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """Return the keys for signatures, by their id; those of a kind that is not known are passed over."""
    listed = document.get("keys")
    found: dict[str, jwt.PyJWK] = {}
    for one in listed if isinstance(listed, list) else ():
        try:
            if one.get("use", "sig") == "sig":
                found[str(one.get("kid") or "")] = jwt.PyJWK(one)
        except (jwt.PyJWTError, AttributeError):
            continue
    if not found:
        raise IssuerAway("it lists no key that can be used.")
    return found

"""Who vouches for a caller: the cluster's token reviews, and issuers of OpenID Connect tokens. No SDK here.

The clients are `reviews` and `issuers`; tests have their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Caller:
    """Whom the API server takes the holder of a token for."""

    name: str
    uid: str = ""
    groups: Sequence[str] = ()
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Unable(Exception):
    """The receiver cannot check the proof now, whoever sent it; `str()` is a sentence for the caller."""


class Reviews(Protocol):
    """The cluster's word. Both raise Unable."""

    async def caller(self, token: str) -> Caller | None:
        """Return whose token it is, None where it is none for audience `trainyard`."""
        ...

    async def may_create_runs(self, caller: Caller, namespace: str) -> bool:
        """Whether the caller may create TrainingRuns in a namespace."""
        ...


class Issuers(Protocol):
    """The word of OpenID Connect issuers that the configuration allows."""

    async def claims(self, token: str, issuer: str, audience: str) -> Mapping[str, Any] | None:
        """Return a valid token's claims, None where it is not valid or the issuer is not allowed. Raises Unable."""
        ...

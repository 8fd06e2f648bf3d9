"""A request as it came in, before anything of it is believed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from trainyard.events.answers import malformed


class NotJson:
    """The data of an event that is no JSON: nothing can be taken out of it."""


NOT_JSON: Final = NotJson()


@dataclass(frozen=True)
class Delivery:
    """Where it was posted to, its headers (lower-case names) and its body."""

    namespace: str
    pipeline: str
    trigger: str
    headers: Mapping[str, tuple[str, ...]]
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """Return a header's value, "" without one. Raises Refused where it comes twice: which one counts?"""
        values = self.headers.get(name, ())
        if len(values) > 1:
            raise malformed(f"The header {name} comes {len(values)} times; send it once.")
        return values[0].strip() if values else ""

    @property
    def media_type(self) -> str:
        """The body's type without its parameters, in lower case."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def bearer(self) -> str:
        """The bearer token, "" without exactly one."""
        values = self.headers.get("authorization", ())
        scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        return token.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True)
class Event:
    """An event in CloudEvents' words. (source, id) is its identity; `data` is JSON, or NOT_JSON."""

    id: str
    source: str
    type: str
    time: datetime | None = None
    subject: str = ""
    data: Any = None
    signed_by_body: bool = True  # False: id and source came in headers, which a signature of the body leaves out

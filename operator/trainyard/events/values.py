"""JSON and CloudEvents attributes, read strictly: what is ambiguous or cannot be stored is refused. Pure."""

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from trainyard.events.answers import malformed

# RFC 3339, as CloudEvents asks; datetime alone would take more.
_TIME = re.compile(r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$", re.ASCII)
# CloudEvents' String: no control characters, no halves of surrogate pairs, no noncharacters.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def parsed(body: bytes, what: str) -> Any:
    """Return JSON. Raises Refused, with where the error is."""
    try:
        value = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_number)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except json.JSONDecodeError as error:
        raise malformed(f"{what} is no JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from error
    except UnicodeError as error:
        raise malformed(f"{what} is no JSON: its text is no valid Unicode.") from error
    except RecursionError as error:
        raise malformed(f"{what} is nested too deeply.") from error
    except ValueError as error:
        raise malformed(f"{what} is no JSON that can be kept: {error}.") from error
    return value


def attribute(value: Any, name: str, longest: int, *, needed: bool = True) -> str:
    """Return an attribute of a CloudEvent. Raises Refused where it is absent, no text, too long or not printable."""
    if value in (None, "") and not needed:
        return ""
    if not isinstance(value, str) or not value:
        raise malformed(f"The event's {name} must be a text that is not empty.")
    if len(value) > longest:
        raise malformed(f"The event's {name} is {len(value)} characters long; at most {longest} are taken.")
    if _FORBIDDEN.search(value):
        raise malformed(f"The event's {name} contains characters that a CloudEvent may not.")
    return value


def moment(text: str) -> datetime | None:
    """Return the time of an event, None for "". Raises Refused where it is not as RFC 3339 writes it."""
    if not text:
        return None
    try:
        if _TIME.match(text):
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass  # the thirtieth of February
    raise malformed("The event's time is no RFC 3339 timestamp, for example 2026-11-24T10:00:00Z.")


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; a name that comes twice would be read differently by others on the way."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError("an object names a field twice")
        found[name] = value
    return found


def _no_number(_: str) -> None:
    raise ValueError("NaN and Infinity are no numbers of JSON")

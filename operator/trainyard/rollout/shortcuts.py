"""Ways to the canary beside its weight: header routes, the mirror, and cookies that keep users where they were. Pure.

They stand in the same route as the weights and are written together with them. Only a canary with ready pods has any.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from trainyard import naming
from trainyard.resources.rollout_strategy import Cookie, HeaderMatch, Strategy
from trainyard.rollout import steps
from trainyard.rollout.strategies import Rung, cookie
from trainyard.systems.cluster.port import Obj

Rendered = dict[str, Any]
# The Gateway API takes 16 rules a route; the weighted rule and two for cookies are ours.
MAX_HEADER_ROUTES = 13


@dataclass(frozen=True)
class Shortcuts:
    """What stands beside the weights. headers: name -> what a request must carry. mirror: percent.

    mark: names all of it in the route's annotation, "" where there is nothing.
    """

    headers: tuple[tuple[str, tuple[HeaderMatch, ...]], ...] = ()
    mirror: int = 0
    cookie: Cookie | None = None

    @property
    def mark(self) -> str:
        """Name all of it in a word."""
        if not (self.headers or self.mirror or self.cookie):
            return ""
        headers = [[name, [m.to_wire() for m in matches]] for name, matches in self.headers]
        told = [headers, self.mirror, self.cookie.to_wire() if self.cookie else None]
        return naming.digest(told).removeprefix("sha256:")[:10]


NONE = Shortcuts()


def at_step(strategy: Strategy, rungs: tuple[Rung, ...], step: int, weight: int) -> Shortcuts:
    """Return what belongs beside a weight at a step. With all or nothing of the traffic nobody needs a cookie."""
    if weight >= 100 or step >= len(rungs):
        return NONE
    headers = tuple(steps.headers_at(rungs, step).items())
    return Shortcuts(headers, steps.mirror_at(rungs, step), cookie(strategy) if weight else None)


def standing(wanted: Shortcuts, route: Obj | None, service: str) -> Shortcuts:
    """Return what of it leads to a Service by the route as it stands. A cookie leads nobody anew."""
    rules = (route or {}).get("spec", {}).get("rules") or ()
    asked = [m.get("headers") for rule in rules if _leads_to(rule, service) for m in rule.get("matches") or ()]
    headers = tuple((name, found) for name, found in wanted.headers if [header(m) for m in found] in asked)
    percents = (m.get("percent", 100) for m in _mirrors(rules) if m["backendRef"].get("name") == service)
    return Shortcuts(headers, min(wanted.mirror, max(percents, default=0)), wanted.cookie)


def stable_cookie(stable: str, canary: str, weight: int) -> str:
    """Return the cookie of stable's users, from both revisions and the canary's weight. The canary's is its revision.

    When canary or weight change, stable's users are dealt anew; the canary's are not. Without a cookie of their own
    stable's users would be dealt at every request, and soon all of them were the canary's; with one that names stable
    alone, nobody whom the last canary left would ever meet the next.
    """
    return f"{stable}-{canary}-{weight}"


def set_cookie(wanted: Cookie, value: str, path: str) -> Rendered:
    """Return the filter that adds the cookie to an answer; cookies of the server's own stay."""
    where = "/" if ";" in path else path
    text = f"{wanted.name}={value}; Path={where}; Max-Age={wanted.max_age_seconds}; HttpOnly; SameSite=Lax"
    return {
        "type": "ResponseHeaderModifier",
        "responseHeaderModifier": {"add": [{"name": "Set-Cookie", "value": text}]},
    }


def carries_cookie(wanted: Cookie, value: str) -> Rendered:
    """Return the match of requests that carry the cookie, among others or alone.

    The pattern means the same to gateways that match whole values and to those that search.
    """
    pattern = rf"^(.*;\s*)?{re.escape(wanted.name)}={re.escape(value)}\s*(;.*)?$"
    return {"type": "RegularExpression", "name": "Cookie", "value": pattern}


def header(match: HeaderMatch) -> Rendered:
    """Return a header match as the Gateway API has it."""
    kind, value = ("Exact", match.exact) if match.exact is not None else ("RegularExpression", match.regex)
    return {"type": kind, "name": match.name, "value": value}


def mirror(backend: Rendered, percent: int) -> Rendered:
    """Return the filter that copies requests to a backend."""
    target: Rendered = {"backendRef": {k: v for k, v in backend.items() if k in ("group", "kind", "name", "port")}}
    return {"type": "RequestMirror", "requestMirror": target | ({"percent": percent} if percent < 100 else {})}


def lead_to(route: Obj | None, service: str) -> bool:
    """Whether a Service is reached by the route beside the weighted rule."""
    rules = (route or {}).get("spec", {}).get("rules") or ()
    copied = any(mirror["backendRef"].get("name") == service for mirror in _mirrors(rules))
    return copied or any(is_shortcut(rule) and _leads_to(rule, service) for rule in rules)


def _leads_to(rule: Obj, service: str) -> bool:
    return any(backend.get("name") == service for backend in rule.get("backendRefs") or ())


def _mirrors(rules: Iterable[Obj]) -> list[Obj]:
    return [f["requestMirror"] for rule in rules for f in rule.get("filters") or () if f.get("requestMirror")]


def is_shortcut(rule: Obj) -> bool:
    """Whether a rule of a route stands in front of the weighted one: it asks for a header."""
    return any(match.get("headers") for match in rule.get("matches") or ())

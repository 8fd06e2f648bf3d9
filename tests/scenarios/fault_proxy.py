"""An HTTP proxy that breaks chosen requests the ways networks and servers do, for tests against a real server.

`FaultProxy(target, "10.244.0.1")` listens where pods of the local cluster reach it.
"""

from __future__ import annotations

import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


def do_nothing() -> None:
    """What a broken request brings besides, where nothing is asked for."""


class Fault(Enum):
    """What is done to a request. BEFORE: the server never sees it; AFTER: it did the work and the answer is lost."""

    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"
    ERROR_BEFORE = "500 before"
    ERROR_AFTER = "500 after"
    DELAY = "delay"


@dataclass
class Rule:
    """Breaks the next `times` requests of this method whose path matches; `strike` is called at that moment."""

    fault: Fault
    method: str
    path: re.Pattern[str]
    times: int
    seconds: float
    strike: Callable[[], None]


@dataclass(frozen=True)
class Seen:
    """One request as it went: the server's own status, None where it never came there; the fault done to it."""

    method: str
    path: str
    status: int | None
    fault: Fault | None


class FaultProxy:
    """Passes requests to `target` (a base URL), except those that a rule breaks. Use it in a `with`."""

    def __init__(self, target: str, host: str = "127.0.0.1") -> None:
        self.target = target.rstrip("/")
        self.seen: list[Seen] = []
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """Where clients send to."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(
        self,
        fault: Fault,
        method: str,
        path: str,
        *,
        times: int = 1,
        seconds: float = 0.0,
        strike: Callable[[], None] = do_nothing,
    ) -> None:
        """Break the next `times` requests whose path (with query) `path`, a regular expression, is found in.

        strike: called before the server sees a request that is cut BEFORE, or after it did the work.
        """
        with self._lock:
            self._rules.append(Rule(fault, method, re.compile(path), times, seconds, strike))

    def heal(self) -> None:
        """Forget every rule."""
        with self._lock:
            self._rules.clear()

    def rule_for(self, method: str, path: str) -> Rule | None:
        """Take the rule that breaks this request, and count it."""
        with self._lock:
            for rule in self._rules:
                if rule.times and rule.method == method and rule.path.search(path):
                    rule.times -= 1
                    return rule
        return None


class _Handler(BaseHTTPRequestHandler):
    owner: FaultProxy
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        rule = self.owner.rule_for(self.command, self.path)
        fault = rule.fault if rule else None
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if rule and fault in (Fault.CUT_BEFORE, Fault.ERROR_BEFORE):
            rule.strike()
            self._note(None, fault)
            self._break(rule.fault)
            return
        if rule and fault is Fault.DELAY:
            time.sleep(rule.seconds)
        status, headers, answer = self._ask(body)
        self._note(status, fault)
        if rule and fault in (Fault.CUT_AFTER, Fault.ERROR_AFTER):
            rule.strike()
            self._break(rule.fault)
        else:
            self._answer(status, headers, answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 - names of http.server

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        url = self.owner.target + self.path
        request = urllib.request.Request(url, body or None, headers, method=self.command)  # noqa: S310 - http
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - always http
                return answer.status, answer.getheaders(), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, list(error.headers.items()), error.read()
        except OSError as error:
            return 502, [], str(error).encode()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        with suppress(ConnectionError):  # a client that waits no longer
            self._write(status, headers, body)

    def _write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in {*HOP_BY_HOP, "date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _break(self, fault: Fault) -> None:
        if fault in (Fault.ERROR_BEFORE, Fault.ERROR_AFTER):
            self._answer(500, [("Content-Type", "application/json")], b'{"code": 13, "message": "broken on purpose"}')
        else:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _note(self, status: int | None, fault: Fault | None) -> None:
        self.owner.seen.append(Seen(self.command, self.path, status, fault))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `seen` tells."""

"""The fault proxy breaks what it is told to, lets the server do the work where it says so, and notes both."""

import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.scenarios.cluster import wait_until
from tests.scenarios.fault_proxy import Fault, FaultProxy, Seen


class Works(BaseHTTPRequestHandler):
    done: list[str]

    def do_POST(self) -> None:
        self.done.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(409 if self.path == "/conflict" else 200)
        self.send_header("X-Mark", self.headers.get("X-Mark", ""))
        self.end_headers()
        self.wfile.write(b"answer")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    done: list[str] = []
    handler = type("Handler", (Works,), {"done": done})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}", done
        served.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: tuple[str, list[str]]) -> Iterator[FaultProxy]:
    with FaultProxy(server[0]) as started:
        yield started


def post(proxy: FaultProxy, path: str = "/runs", body: str = "work") -> tuple[int, bytes]:
    request = urllib.request.Request(proxy.url + path, body.encode(), {"X-Mark": "m"})  # noqa: S310 - http
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - http
            assert answer.headers["X-Mark"] == "m"
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_without_a_rule_everything_passes(proxy: FaultProxy, server: tuple[str, list[str]]) -> None:
    assert post(proxy) == (200, b"answer")
    assert post(proxy, "/conflict") == (409, b"answer")
    assert server[1] == ["work", "work"]
    assert [one.status for one in proxy.seen] == [200, 409]


@pytest.mark.parametrize(("fault", "worked"), [(Fault.CUT_BEFORE, False), (Fault.CUT_AFTER, True)])
def test_a_connection_is_cut(proxy: FaultProxy, server: tuple[str, list[str]], fault: Fault, worked: bool) -> None:
    proxy.fail(fault, "POST", "/runs$")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        post(proxy)
    assert server[1] == (["work"] if worked else [])
    assert proxy.seen == [Seen("POST", "/runs", 200 if worked else None, fault)]
    assert post(proxy)[0] == 200


@pytest.mark.parametrize(("fault", "worked"), [(Fault.ERROR_BEFORE, False), (Fault.ERROR_AFTER, True)])
def test_a_500_is_answered(proxy: FaultProxy, server: tuple[str, list[str]], fault: Fault, worked: bool) -> None:
    proxy.fail(fault, "POST", "/runs", times=2)
    assert [post(proxy)[0] for _ in range(3)] == [500, 500, 200]
    assert len(server[1]) == (3 if worked else 1)


def test_an_answer_is_delayed(proxy: FaultProxy, server: tuple[str, list[str]]) -> None:
    proxy.fail(Fault.DELAY, "POST", "", seconds=0.3)
    request = urllib.request.Request(f"{proxy.url}/runs", b"work")  # noqa: S310 - http
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(request, timeout=0.1)  # noqa: S310 - http
    wait_until("the server's work", lambda: proxy.seen, 10, every=0.02)
    assert proxy.seen == [Seen("POST", "/runs", 200, Fault.DELAY)]
    assert server[1] == ["work"]


def test_healed_it_breaks_nothing_and_other_requests_were_never_broken(proxy: FaultProxy) -> None:
    proxy.fail(Fault.ERROR_BEFORE, "POST", "/runs")
    assert post(proxy, "/experiments")[0] == 200
    proxy.heal()
    assert post(proxy)[0] == 200

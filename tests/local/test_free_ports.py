"""Ports for servers: free, different, and out of the way of outgoing connections."""

import socket
from pathlib import Path

import pytest

from local import free_ports


def test_they_are_free_and_different() -> None:
    found = free_ports.free_ports(50)
    assert len(set(found)) == 50
    for port in found:
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_no_outgoing_connection_takes_one() -> None:
    first, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert int(first) > free_ports.LAST


def test_what_is_taken_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_ports.free_port())) as taken:
        port = int(taken.getsockname()[1])
        monkeypatch.setattr(free_ports, "FIRST", port)
        monkeypatch.setattr(free_ports, "LAST", port)
        with pytest.raises(OSError, match="fewer than 1 free port"):
            free_ports.free_port()
    assert free_ports.free_port() == port

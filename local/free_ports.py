"""Ports for what is started on this machine and told where to listen.

Not port 0 of the kernel: it gives one of those that outgoing connections take too (ip_local_port_range), so that a
server which starts a second later, or is started again, may find it taken.
"""

from __future__ import annotations

import errno
import random
import socket
from contextlib import ExitStack

# Above what Kubernetes' own parts listen on, below NodePorts (30000) and outgoing connections (32768).
FIRST, LAST = 12_000, 29_999


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on at this moment, all different. OSError if there are not so many."""
    found: list[int] = []
    with ExitStack() as stack:
        for port in random.SystemRandom().sample(range(FIRST, LAST + 1), LAST + 1 - FIRST):
            if len(found) == count:
                break
            one = stack.enter_context(socket.socket())
            try:
                one.bind(("", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                found.append(port)
    if len(found) < count:
        raise OSError(errno.EADDRINUSE, f"fewer than {count} free ports from {FIRST} to {LAST}")
    return found


def free_port() -> int:
    """Return one such port."""
    return free_ports(1)[0]

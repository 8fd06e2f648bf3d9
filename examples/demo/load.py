"""A steady load: so many requests a second through the gateway, each with its own outcome. Sent to this machine only.

An open loop: requests leave on time whether or not earlier ones were answered, as they do from real users.
"""

import asyncio
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=10)
RECENT = 400  # samples that the live figures look at


@dataclass(frozen=True)
class Sample:
    """One request. at: when it was sent (monotonic). status: of HTTP; 0 where no answer came (then `problem`)."""

    at: float
    status: int
    seconds: float
    phase: str
    problem: str = ""

    @property
    def failed(self) -> bool:
        """Whether a user would have noticed: anything but 200."""
        return self.status != 200


@dataclass(frozen=True)
class Tally:
    """Figures over some samples: counts, and latencies in seconds (0 where nothing was answered)."""

    requests: int
    failed: int
    statuses: dict[str, int]
    p50: float
    p99: float


def tally(samples: Iterable[Sample]) -> Tally:
    """Count samples; an answerless request is counted under what went wrong."""
    found = list(samples)
    answered = sorted(s.seconds for s in found if s.status)
    statuses = Counter(str(s.status) if s.status else s.problem for s in found)
    return Tally(
        requests=len(found),
        failed=sum(s.failed for s in found),
        statuses=dict(sorted(statuses.items())),
        p50=quantile(answered, 0.5),
        p99=quantile(answered, 0.99),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which so large a share of sorted values lies; 0 where there are none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass
class Load:
    """Sends `bodies` by turns, from a thread of its own, until stopped. `phase` labels what is sent from now on."""

    url: str
    host: str  # Host header of the requests, "" for the URL's own
    bodies: Sequence[Mapping[str, object]]
    rate: float
    phase: str = ""
    samples: list[Sample] = field(default_factory=list)
    recent: deque[Sample] = field(default_factory=lambda: deque(maxlen=RECENT))
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send_all()), name="load", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, once the requests under way are answered. Harmless if it never began."""
        self._stop.set()
        if self._thread:
            self._thread.join(TIMEOUT.total or 10)

    @property
    def running(self) -> bool:
        """Whether requests are being sent."""
        return self._thread is not None and self._thread.is_alive() and not self._stop.is_set()

    def of(self, *phases: str) -> Tally:
        """Return the figures of some phases, of all where none is named."""
        return tally(s for s in list(self.samples) if not phases or s.phase in phases)

    async def _send_all(self) -> None:
        headers = {"Content-Type": "application/json", **({"Host": self.host} if self.host else {})}
        payloads = [json.dumps(body).encode() for body in self.bodies]
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT, headers=headers, connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            start = due = time.monotonic()
            number = 0
            while not self._stop.is_set():
                group.create_task(self._send(session, payloads[number % len(payloads)]))
                number += 1
                due = start + number / self.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _send(self, session: aiohttp.ClientSession, payload: bytes) -> None:
        at, phase = time.monotonic(), self.phase
        try:
            async with session.post(self.url, data=payload) as response:
                await response.read()
                sample = Sample(at, response.status, time.monotonic() - at, phase)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            sample = Sample(at, 0, time.monotonic() - at, phase, type(error).__name__)
        self.samples.append(sample)
        self.recent.append(sample)

"""Runs the parts of a start, side by side where they do not need each other, and shows each with its time."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

from local.locking import Holder

HEARTBEAT_SECONDS = 15.0


@dataclass(frozen=True)
class Part:
    """One piece of work. Parts of one lane run one after the other; `needs` must have succeeded before."""

    name: str
    run: Callable[[], str | None]
    needs: tuple[str, ...] = ()
    lane: str = ""


@dataclass
class Outcome:
    """How the parts went: seconds of each that ended, and the error of each that failed."""

    seconds: dict[str, float] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def slowest(self, count: int = 3) -> list[tuple[str, float]]:
        """The slowest parts, slowest first."""
        return sorted(self.seconds.items(), key=lambda pair: -pair[1])[:count]


class Screen(Protocol):
    """Where progress is shown."""

    def say(self, line: str) -> None:
        """Show one finished line."""

    def running(self, parts: dict[str, float]) -> None:
        """Show what runs, with the seconds since each started."""


class PlainScreen:
    """One line for each event, for logs and pipes; names what still runs every 15 seconds."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._last = self._begin

    def say(self, line: str) -> None:
        """Print the line with the seconds since the beginning."""
        self._last = time.monotonic()
        print(f"[{self._last - self._begin:6.1f}s] {line}", file=sys.stderr, flush=True)

    def running(self, parts: dict[str, float]) -> None:
        """Print what runs when nothing was said for a while."""
        if parts and time.monotonic() - self._last > HEARTBEAT_SECONDS:
            self.say("… " + ", ".join(f"{name} ({seconds:.0f}s)" for name, seconds in parts.items()))


@contextlib.contextmanager
def screen() -> Iterator[Screen]:
    """A live display on a terminal, plain lines elsewhere or without rich."""
    if not sys.stderr.isatty():
        yield PlainScreen()
        return
    try:
        from local.live import LiveScreen
    except ImportError:
        yield PlainScreen()
        return
    with LiveScreen() as live:
        yield live


def say_who(shown: Screen, holder: Holder | None) -> None:
    """Tell who holds the lock that is waited for."""
    shown.say(f"waiting for {holder or 'another command'}")


class Runner:
    """Starts every part as soon as its needs are met and its lane is free."""

    def __init__(self, parts: list[Part], shown: Screen) -> None:
        self._waiting = {part.name: part for part in parts}
        unknown = {need for part in parts for need in part.needs} - set(self._waiting)
        if unknown:
            raise ValueError(f"parts that nobody makes: {', '.join(sorted(unknown))}")
        self._shown = shown
        self._started: dict[str, float] = {}
        self._lanes: dict[str, str] = {}
        self.outcome = Outcome()

    def run(self, workers: int = 6) -> Outcome:
        """Run all parts; what depends on a failed one is skipped. Never raises for a failed part."""
        with ThreadPoolExecutor(workers) as pool:
            futures: dict[Future[str | None], Part] = {}
            while self._waiting or futures:
                for part in self._ready():
                    futures[pool.submit(part.run)] = part
                done, _ = wait(futures, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    self._ended(futures.pop(future), future)
                self._shown.running(self._ages())
        return self.outcome

    def _ready(self) -> list[Part]:
        ready = []
        for part in list(self._waiting.values()):
            if any(need in self.outcome.errors or need in self.outcome.skipped for need in part.needs):
                del self._waiting[part.name]
                self.outcome.skipped.append(part.name)
            elif all(need in self.outcome.seconds for need in part.needs) and self._take_lane(part):
                del self._waiting[part.name]
                self._started[part.name] = time.monotonic()
                ready.append(part)
        return ready

    def _take_lane(self, part: Part) -> bool:
        if part.lane and part.lane in self._lanes:
            return False
        if part.lane:
            self._lanes[part.lane] = part.name
        return True

    def _ended(self, part: Part, future: Future[str | None]) -> None:
        self._lanes.pop(part.lane, None)
        seconds = time.monotonic() - self._started.pop(part.name)
        error = future.exception()
        if isinstance(error, Exception):
            self.outcome.errors[part.name] = error
            self._shown.say(f"✗ {part.name} failed after {seconds:.1f}s: {error}")
        elif error:
            raise error
        else:
            self.outcome.seconds[part.name] = seconds
            told = future.result()
            self._shown.say(f"✓ {part.name} {seconds:.1f}s{f' ({told})' if told else ''}")

    def _ages(self) -> dict[str, float]:
        now = time.monotonic()
        return {name: now - begun for name, begun in self._started.items()}

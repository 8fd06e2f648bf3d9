"""People with browsers: a steady load in which everybody keeps the cookies that answers bring."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import aiohttp

from examples.demo.load import Load, Sample


@dataclass
class Person:
    """Somebody who asks again and again. answers: what the model said each time, in order; None where it failed."""

    cookies: dict[str, str] = field(default_factory=dict)
    answers: list[float | None] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        """The cookies, as a browser sends them."""
        jar = "; ".join(f"{name}={told}" for name, told in self.cookies.items())
        return {"Cookie": jar} if jar else {}


@dataclass
class Crowd(Load):
    """A load whose requests come from `people` in turn."""

    people: list[Person] = field(default_factory=list)
    _turns: Iterator[int] = field(default_factory=count)

    async def _send(self, session: aiohttp.ClientSession, payload: bytes) -> None:
        person = self.people[next(self._turns) % len(self.people)]
        at, phase = time.monotonic(), self.phase
        try:
            async with session.post(self.url, data=payload, headers=person.headers) as response:
                told = await response.read()
                person.cookies |= {name: cookie.value for name, cookie in response.cookies.items()}
                sample = Sample(at, response.status, time.monotonic() - at, phase)
                person.answers.append(json.loads(told)["predictions"][0] if response.status == 200 else None)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            sample = Sample(at, 0, time.monotonic() - at, phase, type(error).__name__)
            person.answers.append(None)
        self.samples.append(sample)


@contextmanager
def crowd_of(env: dict[str, str], host: str, people: int, rate: float) -> Iterator[Crowd]:
    """So many people who ask the model `sums` about rows from 1 to 10 at a rate (all of them); stopped at the end."""
    url = f"{env['TRAINYARD_GATEWAY_URL']}/v1/models/sums:predict"
    bodies = [{"instances": [[float(x)]]} for x in range(1, 11)]
    made = Crowd(url, host, bodies, rate, people=[Person() for _ in range(people)])
    yield made
    made.stop()

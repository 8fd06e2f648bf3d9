"""What a story came to, told so that two of them can be compared."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.rig.faults.proxy import Asked, Seen
from tests.rig.faults.stage import Stage, Story


@dataclass(frozen=True)
class Told:
    """How a story went. `repeated`: how many of its writes said what an earlier one had said."""

    outcome: Mapping[str, Any]
    path: list[dict[str, int]]
    writes: Counter[str]
    lives: int

    @property
    def repeated(self) -> int:
        return self.writes.total() - len(self.writes)


async def play(stage: Stage, story: Story, name: str) -> Told:
    """Play a story under this name, and tell how it went."""
    before, lives = len(stage.proxy.seen), stage.lives
    await story(stage, name)
    mine = (s for s in stage.proxy.seen[before:] if s.asked.number and belongs(s.asked, name))
    taken = [s for s in mine if s.status is not None and s.status < 300]
    writes = Counter(said(seen) for seen in taken)
    return Told(_anonymous(stage.outcome(name), name), path(stage, name), writes, stage.lives - lives)


def belongs(asked: Asked, name: str) -> bool:
    """Whether a write is for this Rollout: its objects and its Events."""
    involved = asked.json().get("involvedObject", {}).get("name", "")
    return asked.name == name or asked.name.startswith(f"{name}-") or involved == name


def path(stage: Stage, name: str) -> list[dict[str, int]]:
    """Every state of the route, `-v1` -> weight."""
    return [{version.removeprefix(name): w for version, w in moment.items()} for moment in stage.path_of_weights(name)]


def _anonymous(value: Any, name: str) -> Any:
    return json.loads(json.dumps(value).replace(name, "it"))


def said(seen: Seen) -> str:
    """What a write says, apart from when: two that say the same are one repeated."""
    return f"{seen.asked.method} {seen.asked.path} {json.dumps(_timeless(seen.asked.json()), sort_keys=True)}"


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        gone = ("resourceVersion", "uid", "firstTimestamp", "lastTimestamp")
        return {k: _timeless(v) for k, v in value.items() if k not in gone and not k.endswith(("Time", "At"))}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


def assert_sound(stages: Sequence[Stage]) -> None:
    """No traceback in any log, and the weights of every route were whole at every moment."""
    for stage in stages:
        log = stage.log.read_text()
        assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]
        moments = [shares for routes in stage.world.routes.values() for shares in routes]
        assert [m for m in moments if sum(m.values()) != 100] == []

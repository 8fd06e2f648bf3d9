"""Finished parts of a run on disk, so that one that was stopped goes on where it was. Used by `__main__`."""

import json
from pathlib import Path

from bench.report import Part


class Finished:
    """The finished parts in a folder, one file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        """Forget all of them."""
        for file in self._folder.glob("*-*.json"):
            file.unlink()

    def keep(self, part: Part) -> None:
        """Keep a part, whole or not at all."""
        file = self._file(part.rollouts, part.tool)
        half = file.with_suffix(".half")
        half.write_text(json.dumps(part._asdict()))
        half.replace(file)

    def get(self, rollouts: int, tool: str) -> Part | None:
        """Return a part, None where it is not finished."""
        file = self._file(rollouts, tool)
        return Part(**json.loads(file.read_text())) if file.exists() else None

    def _file(self, rollouts: int, tool: str) -> Path:
        return self._folder / f"{rollouts}-{tool}.json"

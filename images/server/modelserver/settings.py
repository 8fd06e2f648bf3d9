"""What the server is told by its environment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

LARGEST = 2**31 - 1
MOST_BOUNDS = 64


class BadSetting(ValueError):
    """The environment can't be served; the message is a sentence for people."""


@dataclass(frozen=True)
class Settings:
    """Names and limits. TRAINYARD_ values come from the operator, SERVER_ values from `serving.env` of a Rollout.

    prediction_bounds: of the histogram of predictions; () for those of `metrics`.
    """

    model: str
    saved_model: Path
    port: int = 8080
    threads: int = 2
    max_rows: int = 1024
    max_body_bytes: int = 8 * 1024 * 1024
    max_waiting: int = 256
    shutdown_seconds: int = 20
    prediction_bounds: tuple[float, ...] = ()


def read(environment: Mapping[str, str]) -> Settings:
    """Return the settings. BadSetting names the variable that is missing or wrong."""
    model = environment.get("TRAINYARD_MODEL", "")
    if not model or "/" in model:
        raise BadSetting("TRAINYARD_MODEL must give the name under which the model is served")
    folder = Path(environment.get("TRAINYARD_MODEL_DIR") or "/models")
    return Settings(
        model=model,
        saved_model=folder / "model",
        port=_number(environment, "SERVER_PORT", Settings.port, 65535),
        threads=_number(environment, "SERVER_THREADS", Settings.threads, 64),
        max_rows=_number(environment, "SERVER_MAX_ROWS", Settings.max_rows),
        max_body_bytes=_number(environment, "SERVER_MAX_BODY_BYTES", Settings.max_body_bytes),
        max_waiting=_number(environment, "SERVER_MAX_WAITING", Settings.max_waiting),
        shutdown_seconds=_number(environment, "SERVER_SHUTDOWN_SECONDS", Settings.shutdown_seconds, 3600),
        prediction_bounds=_bounds(environment, "SERVER_PREDICTION_BOUNDS"),
    )


def check_folder(settings: Settings) -> None:
    """Raise BadSetting where there is no SavedModel, before TensorFlow takes its seconds to start."""
    folder = settings.saved_model
    if not folder.is_dir():
        raise BadSetting(f"there is no model folder {folder}")
    if not any((folder / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        raise BadSetting(f"{folder} is not a SavedModel: it has no saved_model.pb")


def _number(environment: Mapping[str, str], name: str, default: int, largest: int = LARGEST) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:12]) <= largest:
        raise BadSetting(f"{name} must be a whole number from 1 to {largest}")
    return int(text)


def _bounds(environment: Mapping[str, str], name: str) -> tuple[float, ...]:
    text = environment.get(name, "")
    try:
        found = tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        found = (math.nan,)
    rising = all(low < high for low, high in pairwise(found))
    if not all(map(math.isfinite, found)) or not rising or len(found) > MOST_BOUNDS:
        raise BadSetting(f"{name} must be at most {MOST_BOUNDS} rising numbers with commas between, as 0,0.5,1")
    return found

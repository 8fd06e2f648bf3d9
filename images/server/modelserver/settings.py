"""What the server is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LARGEST = 2**31 - 1


class BadSetting(ValueError):
    """The environment can't be served; the message is a sentence for people."""


@dataclass(frozen=True)
class Settings:
    """Names and limits. TRAINYARD_ values come from the operator, SERVER_ values from `serving.env` of a Rollout."""

    model: str
    saved_model: Path
    port: int = 8080
    threads: int = 2
    max_rows: int = 1024
    max_body_bytes: int = 8 * 1024 * 1024
    max_waiting: int = 256
    shutdown_seconds: int = 20


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

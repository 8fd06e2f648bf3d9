"""The receiver's settings, read from an environment that `__main__` hands in. The Helm chart sets them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass


class ConfigurationWrong(Exception):
    """A setting is malformed; `str()` has a sentence for each."""


@dataclass(frozen=True)
class Configuration:
    """`issuers`: each allowed issuer with the address of its keys, "" to discover it. `drain` is in seconds."""

    port: int
    probe_port: int
    body_bytes: int
    in_hand: int
    per_minute: int
    drain: int
    issuers: Mapping[str, str]


def read(environment: Mapping[str, str]) -> Configuration:
    """Read the environment. Raises ConfigurationWrong."""
    wrong: list[str] = []
    found = Configuration(
        port=_number(environment, "TRAINYARD_EVENTS_PORT", 8090, 65_535, wrong),
        probe_port=_number(environment, "TRAINYARD_PROBE_PORT", 8080, 65_535, wrong),
        body_bytes=_number(environment, "TRAINYARD_EVENTS_MAX_BYTES", 1_048_576, 67_108_864, wrong),
        in_hand=_number(environment, "TRAINYARD_EVENTS_MAX_REQUESTS", 256, 10_000, wrong),
        per_minute=_number(environment, "TRAINYARD_EVENTS_PER_MINUTE", 120, 100_000, wrong),
        drain=_number(environment, "TRAINYARD_EVENTS_DRAIN_SECONDS", 5, 300, wrong, least=0),
        issuers=_issuers(environment.get("TRAINYARD_EVENTS_OIDC_ISSUERS", ""), wrong),
    )
    if wrong:
        raise ConfigurationWrong("\n".join(wrong))
    return found


def _number(
    environment: Mapping[str, str], name: str, default: int, most: int, wrong: list[str], *, least: int = 1
) -> int:
    text = environment.get(name, "") or str(default)
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    wrong.append(f"{name} is {text!r}; it must be a whole number from {least} to {most}.")
    return default


def _issuers(text: str, wrong: list[str]) -> Mapping[str, str]:
    """Read `issuer` or `issuer=address of its keys`, one a line."""
    found: dict[str, str] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        issuer, _, keys = line.partition("=")
        if not issuer.startswith("https://") or (keys and not keys.startswith("https://")):
            wrong.append(f"TRAINYARD_EVENTS_OIDC_ISSUERS has {line!r}; issuers and their keys have https addresses.")
        found[issuer] = keys
    return found

"""How the command line enters Prometheus: what the operator's own configuration has, as flags. Light, for `--help`.

Secrets are read from files, so that none is in a command line or a shell's history.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainyard.cli.options import Command, with_flags
from trainyard.cli.problem import USAGE, Problem

if TYPE_CHECKING:
    from trainyard.systems.prometheus.client import HttpPrometheus

PAIRS = (("certificate", "key"), ("username", "password"))


@dataclass(frozen=True)
class Entrance:
    """What was said; each of `systems.prometheus.connection.Entry`'s fields, "" or () where it was not."""

    ca: str = ""
    certificate: str = ""
    key: str = ""
    token: str = ""
    username: str = ""
    password: str = ""
    headers: tuple[str, ...] = ()


def _flag(name: str, text: str) -> object:
    variable = f"TRAINYARD_PROMETHEUS_{name.replace('-', '_').upper()}"
    return Annotated[str, typer.Option(f"--prometheus-{name}", metavar="TEXT", envvar=variable, help=text)]


_FLAGS: Mapping[str, tuple[object, object]] = {
    "prometheus_ca": (_flag("ca-file", "Certificates to trust instead of the system's."), ""),
    "prometheus_certificate": (_flag("certificate-file", "The client's certificate."), ""),
    "prometheus_key": (_flag("key-file", "Its key."), ""),
    "prometheus_token": (_flag("token-file", "A file with a bearer token."), ""),
    "prometheus_username": (_flag("username", "Who asks, with a password."), ""),
    "prometheus_password": (_flag("password-file", "A file with the password."), ""),
    "prometheus_headers": (
        Annotated[
            list[str],
            typer.Option("--prometheus-header", metavar="NAME=VALUE", help="A further header; may be repeated."),
        ],
        (),
    ),
}


def entered(command: Command) -> Command:
    """Give a command the flags for Prometheus; it takes what they say as `entrance`."""
    return with_flags(command, "entrance", _FLAGS, _entrance)


def _entrance(*said: Any) -> Entrance:
    *texts, headers = said
    return replace(Entrance(*texts), headers=tuple(headers))


def prometheus(url: str, entrance: Entrance) -> "HttpPrometheus":
    """Return a client. Raises Problem where what was said makes no sense."""
    from trainyard.systems.prometheus.client import HttpPrometheus
    from trainyard.systems.prometheus.connection import Entry

    if not url.startswith(("http://", "https://")):
        raise Problem(f"--prometheus {url}: write an address that starts with http:// or https://.", USAGE)
    for one, other in PAIRS:
        if bool(getattr(entrance, one)) != bool(getattr(entrance, other)):
            raise Problem(f"Prometheus' {one} and {other} need each other.", USAGE)
    if entrance.token and entrance.username:
        raise Problem("Prometheus' token and username exclude each other: both are the Authorization header.", USAGE)
    headers = dict(_header(text) for text in entrance.headers)
    files = (entrance.ca, entrance.certificate, entrance.key, entrance.token, entrance.username, entrance.password)
    return HttpPrometheus(url, Entry(*files, headers))


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    named = name.isascii() and name.replace("-", "").isalnum() and name.lower() != "authorization"
    if not equals or not named or not value.isprintable():
        raise Problem("--prometheus-header: write NAME=VALUE, and Authorization as a token or a password.", USAGE)
    return name, value

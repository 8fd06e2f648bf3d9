"""How Prometheus is entered: TLS, a client certificate, a bearer token or a password, further headers.

Secrets are mounted files, read again when they change: tokens and certificates are rotated without a restart.
Used by `client`.
"""

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Stamps = tuple[tuple[int, int], ...]


class NoEntry(Exception):
    """A request cannot even be made: a file is missing or broken; `str()` says which, and nothing of its content."""


@dataclass(frozen=True)
class Entry:
    """Files and names; "" for what is not used.

    ca_file: certificates that are trusted instead of the system's. certificate_file, key_file: the client's own.
    token_file: sent as a bearer token. username, password_file: basic authentication. headers: sent as they are
    (X-Scope-OrgID for Mimir, THANOS-TENANT for Thanos).
    """

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    token_file: str = ""
    username: str = ""
    password_file: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Connection:
    """What a request carries at this moment."""

    def __init__(self, entry: Entry) -> None:
        """Read nothing yet."""
        self._entry = entry
        self._context: tuple[Stamps, ssl.SSLContext] | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers of the next request. Raises NoEntry where a file cannot be read."""
        entry = self._entry
        found = dict(entry.headers)
        if entry.token_file:
            found["Authorization"] = f"Bearer {_text(entry.token_file)}"
        elif entry.username:
            pair = f"{entry.username}:{_text(entry.password_file)}"
            found["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return found

    def tls(self) -> ssl.SSLContext | bool:
        """Return the context of the next request, made again when a file has changed; True: the system's.

        Raises NoEntry where a file cannot be read.
        """
        entry = self._entry
        files = [f for f in (entry.ca_file, entry.certificate_file, entry.key_file) if f]
        if not files:
            return True
        try:
            stamps = tuple((s.st_mtime_ns, s.st_ino) for s in (Path(file).stat() for file in files))
            if self._context is None or self._context[0] != stamps:
                self._context = (stamps, self._made())
        except OSError as error:  # an SSLError too: what is no certificate
            raise NoEntry("the files for TLS with Prometheus cannot be read") from error
        return self._context[1]

    def _made(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._entry.ca_file or None)
        if self._entry.certificate_file:
            context.load_cert_chain(self._entry.certificate_file, self._entry.key_file or None)
        return context


def _text(file: str) -> str:
    """Return a secret without the line's end. Raises NoEntry; nothing of the file is in the sentence."""
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise NoEntry("the secret for Prometheus cannot be read") from error
    if not text or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise NoEntry("the secret for Prometheus is empty, or no header can hold it")
    return text

"""An OpenID Connect issuer on this machine, with TLS by an authority of its own."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from local.certificates import Authority

FAR = 99_999_999_999  # seconds since 1970, long after these tests


class Issuer:
    """Serves its configuration and its keys, and notes what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        authority = Authority(folder / "issuer")
        self.authority = authority.pair.certificate
        pair = authority.server("issuer", ["127.0.0.1"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def token(self, subject: str, **claims: Any) -> str:
        """Return a token for audience churn."""
        told = {"iss": self.url, "aud": "churn", "sub": subject, "exp": FAR} | claims
        return jwt.encode(told, self._key, algorithm="RS256", headers={"kid": "1"})

    def _page(self, path: str) -> dict[str, Any]:
        if path == "/keys":
            return {"keys": [json.loads(RSAAlgorithm.to_jwk(self._key.public_key())) | {"kid": "1"}]}
        return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                body = json.dumps(issuer._page(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        return Handler

"""A certificate authority of our own and the keys it signs, as PEM files in one folder.

Files that exist are kept, so that a resumed start does not lock out what already runs.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=3650)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: Path
    key: Path


class Authority:
    """Signs server and client certificates; made on first use in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.pair = self._pair("ca")
        if not self.pair.certificate.exists():
            self._sign("ca", _name("trainyard-local"), [x509.BasicConstraints(ca=True, path_length=None)], None)
        self._certificate = x509.load_pem_x509_certificate(self.pair.certificate.read_bytes())

    def server(self, name: str, hosts: list[str]) -> Pair:
        """Certificate of a server that is reached under each of `hosts`, names or addresses."""
        alternatives = x509.SubjectAlternativeName([_host(host) for host in hosts])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._issued(name, _name(name), [alternatives, usage])

    def client(self, file: str, user: str, groups: tuple[str, ...] = ()) -> Pair:
        """Certificate of a Kubernetes user with these groups."""
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._issued(file, _name(user, groups), [usage])

    def signing_key(self, name: str) -> Pair:
        """A bare key with a certificate of its own, for service account tokens."""
        return self._issued(name, _name(name), [])

    def _issued(self, file: str, subject: x509.Name, extensions: list[x509.ExtensionType]) -> Pair:
        pair = self._pair(file)
        if not pair.certificate.exists():
            self._sign(file, subject, extensions, self._certificate.subject)
        return pair

    def _pair(self, file: str) -> Pair:
        return Pair(self.folder / f"{file}.crt", self.folder / f"{file}.key")

    def _sign(
        self, file: str, subject: x509.Name, extensions: list[x509.ExtensionType], issuer: x509.Name | None
    ) -> None:
        """Write key and certificate, the certificate last and by rename: it says that both are whole."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        draft = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + VALID)
        )
        for extension in extensions:
            draft = draft.add_extension(extension, critical=False)
        signed = draft.sign(self._signer() if issuer else key, hashes.SHA256())
        pair = self._pair(file)
        pair.key.write_bytes(_pem(key))
        pair.key.chmod(0o600)
        half = pair.certificate.with_suffix(".part")
        half.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        half.rename(pair.certificate)

    def _signer(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(self.pair.key.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self.pair.key} is not an elliptic curve key")
        return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _name(user: str, groups: tuple[str, ...] = ()) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)

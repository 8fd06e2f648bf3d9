"""What a request to Prometheus carries, and that files are read again when they change."""

import ssl
from pathlib import Path

import pytest

from local.certificates import Authority
from trainyard.systems.prometheus.client import HttpPrometheus
from trainyard.systems.prometheus.connection import Connection, Entry, NoEntry


def test_nothing_is_sent_where_nothing_is_said() -> None:
    plain = Connection(Entry())
    assert plain.headers() == {}
    assert plain.tls() is True


def test_a_token_is_read_again_when_it_is_rotated(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    found = Connection(Entry(token_file=str(file), headers={"X-Scope-OrgID": "team"}))
    assert found.headers() == {"X-Scope-OrgID": "team", "Authorization": "Bearer first"}
    file.write_text("second")
    assert found.headers()["Authorization"] == "Bearer second"


def test_a_password_is_basic_authentication(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("wörd")
    assert Connection(Entry(username="ada", password_file=str(file))).headers() == {
        "Authorization": "Basic YWRhOnfDtnJk"
    }


def test_certificates_are_read_again_when_they_change(tmp_path: Path) -> None:
    one, other = Authority(tmp_path / "one"), Authority(tmp_path / "other")
    pair = one.client("client", "trainyard")
    ca = tmp_path / "ca.crt"
    ca.write_bytes(one.pair.certificate.read_bytes())
    found = Connection(Entry(ca_file=str(ca), certificate_file=str(pair.certificate), key_file=str(pair.key)))
    context = found.tls()
    assert isinstance(context, ssl.SSLContext)
    assert found.tls() is context
    assert context.verify_mode == ssl.CERT_REQUIRED
    ca.unlink()
    ca.write_bytes(other.pair.certificate.read_bytes())
    changed = found.tls()
    assert isinstance(changed, ssl.SSLContext)
    assert changed.get_ca_certs(True) == other_certificates(other)


def other_certificates(authority: Authority) -> list[bytes]:
    return [ssl.PEM_cert_to_DER_cert(authority.pair.certificate.read_text())]


@pytest.mark.parametrize("content", [None, "", "  \n", "two\nlines", b"\xff\xfe"])
async def test_a_secret_that_cannot_be_sent_is_a_failure_that_does_not_tell_it(
    tmp_path: Path, content: str | bytes | None
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    asked = HttpPrometheus("http://127.0.0.1:9", Entry(token_file=str(file)))
    answer = await asked.query("up")
    assert "the secret for Prometheus" in answer.failure
    assert "lines" not in answer.failure
    await asked.close()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_certificate_that_is_none(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.crt"
    if content is not None:
        file.write_text(content)
    with pytest.raises(NoEntry, match="files for TLS"):
        Connection(Entry(ca_file=str(file))).tls()

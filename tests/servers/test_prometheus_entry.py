"""The client at a real Prometheus behind TLS, client certificates and a password (its own web configuration)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local.certificates import Authority, Pair
from tests.servers.running import ADDRESS, prometheus
from trainyard.systems.prometheus.client import HttpPrometheus
from trainyard.systems.prometheus.connection import Entry

pytestmark = pytest.mark.servers
# bcrypt of "open sesame", cost 4
HASH = "$2b$04$EUrbfqSyFAOFShKfXWwa0e1ALnw/JS95dCaQMZ57uUNHeinkQCKVC"
PASSWORD = "open sesame"
CONFIG = "scrape_configs: []\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def client_pair(authority: Authority) -> Pair:
    return authority.client("client", "trainyard")


@pytest.fixture(scope="module")
def url(authority: Authority) -> Iterator[str]:
    server = authority.server("prometheus", [ADDRESS])
    web = f"""
tls_server_config:
  cert_file: {server.certificate}
  key_file: {server.key}
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: {authority.pair.certificate}
basic_auth_users:
  trainyard: {HASH}
"""
    with prometheus(CONFIG, web=web) as started:
        yield started.replace("http://", "https://")


@pytest.fixture
def entry(authority: Authority, client_pair: Pair, tmp_path: Path) -> Entry:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    return Entry(
        ca_file=str(authority.pair.certificate),
        certificate_file=str(client_pair.certificate),
        key_file=str(client_pair.key),
        username="trainyard",
        password_file=str(tmp_path / "password"),
    )


def write(entry: Entry, password: str) -> None:
    Path(entry.password_file).write_text(password)


async def failure(url: str, entry: Entry) -> str:
    asked = HttpPrometheus(url, entry)
    try:
        return (await asked.query("vector(1)")).failure
    finally:
        await asked.close()


async def test_with_everything_it_answers(url: str, entry: Entry) -> None:
    assert await failure(url, entry) == ""


async def test_a_password_that_is_changed_counts_from_the_next_query(url: str, entry: Entry) -> None:
    asked = HttpPrometheus(url, entry)
    try:
        write(entry, "wrong")
        assert (await asked.query("vector(1)")).failure == "Prometheus answered 401"
        write(entry, PASSWORD)
        assert (await asked.query("vector(1)")).samples
    finally:
        await asked.close()


async def test_without_a_part_it_does_not(url: str, entry: Entry, tmp_path: Path) -> None:
    assert await failure(url, replace(entry, username="", password_file="")) == "Prometheus answered 401"
    assert await failure(url, replace(entry, ca_file="")) == "Prometheus' certificate is not trusted"
    stranger = Authority(tmp_path / "stranger").client("client", "trainyard")
    foreign = replace(entry, certificate_file=str(stranger.certificate), key_file=str(stranger.key))
    assert await failure(url, foreign)
    assert await failure(url.replace("https://", "http://"), entry) == "Prometheus answered 400"

"""What is wrong with keys, certificates and TLS is told in words that name the file; a key is never in them."""

from __future__ import annotations

import asyncio
import gc
import re
import shutil
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bus.broker import EmbeddedBroker
from bus.certificates import make_keys, renew
from bus.credentials import load_credentials
from bus.errors import BadInput, BusError, Refused, Unreachable, Untrusted
from bus.link import LinkSettings
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO, SecuredMosquitto
from bus.security import authority_certificate, key_files
from bus.transport import Transport
from tests.bus.rigs import ADAPTERS, QUICK

OWN = "feed.jpn"
WEEK = timedelta(days=7)
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys", [OWN, "feed.kor", "broker"])
    return tmp_path / "keys"


def expire(folder: Path) -> None:
    renew(folder, days=1, now=datetime.now(UTC) - WEEK)


def come_from_elsewhere(folder: Path) -> None:
    make_keys(folder / "other", [OWN])
    shutil.copy(authority_certificate(folder / "other"), authority_certificate(folder))


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no authority": (lambda f: authority_certificate(f).unlink(), r"authority\.crt: cannot be read: No such file"),
    "no certificate": (lambda f: key_files(f, OWN).certificate.unlink(), r"feed\.jpn/tls\.crt: cannot be read: No such file"),
    "no key": (lambda f: key_files(f, OWN).key.unlink(), r"feed\.jpn/tls\.key: cannot be read: No such file"),
    "no PEM": (lambda f: key_files(f, OWN).certificate.write_text("x"), r"feed\.jpn/tls\.crt: is not a certificate"),
    "another's key": (
        lambda f: shutil.copy(key_files(f, "feed.kor").key, key_files(f, OWN).key),
        r"feed\.jpn/tls\.key: is not the private key of .*feed\.jpn/tls\.crt",
    ),
    "another's certificate": (
        lambda f: shutil.copy(key_files(f, "feed.kor").certificate, key_files(f, OWN).certificate),
        r"feed\.jpn/tls\.crt: is of 'feed\.kor', not of 'feed\.jpn'",
    ),
    "another authority": (come_from_elsewhere, r"feed\.jpn/tls\.crt: is not by the authority in .*authority\.crt"),
    "expired": (expire, r"feed\.jpn/tls\.crt: has expired on \d{4}-\d\d-\d\d .*: renew it"),
    "of tomorrow": (
        lambda f: renew(f, now=datetime.now(UTC) + timedelta(days=1)),
        r"feed\.jpn/tls\.crt: is not valid before \d{4}",
    ),
}


@pytest.mark.parametrize(("spoil", "says"), SPOILED.values(), ids=SPOILED.keys())
def test_what_is_wrong_with_our_own_files_is_told_before_anything_connects(
    folder: Path, spoil: Callable[[Path], object], says: str
) -> None:
    secrets = [line for path in folder.rglob("*.key") for line in path.read_text().splitlines()[2:-1]]
    spoil(folder)
    with pytest.raises(BadInput, match=says) as caught:
        load_credentials(folder, OWN)
    assert not any(secret in str(caught.value) for secret in secrets)


def test_credentials_know_when_they_end_and_print_no_key(folder: Path) -> None:
    credentials = load_credentials(folder, OWN)
    now_s = datetime.now(UTC).timestamp()
    assert 89 * 86_400 < credentials.expires_s - now_s < 90 * 86_400
    assert credentials.authority_expires_s > credentials.expires_s
    assert "PRIVATE" not in repr(credentials)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_tls_wants_keys_and_keys_want_tls(adapter: str, folder: Path) -> None:
    make = ADAPTERS[adapter]
    with pytest.raises(BadInput, match=r"security\.folder: is needed for mqtts"):
        make("mqtts://127.0.0.1", client_id="c", will=None, settings=QUICK)
    with pytest.raises(BadInput, match="in the clear"):
        make("mqtt://127.0.0.1", client_id="c", will=None, settings=QUICK, credentials=load_credentials(folder, OWN))


async def failure(transport: Transport) -> tuple[type[BusError], str]:
    """As what, and in which words, a start fails."""
    with pytest.raises(BusError) as caught:
        await transport.start()
    await transport.stop()
    failed = caught.type, str(caught.value)
    del caught
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):  # paho drops a socket that failed, unclosed
        gc.collect()
    return failed


def with_files(folder: Path, own: str) -> Callable[[str, str], Transport]:
    credentials = load_credentials(folder, own)
    return lambda adapter, url: ADAPTERS[adapter](url, client_id="c", will=None, settings=QUICK, credentials=credentials)


@pytest.mark.mosquitto
@needs_mosquitto
@pytest.mark.parametrize("adapter", ["mqtt", "aiomqtt"])
async def test_a_broker_of_another_authority_is_not_trusted_and_our_authority_named(
    adapter: str, folder: Path, tmp_path: Path
) -> None:
    make_keys(tmp_path / "strange", ["broker"])
    with SecuredMosquitto(tmp_path / "strange", access=None) as broker:
        kind, words = await failure(with_files(folder, OWN)(adapter, broker.url))
    assert kind is Untrusted
    assert re.search(rf"127\.0\.0\.1:{broker.port} is not to be trusted: .* authority in .*keys/authority\.crt", words)


@pytest.mark.mosquitto
@needs_mosquitto
@pytest.mark.parametrize("adapter", ["mqtt", "aiomqtt"])
async def test_a_broker_whose_certificate_has_expired_is_not_trusted(adapter: str, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "outdated")
    expire(tmp_path / "outdated")
    with SecuredMosquitto(tmp_path / "outdated", access=None) as broker:
        kind, words = await failure(with_files(folder, OWN)(adapter, broker.url))
    assert kind is Untrusted
    assert "its certificate has expired: renew it" in words


@pytest.mark.mosquitto
@needs_mosquitto
@pytest.mark.parametrize("adapter", ["mqtt", "aiomqtt"])
async def test_a_broker_of_another_host_is_not_trusted(adapter: str, folder: Path) -> None:
    with SecuredMosquitto(folder, access=None) as broker:
        kind, words = await failure(with_files(folder, OWN)(adapter, broker.url.replace("127.0.0.1", "127.0.0.2")))
        assert "no broker at" in words  # it listens on 127.0.0.1 alone
        kind, words = await failure(with_files(folder, OWN)(adapter, broker.url.replace("127.0.0.1", "0.0.0.0")))
    assert kind is Untrusted
    assert "of other hosts: make one with --host 0.0.0.0" in words


@pytest.mark.mosquitto
@needs_mosquitto
async def test_a_broker_that_does_not_take_our_certificate_says_why(folder: Path, tmp_path: Path) -> None:
    """We know the authority of the broker, it knows another than ours. Its alert may be lost; the file is named all the same."""
    make_keys(tmp_path / "strange", [])
    mixed = tmp_path / "mixed"
    shutil.copytree(folder, mixed)
    shutil.copy(authority_certificate(tmp_path / "strange"), authority_certificate(mixed))
    with SecuredMosquitto(mixed, access=None) as broker:
        kind, words = await failure(with_files(folder, OWN)("mqtt", broker.url))
    assert kind is Refused
    assert re.search(
        r"refused .*(does it know the authority of )?\S*keys/feed\.jpn/tls\.crt(?(1),| is not by its authority)", words
    )


@pytest.mark.parametrize("adapter", ["mqtt", "aiomqtt"])
async def test_a_broker_that_goes_as_it_is_greeted_is_none_and_not_mistrusted(adapter: str, folder: Path) -> None:
    """As a proxy does before a broker that is down. It may come yet; what is mistrusted is not asked again."""

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        kind, words = await failure(with_files(folder, OWN)(adapter, f"mqtts://127.0.0.1:{port}"))
    assert kind is Unreachable
    assert re.fullmatch(rf"no broker at 127\.0\.0\.1:{port}: .+", words)


@pytest.mark.parametrize("adapter", ["mqtt", "aiomqtt"])
async def test_a_broker_without_tls_gets_nothing_in_the_clear(adapter: str, folder: Path) -> None:
    with EmbeddedBroker() as broker:
        credentials = load_credentials(folder, OWN)
        link = ADAPTERS[adapter](
            broker.url.replace("mqtt:", "mqtts:"),
            client_id="c",
            will=None,
            settings=LinkSettings(connect_timeout_s=2.0),
            credentials=credentials,
        )
        _, words = await failure(link)
    assert re.search(r"no TLS|no broker|no answer", words)


@pytest.mark.mosquitto
@needs_mosquitto
async def test_speaking_plainly_to_a_tls_port_is_refused_with_a_hint(folder: Path) -> None:
    with SecuredMosquitto(folder, access=None) as broker:
        plain = ADAPTERS["mqtt"](broker.url.replace("mqtts", "mqtt"), client_id="c", will=None, settings=QUICK)
        assert "TLS" in (await failure(plain))[1]

"""Who gets in: who shows a certificate of the authority, in date, over TLS 1.3. And nobody as somebody else."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mqtt5
import pytest

from bus.access import access_list
from bus.certificates import make_keys, renew
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO, SecuredMosquitto
from bus.security import BROKER
from tests.security.conftest import WITNESS, WITNESS_MAY, WORKERS
from tests.security.raw import NOT_AUTHORIZED, RawClient, context_of

pytestmark = [pytest.mark.mosquitto, pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)]

WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def broker(keys: Path) -> Iterator[SecuredMosquitto]:
    with SecuredMosquitto(keys, access_list(workers=WORKERS) + WITNESS_MAY) as running:
        yield running


@pytest.fixture(scope="module")
def outdated(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same keys, certified by the same authority for a day of last week."""
    folder = tmp_path_factory.mktemp("outdated") / "keys"
    shutil.copytree(keys, folder)
    renew(folder, days=1, now=datetime.now(UTC) - WEEK)
    return folder


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of the same names, by another authority."""
    folder = tmp_path_factory.mktemp("strange")
    make_keys(folder, ["feed.jpn"])
    return folder


def refusal(broker: SecuredMosquitto, context: ssl.SSLContext) -> str:
    """The alert by which the broker refuses: it comes after this side's handshake, and before a word of MQTT."""
    with socket.create_connection(("127.0.0.1", broker.port), timeout=5.0) as plain:
        with pytest.raises(ssl.SSLError) as caught, context.wrap_socket(plain) as tls:
            tls.recv(1)
        return str(caught.value.reason)


def test_a_certificate_of_the_authority_gets_in(broker: SecuredMosquitto, keys: Path) -> None:
    with RawClient(broker.port, context_of(keys, "feed.jpn"), "jpn") as one:
        assert one.publish(["mw/v1/feed/jpn/status"], b"x")["mw/v1/feed/jpn/status"] != NOT_AUTHORIZED


def test_without_a_certificate_nobody_gets_in(broker: SecuredMosquitto, keys: Path) -> None:
    assert refusal(broker, context_of(keys, None)) == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    for hello in ({}, {"username": "feed.jpn"}, {"username": "conductor", "password": b"x"}):
        with pytest.raises(OSError):  # noqa: PT011  # an alert, or a reset where our greeting crossed it
            RawClient(broker.port, context_of(keys, None), "anonymous", **hello)


def test_a_certificate_of_another_authority_does_not_get_in(broker: SecuredMosquitto, strange: Path) -> None:
    assert refusal(broker, context_of(strange, "feed.jpn")) == "TLSV1_ALERT_UNKNOWN_CA"


def test_an_expired_certificate_does_not_get_in(broker: SecuredMosquitto, outdated: Path) -> None:
    assert refusal(broker, context_of(outdated, "feed.jpn")) == "SSLV3_ALERT_CERTIFICATE_EXPIRED"


def test_the_brokers_own_certificate_opens_no_door(broker: SecuredMosquitto, keys: Path) -> None:
    assert refusal(broker, context_of(keys, BROKER)) == "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"


def test_tls_1_2_does_not_get_in(broker: SecuredMosquitto, keys: Path) -> None:
    assert refusal(broker, context_of(keys, "feed.jpn", version=ssl.TLSVersion.TLSv1_2)) == "TLSV1_ALERT_PROTOCOL_VERSION"


def test_plain_tcp_does_not_get_in(broker: SecuredMosquitto) -> None:
    with pytest.raises(ConnectionError):
        RawClient(broker.port, None, "plain")
    with socket.create_connection(("127.0.0.1", broker.port), timeout=5.0) as plain:
        plain.sendall(mqtt5.ConnectPacket("plain").write())
        with contextlib.suppress(ConnectionError):
            assert plain.recv(1024)[:1] in (b"", b"\x15")  # nothing, or an alert of TLS; no CONNACK


@pytest.mark.parametrize("claim", ["feed.jpn", "conductor", WITNESS])
def test_a_user_name_in_the_greeting_makes_nobody_another(broker: SecuredMosquitto, keys: Path, claim: str) -> None:
    with RawClient(broker.port, context_of(keys, "feed.kor"), "kor", username=claim, password=b"x") as one:
        assert one.publish(["mw/v1/feed/jpn/status"], b"forged") == {"mw/v1/feed/jpn/status": NOT_AUTHORIZED}


def test_a_last_will_reaches_no_topic_that_its_owner_may_not_write(broker: SecuredMosquitto, keys: Path) -> None:
    with RawClient(broker.port, context_of(keys, WITNESS), "witness") as witness:
        witness.subscribe("#")
        for topic in ("mw/v1/feed/jpn/status", "mw/v1/feed/kor/status"):
            will = mqtt5.Will(topic, payload=b"will", qos=mqtt5.QoS.AT_LEAST_ONCE)
            try:
                RawClient(broker.port, context_of(keys, "feed.kor"), "mortal", will=will).vanish()
            except ConnectionError:
                assert topic == "mw/v1/feed/jpn/status"  # let in with a will of its own only
        with RawClient(broker.port, context_of(keys, "feed.kor"), "after") as after:
            while not (heard := witness.heard()):
                after.heard()
    assert [(packet.topic, packet.payload) for packet in heard] == [("mw/v1/feed/kor/status", b"will")]


def test_who_takes_anothers_session_hears_nothing_of_it(broker: SecuredMosquitto, keys: Path) -> None:
    """A broker gives a session to whoever knows its client id: what waits in it goes through the access list all the same."""
    lasting = {"session_expiry_interval": 300}
    victim = RawClient(broker.port, context_of(keys, "receiver.jpn"), "taken", **lasting)
    victim.subscribe("mw/v1/picture/jpn/alerts/+", "mw/v1/exercise/clock", qos=mqtt5.QoS.AT_LEAST_ONCE)
    victim.vanish()
    with RawClient(broker.port, context_of(keys, WITNESS), "witness") as witness:
        witness.publish(["mw/v1/picture/jpn/alerts/5-1", "mw/v1/exercise/clock"], b"waits")
        with RawClient(broker.port, context_of(keys, "receiver.kor"), "taken", clean_start=False, **lasting) as thief:
            assert thief.resumed
            witness.publish(["mw/v1/picture/jpn/alerts/5-2"], b"comes")
            assert {packet.topic for packet in thief.heard()} <= {"mw/v1/exercise/clock"}

from __future__ import annotations

import random

import pytest

from bus.errors import BadInput
from bus.link import Backoff, BrokerUrl, parse_url, shown


def test_a_url_is_taken_apart() -> None:
    assert parse_url("mqtt://broker") == BrokerUrl("broker", 1883, None, None)
    assert parse_url("mqtt://[::1]:1999/") == BrokerUrl("::1", 1999, None, None)
    assert parse_url("mqtt://jpn:p%40ss@10.0.0.5:1884") == BrokerUrl("10.0.0.5", 1884, "jpn", "p@ss")


@pytest.mark.parametrize(
    "url", ["broker:1883", "http://broker", "mqtt://", "mqtt://b:x", "mqtt://b:70000", "mqtt://b/topic", "mqtt://b:0"]
)
def test_a_wrong_url_says_what_is_allowed(url: str) -> None:
    with pytest.raises(BadInput, match=r"allowed: mqtt://\[user"):
        parse_url(url)


def test_mqtts_is_tls_on_a_port_of_its_own() -> None:
    assert parse_url("mqtts://broker") == BrokerUrl("broker", 8883, None, None, tls=True)
    assert parse_url("mqtts://broker:1883").port == 1883


def test_a_password_is_never_shown() -> None:
    assert "secret" not in str(parse_url("mqtt://me:secret@broker"))
    with pytest.raises(BadInput) as caught:
        parse_url("mqtt://me:secret@broker/topic")
    assert "secret" not in str(caught.value)


def test_waits_double_up_to_the_most_with_jitter_below() -> None:
    backoff = Backoff(0.1, 3.0, random.Random(1))
    waits = [backoff.next_s() for _ in range(40)]
    for wait, whole in zip(waits, [0.1, 0.2, 0.4, 0.8, 1.6] + [3.0] * 35, strict=True):
        assert whole / 2 <= wait <= whole
    assert len(set(waits)) == 40
    backoff.reset()
    assert backoff.next_s() <= 0.1


def test_a_url_is_shown_without_user_and_password() -> None:
    assert shown("mqtt://alice:s3cret@10.0.0.5:1883") == "mqtt://10.0.0.5:1883"
    assert shown("mqtt://10.0.0.5") == "mqtt://10.0.0.5"
    with pytest.raises(BadInput) as caught:
        parse_url("mqtt://alice:s3cret@10.0.0.5:99999")
    assert "s3cret" not in str(caught.value)

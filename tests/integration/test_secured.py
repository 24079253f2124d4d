"""The secured profile as a user runs it: an exercise over TLS, single processes, and what a wrong key is answered."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.keys import make_folder
from bus.access import access_list
from bus.broker import free_port
from bus.certificates import renew
from bus.messages import Status, encode
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO, SecuredMosquitto
from bus.seals import Seals, SealSettings
from bus.security import authority_certificate, key_files, principals
from tests.integration.children import children_of, eventually, everyone_was_warned, finished, page, triwarn
from tests.security.raw import RawClient, context_of

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.mosquitto,
    pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO),
]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_folder(tmp_path / "keys", principals(["fusion-1"]))
    return tmp_path / "keys"


@pytest.fixture
def broker(keys: Path) -> Iterator[SecuredMosquitto]:
    with SecuredMosquitto(keys, access_list(workers=["fusion-1"])) as running:
        yield running


def with_keys(folder: Path) -> dict[str, str]:
    return {**os.environ, "TRIWARN_SECURITY__FOLDER": str(folder)}


def secrets_of(folder: Path) -> list[str]:
    """Every line of every private key."""
    found = [
        line for path in folder.rglob("*.key") for line in path.read_text().splitlines() if not line.startswith(("-", "tri", "#"))
    ]
    assert len(found) >= 2 * len(list(folder.rglob("tls.key"))) + len(list(folder.rglob("sign.key"))) > 0
    return found


def test_a_secured_exercise_warns_everyone_and_tells_no_key(short: Path, keys: Path, tmp_path: Path) -> None:
    with triwarn(
        "-vv", "run", str(short), "--keys", str(keys), "--speed", "10", "--json", "--report", str(tmp_path / "report")
    ) as process:
        code, out, err = finished(process)
    assert code == 0, err
    result = json.loads(out)
    assert result["broker"] == "Mosquitto with TLS"
    assert everyone_was_warned(result)
    assert (result["alerts"]["missed"], result["bus"]["gaps"]) == (0, 0)
    left = [path for path in (tmp_path / "report").rglob("*") if path.is_file()]
    summaries = [json.loads(path.read_text()) for path in left if path.name.endswith(".summary.json")]
    assert [each["dropped"] for each in summaries] == [0] * 7  # the access list refuses nothing that a process does
    told = [out, err, *(path.read_bytes().decode("latin-1") for path in left)]
    assert not [line for text in told for line in text.splitlines() if "security:" in line]  # nothing valid passes for an attack
    assert not [secret for secret in ("PRIVATE KEY", *secrets_of(keys)) for text in told if secret in text]


def test_keys_of_a_run_go_with_it_and_so_does_its_broker(short: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with triwarn("run", str(short), "--secure", "--speed", "2", env=environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "broker at mqtts://127.0.0.1:" in line:
                break
        eventually(lambda: len(children_of(process.pid)) >= 3, "the first processes")
        assert list(tmp_path.glob("triwarn-keys-*/authority.key"))
        process.send_signal(signal.SIGINT)
        code, _, err = finished(process, within_s=60.0)
    assert code == 130, err
    assert not list(tmp_path.glob("triwarn-*"))


def test_a_single_process_takes_its_place_over_tls_and_says_until_when(broker: SecuredMosquitto, keys: Path) -> None:
    port = free_port()
    with triwarn("receive", "kor", "--broker", broker.url, "--endpoint-port", str(port), env=with_keys(keys)) as process:
        eventually(lambda: page(port, "/ready")[0] == 200, "readiness")
        exported = page(port, "/metrics")[1]
        process.send_signal(signal.SIGTERM)
        code, _, err = finished(process, within_s=30.0)
    assert code == 0, err
    expiry = {
        line.partition('"')[2].partition('"')[0]: float(line.split()[1])
        for line in exported.splitlines()
        if line.startswith("triwarn_certificate_expiry_timestamp_seconds{")
    }
    left_s = expiry["own"] - datetime.now(UTC).timestamp()
    assert 89 * 86_400 < left_s < 90 * 86_400
    assert expiry["authority"] > expiry["own"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: key_files(folder, "receiver.kor").key.unlink(), "receiver.kor/tls.key: cannot be read"),
        (lambda folder: renew(folder, days=1, now=datetime.now(UTC) - timedelta(days=7)), "receiver.kor/tls.crt: has expired"),
        (lambda folder: authority_certificate(folder).write_text("x"), "authority.crt: is not a certificate"),
    ],
    ids=["missing", "expired", "spoiled"],
)
def test_a_process_with_wrong_keys_ends_with_one_line_that_names_the_file(keys: Path, spoil: object, says: str) -> None:
    assert callable(spoil)
    spoil(keys)
    with triwarn("receive", "kor", "--broker", "mqtts://127.0.0.1:1", env=with_keys(keys)) as process:
        code, out, err = finished(process, within_s=60.0)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_a_process_without_keys_is_told_what_it_lacks() -> None:
    with triwarn("receive", "kor", "--broker", "mqtts://127.0.0.1:1") as process:
        code, _, err = finished(process, within_s=60.0)
    assert (code, err.strip().splitlines()[0][:60]) == (2, "triwarn: settings: security.folder: is needed for mqtts:// (")


def test_a_process_of_another_authority_ends_with_one_line(broker: SecuredMosquitto, tmp_path: Path) -> None:
    make_folder(tmp_path / "strange", principals(["fusion-1"]))
    with triwarn("receive", "kor", "--broker", broker.url, env=with_keys(tmp_path / "strange")) as process:
        code, _, err = finished(process, within_s=60.0)
    assert code == 1
    assert "is not to be trusted: its certificate is not by the authority in" in err
    assert "strange/authority.crt" in err
    assert "Traceback" not in err


def test_an_operators_word_beyond_the_policy_is_refused_and_said_to_be(keys: Path) -> None:
    """The broker's refusal came after the word was accepted, and passed for success."""
    policy = {"jpn": [("jpn", "usa")], "kor": [("kor",)], "usa": [("usa",)]}
    with SecuredMosquitto(keys, access_list(policy, ["fusion-1"])) as broker:  # type: ignore[arg-type]
        for nation in ("jpn", "usa"):
            now_ns, topic = time.time_ns(), f"mw/v1/feed/{nation}/status"
            born = Status(session=1, seq=1, sent_ns=now_ns, role="feed", name=nation, state="ready")
            sealed = Seals.of(keys, f"feed.{nation}", SealSettings()).seal(topic, encode(born), now_ns)
            with RawClient(broker.port, context_of(keys, f"feed.{nation}"), nation) as feed:
                feed.publish([topic], sealed, retain=True)
        for to, expected in (("jpn-usa", 0), ("jpn", 0), ("jpn-kor-usa", 1)):
            arguments = ("decorrelate", "jpn", "jpn/1", "usa/1", "--release", to, "--broker", broker.url)
            with triwarn(*arguments, env=with_keys(keys)) as process:
                code, _, err = finished(process, within_s=60.0)
            assert code == expected, err
        assert "lets jpn release nothing to jpn-kor-usa" in err


def test_topologies_warn_everyone_alike_and_are_compared(short: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    arguments = ["--topology", "hub", "--topology", "mesh", "--secure", "--speed", "10", "--report", str(report), "--json"]
    with triwarn("run", str(short), *arguments) as process:
        code, out, err = finished(process)
    assert code == 0, err
    results = json.loads(out)
    assert list(results) == ["hub", "mesh"]
    for topology, result in results.items():
        assert result["broker"] == f"{topology} of Mosquittos with TLS"
        assert result["complete"]
        assert everyone_was_warned(result)
        assert (result["alerts"]["missed"], result["bus"]["gaps"]) == (0, 0)
        assert json.loads((report / topology / "result.json").read_text()) == result
    assert len((report / "topologies.md").read_text().splitlines()) >= 2 + 2 * 3

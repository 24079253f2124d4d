"""`triwarn keys deal`: each party gets what it needs and nothing else; it may run at every start."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.cli import main
from bench.deal import everybody, possible_parties
from bench.topology import network
from bus.access import access_list, every_release
from bus.certificates import read_certificate
from bus.credentials import load_credentials
from bus.errors import BadInput
from bus.identity import load_identity, load_trust
from bus.release import NATIONS
from bus.security import BROKER, HUB, principals


def deal(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["keys", "deal", str(folder / "authority"), str(folder / "parties"), *arguments])


def with_parties(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / "parties" / name).mkdir(parents=True)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_party_gets_its_own_keys_and_nobody_elses(tmp_path: Path) -> None:
    result = deal(with_parties(tmp_path, "feed.jpn", "conductor"))
    assert result.exit_code == 0, result.output
    dealt = files(tmp_path / "parties" / "feed.jpn")
    assert sorted(dealt) == ["authority.crt", "feed.jpn/sign.key", "feed.jpn/tls.crt", "feed.jpn/tls.key", "trust.toml"]
    assert load_credentials(tmp_path / "parties" / "feed.jpn", "feed.jpn").principal == "feed.jpn"
    assert load_identity(tmp_path / "parties" / "feed.jpn", "feed.jpn").keys
    with pytest.raises(BadInput, match="cannot be read"):
        load_credentials(tmp_path / "parties" / "feed.jpn", "conductor")
    assert not [name for name in files(tmp_path / "parties") if "authority.key" in name]


def test_what_is_private_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        deal(with_parties(tmp_path, "feed.jpn", BROKER))
    finally:
        os.umask(before)
    private = [path for path in (tmp_path / "parties").rglob("*") if path.suffix in (".key", ".list", ".conf")]
    assert {path.name for path in private} == {"tls.key", "sign.key", "access.list", "bridges.conf"}
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}
    assert "PRIVATE KEY" not in deal(tmp_path).output


def test_a_broker_gets_the_access_list_and_a_certificate_for_its_health_check(tmp_path: Path) -> None:
    deal(with_parties(tmp_path, BROKER), "--host", "bus.example")
    part = tmp_path / "parties" / BROKER
    assert (part / "access.list").read_text(encoding="utf-8") == access_list(every_release(), ["fusion-1"])
    assert "user health" not in (part / "access.list").read_text(encoding="utf-8")
    assert load_credentials(part, "health").principal == "health"
    assert "connection" not in (part / "bridges" / "bridges.conf").read_text(encoding="utf-8")
    assert "bus.example" in str(read_certificate(part / BROKER / "tls.crt").extensions)


def test_brokers_apart_have_certificates_of_their_own_and_spokes_their_bridges(tmp_path: Path) -> None:
    names = [f"broker.{name}" for name in (HUB, *NATIONS)]
    deal(with_parties(tmp_path, *names), "--topology", "hub", "--host", "mosquitto")
    for name in names:
        part, owner = tmp_path / "parties" / name, name.removeprefix("broker.")
        hosts = str(read_certificate(part / BROKER / "tls.crt").extensions)
        assert [each for each in (HUB, *NATIONS) if f"mosquitto-{each}" in hosts] == [owner]
        bridges = (part / "bridges" / "bridges.conf").read_text(encoding="utf-8")
        speaks_to = NATIONS if owner == HUB else [HUB]
        assert [line for line in bridges.splitlines() if line.startswith("address")] == [
            f"address mosquitto-{each}:8883" for each in speaks_to
        ]
        assert [path.name for path in part.glob("bridge.*")] == [f"bridge.{owner}"]
        assert ("user bridge.hub" in (part / "access.list").read_text(encoding="utf-8")) == (owner != HUB)
    assert "bridge_keyfile /keys/bridge.jpn/tls.key" in files(tmp_path / "parties")["broker.jpn/bridges/bridges.conf"].decode()


def test_the_client_ids_of_a_spokes_bridges_are_its_own_secret(tmp_path: Path) -> None:
    deal(with_parties(tmp_path, "broker.jpn", "broker.kor"), "--topology", "mesh", "--host", "mosquitto")
    found = [line for name in ("jpn", "kor") for line in bridges_of(tmp_path, name) if "_clientid bridge-" in line]
    assert len({line.rpartition("-")[2] for line in found}) == len(found) == 8
    before = bridges_of(tmp_path, "jpn")
    deal(tmp_path, "--topology", "mesh", "--host", "mosquitto", "--days", "40", "--ahead-days", "100")  # renewed, and the same
    assert bridges_of(tmp_path, "jpn") == before


def bridges_of(folder: Path, broker: str) -> list[str]:
    return (folder / "parties" / f"broker.{broker}" / "bridges" / "bridges.conf").read_text(encoding="utf-8").splitlines()


def test_dealt_again_nothing_changes(tmp_path: Path) -> None:
    deal(with_parties(tmp_path, "feed.jpn", BROKER))
    before = files(tmp_path)
    again = deal(tmp_path)
    assert files(tmp_path) == before
    assert again.output.count("as it was") == 2


def test_what_was_lost_is_laid_again_and_a_new_party_gets_its_part(tmp_path: Path) -> None:
    deal(with_parties(tmp_path, "feed.jpn"))
    lost = tmp_path / "parties" / "feed.jpn" / "feed.jpn" / "tls.key"
    before = lost.read_bytes()
    lost.unlink()
    deal(with_parties(tmp_path, "receiver.kor"))
    assert lost.read_bytes() == before
    assert load_credentials(tmp_path / "parties" / "receiver.kor", "receiver.kor").principal == "receiver.kor"


def test_what_ends_soon_is_renewed_and_the_old_keys_hold_on(tmp_path: Path) -> None:
    deal(with_parties(tmp_path, "feed.jpn"), "--days", "10")
    part, now = tmp_path / "parties" / "feed.jpn", datetime.now(UTC)
    key, speaks = (part / "feed.jpn" / "tls.key").read_bytes(), set(load_identity(part, "feed.jpn").keys)
    result = deal(tmp_path, "--days", "60", "--ahead-days", "30")
    assert "renewed the certificates" in result.output
    assert read_certificate(part / "feed.jpn" / "tls.crt").not_valid_after_utc > now + timedelta(days=59)
    assert (part / "feed.jpn" / "tls.key").read_bytes() == key
    assert speaks < set(load_identity(part, "feed.jpn").keys) <= set(load_trust(part).keys)
    assert load_identity(part, "feed.jpn").speaks_with(load_trust(part), int(now.timestamp() * 1e9)).id in speaks  # type: ignore[union-attr]
    assert deal(tmp_path, "--days", "60", "--ahead-days", "30").output.count("as it was") == 1


def test_a_folder_half_made_by_a_killed_process_is_made_anew(tmp_path: Path) -> None:
    with_parties(tmp_path, "feed.jpn")
    (tmp_path / "authority.making" / "feed.jpn").mkdir(parents=True)
    assert deal(tmp_path).exit_code == 0
    assert not (tmp_path / "authority.making").exists()


@pytest.mark.parametrize(("name", "says"), [("feed.prk", "is no party's folder"), (None, "holds no party's folder")])
def test_a_folder_that_is_nobodys_is_told(name: str | None, says: str, tmp_path: Path) -> None:
    with_parties(tmp_path, *filter(None, [name]))
    (tmp_path / "parties").mkdir(exist_ok=True)
    result = deal(tmp_path)
    assert result.exit_code == 2
    assert says in result.output
    assert "feed.jpn" in result.output
    assert not (tmp_path / "authority").exists()


def test_keys_of_another_topology_are_not_taken(tmp_path: Path) -> None:
    deal(with_parties(tmp_path, "feed.jpn"))
    result = deal(tmp_path, "--topology", "hub")
    assert result.exit_code == 2
    assert "has no keys of broker.hub" in result.output


@pytest.mark.parametrize("empty", ["all", "one"])
def test_a_party_of_the_key_folder_without_its_keys_is_named(empty: str, tmp_path: Path) -> None:
    deal(with_parties(tmp_path, "feed.jpn"))
    for name in everybody(network("single", "fusion-1")) if empty == "all" else ["feed.jpn"]:
        for path in (tmp_path / "authority" / name).iterdir():
            path.unlink()
    result = deal(tmp_path)
    assert result.exit_code == 2
    assert f"{tmp_path / 'authority'}: has no keys of " in result.output
    assert "feed.jpn" in result.output
    assert "(allowed: a folder made for this topology, or none)" in result.output


def test_an_empty_key_folder_is_told(tmp_path: Path) -> None:
    with_parties(tmp_path, "feed.jpn")
    (tmp_path / "authority").mkdir()
    result = deal(tmp_path)
    assert result.exit_code == 2
    assert "has no keys of broker, " in result.output


def test_everybody_in_some_network_is_among_the_possible_parties() -> None:
    assert set(possible_parties()) >= {*principals(["fusion-1"]), *everybody(network("hub", "fusion-1")), "health", "fusion.jpn"}

"""`triwarn keys` and `triwarn policy` as a user runs them, and which keys a run takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner, Result

from bench.cli import main
from bench.exercise import run_exercise
from bench.links import ADAPTERS, link_maker, link_url
from bench.ranges import Between
from bench.settings import Settings, checked, load
from bus.access import access_list, every_release
from bus.certificates import MARK
from bus.errors import BadInput
from bus.security import SecuritySettings, key_files, principals


def triwarn(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_init_makes_everybodys_keys_and_says_which_and_for_how_long(tmp_path: Path) -> None:
    result = triwarn("keys", "init", tmp_path / "keys", "--days", "30", "--worker", "jpn", "--worker", "hub")
    assert result.exit_code == 0, result.output
    everybody = principals(["jpn", "hub"])
    assert all(key_files(tmp_path / "keys", name).key.exists() for name in everybody)
    assert [line.split()[0] for line in result.output.splitlines()[: 1 + len(everybody)]] == ["authority", *everybody]
    assert result.output.count(" until ") == 1 + len(everybody)
    assert MARK in result.output
    assert "PRIVATE KEY" not in result.output


def test_init_overwrites_nothing_and_says_what_is_in_the_way(tmp_path: Path) -> None:
    assert triwarn("keys", "init", tmp_path / "keys").exit_code == 0
    key = key_files(tmp_path / "keys", "feed.jpn").key
    before = key.read_bytes()
    again = triwarn("keys", "init", tmp_path / "keys")
    assert again.exit_code == 2
    assert f"{tmp_path / 'keys'}: is not empty, and nothing is overwritten" in again.output
    assert key.read_bytes() == before


def test_a_host_that_is_none_can_be_mended_and_tried_again(tmp_path: Path) -> None:
    failed = triwarn("keys", "init", tmp_path / "keys", "--host", "bad host")
    assert failed.exit_code == 2
    assert "flag --host: 'bad host' is not a host (allowed: a name in ASCII, or an address)" in failed.output
    assert triwarn("keys", "init", tmp_path / "keys", "--host", "good.host").exit_code == 0


@pytest.mark.parametrize("after_s", ["nan", "-nan", "inf", "-inf", "-1", "1e9"])
def test_new_keys_begin_at_a_time_that_is_one(after_s: str, tmp_path: Path) -> None:
    triwarn("keys", "init", tmp_path / "keys")
    before = (tmp_path / "keys" / "trust.toml").read_bytes()
    result = triwarn("keys", "rotate", tmp_path / "keys", f"--after-s={after_s}")
    assert result.exit_code == 2
    assert "Invalid value for '--after-s'" in result.output
    assert "range" in result.output
    assert (tmp_path / "keys" / "trust.toml").read_bytes() == before


NUMBERS: Final = [
    ("policy explain --nation jpn", "--at-s"),
    ("bench latency", "--seconds"),
    ("bench bus", "--seconds"),
    ("bench throughput", "--seconds"),
    ("canary", "--every"),
    ("canary", "--speed"),
]


@pytest.mark.parametrize(("command", "option"), NUMBERS)
def test_nan_is_in_no_range(command: str, option: str) -> None:
    result = triwarn(*command.split(), option, "nan")
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.output


def test_every_number_of_the_command_line_that_has_a_range_refuses_nan() -> None:
    """Whatever is added: click's own range takes it."""

    def ranges(command: click.Command) -> Iterator[click.FloatRange]:
        yield from (option.type for option in command.params if isinstance(option.type, click.FloatRange))
        for each in command.commands.values() if isinstance(command, click.Group) else ():
            yield from ranges(each)

    found = list(ranges(main))
    assert len(found) > len(NUMBERS)
    assert {type(each) for each in found} == {Between}


def test_renew_keeps_the_keys(tmp_path: Path) -> None:
    triwarn("keys", "init", tmp_path / "keys")
    files = key_files(tmp_path / "keys", "feed.jpn")
    before = files.key.read_bytes(), files.certificate.read_bytes()
    assert triwarn("keys", "renew", tmp_path / "keys", "--days", "5").exit_code == 0
    assert files.key.read_bytes() == before[0]
    assert files.certificate.read_bytes() != before[1]


def test_the_list_of_a_scenario_grants_its_releases_and_no_others(tmp_path: Path) -> None:
    scenario = tmp_path / "mine.toml"
    launch = '[[launch]]\ntype = "KN-25"\nsite = "Sunan"\nat_s = 10.0\nrange_km = 350.0\napogee_km = 100.0\n'
    held = '[nations.jpn]\nrelease_to = ["usa"]\n'
    scenario.write_text(f'name = "mine"\ntitle = "t"\nstart = 2024-05-30T06:13:50+09:00\n\n{launch}\n{held}', encoding="utf-8")
    result = triwarn("policy", "acl", scenario, "--worker", "hub")
    assert result.exit_code == 0, result.output
    said = {line.rpartition("/")[2] for line in result.output.splitlines() if "mw/v1/feed/jpn/tracks" in line}
    assert said == {"jpn", "jpn-usa"}
    assert "user fusion.hub" in result.output


def test_without_a_scenario_the_list_is_of_all_that_could_be_released() -> None:
    nothing = triwarn("policy", "acl", "")  # an unset variable: it gave the widest list
    assert nothing.exit_code == 2
    assert triwarn("policy", "acl").output == access_list(every_release(), ["fusion-1"]) + "\n"


def test_a_spokes_list_lets_a_hubs_bridge_tell_it_what_is_for_it() -> None:
    assert "user bridge.hub" not in triwarn("policy", "acl").output
    theirs = triwarn("policy", "acl", "--spoke", "kor").output.partition("user bridge.hub")[2].partition("user")[0]
    assert "topic write mw/v1/picture/kor/alerts/+" in theirs
    assert "picture/jpn" not in theirs


def test_keys_and_the_brokers_url_must_fit() -> None:
    for url, folder in (("mqtts://hub", ""), ("mqtt://hub", "keys")):
        with pytest.raises(BadInput):
            load(None, broker__url=url, security__folder=folder)
    checked(load(None, broker__url="mqtts://hub", security__folder="keys"))


async def test_no_two_links_have_one_client_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who knows a client id can take its session: the session id in it is in everybody's status."""
    seen: list[str] = []
    monkeypatch.setitem(ADAPTERS, "mqtt", lambda url, *, client_id, **_: seen.append(client_id))
    make = link_maker(Settings())
    for _ in range(2):
        make("triwarn-feed-jpn-1-bulk", None)
    assert len(set(seen)) == 2
    assert all(re.fullmatch("triwarn-feed-jpn-1-bulk-[0-9a-f]{16}", each) for each in seen)


def test_with_keys_the_usual_local_broker_is_the_one_with_tls() -> None:
    assert link_url(Settings()) == "mqtt://127.0.0.1:1883"
    assert link_url(Settings(security=SecuritySettings(folder="keys"))) == "mqtts://127.0.0.1:8883"


@pytest.mark.parametrize(
    ("speed", "url", "says"), [("max", None, "without a broker"), ("10", "mqtt://127.0.0.1", "--keys FOLDER")]
)
def test_what_cannot_be_secured_is_told_before_anything_runs(speed: str, url: str | None, says: str) -> None:
    settings = load(None, broker__url=url)
    with pytest.raises(BadInput, match=says):
        run_exercise("quiet", speed, None, settings, settings_file=None, report=None, attach=False, as_json=False, secure=True)

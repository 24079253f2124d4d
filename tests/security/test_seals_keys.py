"""`triwarn keys` makes what seals need, for all that speak, and gives them new keys while the old ones hold."""

from __future__ import annotations

import time
from pathlib import Path

from click.testing import CliRunner

from bench.cli import main
from bus.identity import load_identity, load_trust, sign_key_file
from bus.security import BROKER, principals


def test_whoever_speaks_has_a_signing_key_and_who_only_carries_has_none(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["keys", "init", str(tmp_path / "keys")])
    assert done.exit_code == 0, done.output
    everybody = {name for name in principals(["fusion-1"]) if name != BROKER and not name.startswith("bridge.")}
    assert set(load_trust(tmp_path / "keys").principals(time.time_ns())) == everybody
    made = {path.parent.name for path in (tmp_path / "keys").glob("*/sign.key")}
    assert made == everybody
    assert all(load_identity(tmp_path / "keys", name).keys for name in everybody)


def test_rotated_keys_are_known_before_they_begin_and_the_old_ones_hold(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    CliRunner().invoke(main, ["keys", "init", str(folder)])
    old = load_identity(folder, "feed.jpn")
    done = CliRunner().invoke(main, ["keys", "rotate", str(folder), "--after-s", "300"])
    assert done.exit_code == 0, done.output
    trust, own, now_ns = load_trust(folder), load_identity(folder, "feed.jpn"), time.time_ns()
    (before,) = old.keys
    now, later = (own.speaks_with(trust, now_ns + s * 10**9) for s in (0, 301))
    assert now is not None
    assert later is not None
    assert now.id == before != later.id
    assert trust.keys[before].holds_at(now_ns + 3600 * 10**9)
    assert sign_key_file(folder, "feed.jpn").stat().st_mode & 0o777 == 0o600


def test_nobody_has_a_new_key_where_somebodys_cannot_be_read(tmp_path: Path) -> None:
    """All keys were to change at once, and those before the bad one had."""
    folder = tmp_path / "keys"
    CliRunner().invoke(main, ["keys", "init", str(folder)])
    before, bad = (folder / "trust.toml").read_text(), sign_key_file(folder, "receiver.usa")
    bad.unlink()
    done = CliRunner().invoke(main, ["keys", "rotate", str(folder)])
    assert done.exit_code == 2
    assert str(bad) in done.output
    assert (folder / "trust.toml").read_text() == before
    assert len(load_identity(folder, "canary").keys) == 1

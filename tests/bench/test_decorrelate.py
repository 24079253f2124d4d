"""`triwarn decorrelate`: what is wrong with the command line is told in one line, with what is allowed, before anything connects.

Nor does it go further than the release policies of both tracks. That it reaches fusion over a real broker:
`tests/integration/test_parties.py`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bench import decorrelate
from bench.audit import judge
from bench.cli import main
from bus.memory import MemoryBus, MemoryTransport
from bus.messages import AnyMessage, Decorrelation, ExerciseClock, Status, decode, encode
from bus.release import NATIONS
from bus.topics import EXERCISE_CLOCK, parse_topic, status
from bus.transport import Will
from tests.bus.audits import room_for
from tests.sensors.test_scenario import HEAD, LAUNCH

WORD = "mw/v1/feed/jpn/decorrelations/jpn-kor-usa/jpn-4-usa-7"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["jpn", "jpn/4", "usa-7"], "argument TRACK: 'usa-7' is not a track (allowed: jpn, kor, usa, then / and a track number"),
        (["jpn", "jpn/4", "usa/0"], "argument TRACK: 'usa/0' is not a track"),
        (["jpn", "jpn/4", "jpn/7"], "argument TRACK: jpn/4 and jpn/7 are not two tracks of two nations (allowed: two tracks of"),
        (
            ["jpn", "jpn/4", "usa/7", "--release", "usa"],
            "flag --release: usa leaves out jpn, which says it (allowed: one with jpn)",
        ),
        (["jpn", "jpn/4", "usa/7", "--release", "usa-jpn"], "flag --release: a release is written sorted and once each: jpn-usa"),
        (["jpn", "jpn/4", "usa/7", "--release", "fra"], "(allowed: jpn, kor, usa, sorted and joined by hyphens)"),
        (["fra", "jpn/4", "usa/7"], "'fra' is not one of 'jpn', 'kor', 'usa'"),
        (["jpn", "jpn/4"], "takes 2 values"),
        (["jpn", "jpn/4", "usa/7", "--broker", "http://x"], "broker.url"),
    ],
)
def test_a_wrong_word_is_refused_with_what_is_allowed(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(main, ["decorrelate", *arguments])
    assert done.exit_code == 2
    assert says in done.output


def announced() -> MemoryBus:
    """A bus on which the feeds of Japan and the United States have announced themselves."""
    bus = MemoryBus()
    for session, nation in enumerate(("jpn", "usa"), start=5):
        bus.retained[status("feed", nation)] = encode(Status(session=session, seq=1, role="feed", name=nation, state="ready"))
    return bus


def say(
    bus: MemoryBus,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *flags: str,
    changed: Callable[[MemoryTransport], None] = lambda _: None,
) -> Result:
    def make(client_id: str, will: Will | None) -> MemoryTransport:
        link = bus.transport(client_id, will)
        changed(link)
        return link

    monkeypatch.setattr("bench.decorrelate.link_maker", lambda *_: make)
    environment = {"TRIWARN_AUDIT__FOLDER": str(folder)}
    return CliRunner().invoke(main, ["decorrelate", "jpn", "jpn/4", "usa/7", *flags], env=environment)


def logged(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    assert judge([folder]).sound
    lines = [line for path in sorted(folder.iterdir()) for line in path.read_bytes().splitlines()]
    entries = [json.loads(line[65:]) for line in lines]
    return [(each["kind"], each["facts"]) for each in entries if each["kind"] not in ("begin", "end")]


@pytest.mark.parametrize(
    ("flags", "to", "by", "apart"),
    [
        ((), ["jpn", "kor", "usa"], "policies", True),
        (("--undo", "--release", "jpn-usa"), ["jpn", "usa"], "operator", False),
        (("--release", "jpn"), ["jpn"], "operator", True),
    ],
)
def test_an_operators_word_is_logged_with_those_it_was_released_to_and_who_decided_that(
    flags: tuple[str, ...], to: list[str], by: str, apart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = announced()
    result = say(bus, tmp_path, monkeypatch, *flags)
    assert result.exit_code == 0, result.output
    (topic,) = (topic for topic in bus.retained if "decorrelations" in topic)
    said = decode(parse_topic(topic), bus.retained[topic])
    assert isinstance(said, Decorrelation)
    facts = {"nation": "jpn", "tracks": ["jpn/4", "usa/7"], "apart": apart, "to": to, "by": by, "released_ns": said.released_ns}
    assert logged(tmp_path) == [("word", facts)]
    assert [path.name for path in tmp_path.iterdir()] == ["operator.jpn.000001.audit"]


def refuse(link: MemoryTransport) -> None:
    link.stats.dropped["refused"] = 1


def lose(link: MemoryTransport) -> None:
    """The link is lost once what is retained has come."""
    asyncio.get_running_loop().call_soon(link.cut)


@pytest.mark.parametrize(("changed", "reason"), [(refuse, "refused"), (lose, "unconfirmed")])
def test_a_word_that_the_broker_did_not_take_is_logged_as_such_behind_its_release(
    changed: Callable[[MemoryTransport], None], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = say(announced(), tmp_path, monkeypatch, changed=changed)
    assert result.exit_code == 1
    kinds = [(kind, facts.get("reason"), facts.get("topic")) for kind, facts in logged(tmp_path)]
    assert kinds == [("word", None, None), ("rejection", reason, WORD)]


def test_a_word_that_cannot_be_logged_is_not_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bus, log = announced(), tmp_path / "operator.jpn.000001.audit"
    begin = 300  # bytes, in which there is room for its beginning and for no word
    with room_for(log, begin):
        result = say(bus, tmp_path, monkeypatch)
    assert result.exit_code == 1
    assert f"nothing was said: the audit log {log} takes nothing more: No space left on device" in result.output
    assert not [topic for topic in bus.retained if "decorrelations" in topic]


def test_two_consoles_of_a_nation_log_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = announced()
    for flags in ((), ("--undo",)):
        assert say(bus, tmp_path, monkeypatch, *flags).exit_code == 0
    assert [facts["apart"] for kind, facts in logged(tmp_path) if kind == "word"] == [True, False]


def scenario(**to: list[str]) -> str:
    """A scenario whose nations release to these."""
    return HEAD + LAUNCH + "".join(f"[nations.{nation}]\nrelease_to = {others}\n" for nation, others in to.items())


class World:
    """A bus in memory, all feeds announced, an exercise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
        self.bus = MemoryBus()
        monkeypatch.setattr(decorrelate, "link_maker", lambda *_: self.bus.transport)
        monkeypatch.setattr(decorrelate, "_CLOCK_WITHIN_S", 0.0)  # what is retained is there at once
        for nation in NATIONS:
            self.stands(status("feed", nation), Status(session=7, seq=1, role="feed", name=nation, state="ready"))
        if text is not None:
            now_ns = time.time_ns()
            clock = ExerciseClock(
                session=3, seq=1, exercise="one", scenario=text, seed=1, speed=1.0, start_ns=now_ns, start_wall_ns=now_ns
            )
            self.stands(EXERCISE_CLOCK, clock)

    def stands(self, topic: str, message: AnyMessage) -> None:
        self.bus.retained[topic] = encode(message)

    def say(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["decorrelate", *arguments])

    @property
    def words(self) -> list[str]:
        """The releases of the words that the broker holds."""
        return [topic.split("/")[-2] for topic in self.bus.retained if "/decorrelations/" in topic]


@pytest.mark.parametrize(
    ("to", "tracks", "wanted", "says"),
    [
        (
            {"jpn": ["usa"]},
            "jpn/4 usa/7",
            "jpn-kor-usa",
            "flag --release: jpn-kor-usa is too wide: jpn/4 and usa/7 may not both go to kor (allowed: jpn, jpn-usa)",
        ),
        ({"usa": ["jpn"]}, "jpn/4 usa/7", "jpn-kor", "may not both go to kor (allowed: jpn, jpn-usa)"),
        ({"jpn": []}, "jpn/4 usa/7", "jpn-kor-usa", "may not both go to kor and usa (allowed: jpn)"),
        ({"jpn": [], "usa": []}, "kor/4 usa/7", "jpn-kor-usa", "may not both go to kor and usa (allowed: jpn)"),
        ({"jpn": ["usa"]}, "kor/4 usa/7", "jpn-kor-usa", "may not both go to kor (allowed: jpn, jpn-usa)"),
    ],
)
def test_a_word_goes_to_nobody_to_whom_either_track_may_not_go(
    to: dict[str, list[str]], tracks: str, wanted: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(monkeypatch, scenario(**to))
    done = world.say("jpn", *tracks.split(), "--release", wanted)
    assert done.exit_code == 2
    assert says in done.output
    assert world.words == []


def test_a_word_goes_as_far_as_both_tracks_may_and_no_further_than_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    held = scenario(jpn=["usa"])
    for wanted in ("jpn", "jpn-usa"):
        world = World(monkeypatch, held)
        assert world.say("jpn", "jpn/4", "usa/7", "--release", wanted).exit_code == 0
        assert world.words == [wanted]
    world = World(monkeypatch, held)
    assert world.say("jpn", "jpn/4", "usa/7").exit_code == 0
    assert world.words == ["jpn-usa"]
    world = World(monkeypatch, None)  # the catalogue's nations share all
    assert world.say("jpn", "jpn/4", "usa/7", "--release", "jpn-kor-usa").exit_code == 0
    assert world.words == ["jpn-kor-usa"]


def test_an_operator_may_name_whom_some_of_the_own_tracks_reach_but_not_some_of_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the own track the operator knows to whom it went; of another's nobody but its originator does."""
    some = '[[nations.{}.rule]]\nto = ["kor", "{}"]\nphases = ["coast"]\n'
    world = World(monkeypatch, HEAD + LAUNCH + some.format("jpn", "usa"))
    assert world.say("jpn", "jpn/4", "usa/7", "--release", "jpn-kor").exit_code == 0
    assert world.words == ["jpn-kor"]
    world = World(monkeypatch, HEAD + LAUNCH + some.format("usa", "jpn"))
    assert world.say("jpn", "jpn/4", "usa/7", "--release", "jpn-kor").exit_code == 2
    assert world.words == []


def test_where_the_exercises_clock_cannot_be_believed_no_policy_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, None)
    world.bus.retained[EXERCISE_CLOCK] = b"not a clock"
    done = world.say("jpn", "jpn/4", "usa/7")
    assert done.exit_code == 1
    assert "its release policies are not known" in done.output
    assert world.words == []


def test_what_a_console_rejects_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = announced()
    bus.retained[EXERCISE_CLOCK] = b"no clock"
    assert say(bus, tmp_path, monkeypatch).exit_code == 1
    assert logged(tmp_path) == [("rejection", {"reason": "malformed", "topic": EXERCISE_CLOCK, "count": 1})]

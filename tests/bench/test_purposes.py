"""No alert of the canary is ever counted as, or shown as, a real one: whatever comes, in whatever order."""

from __future__ import annotations

import re
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from bench.live import Watch
from bench.receiver import Holdings, ReceiverService
from bench.score import held_alerts
from bench.tap import as_line, as_object
from bus.memory import MemoryBus
from bus.messages import PURPOSES, AlertState, Purpose, TrackFrame, encode
from bus.metrics import Budgets, Metrics
from bus.recording import Entry as Recorded
from bus.topics import CANARY_CLOCK, EXERCISE_CLOCK, feed_tracks, picture_alert, picture_tracks
from bus.transport import Delivery
from tests.bench.worlds import two_missiles
from tests.security.parties import CLOCK, DRAWN, FRAME, PLAYED, WARNING

STATES: tuple[AlertState, ...] = ("quick", "confirmed", "updated", "closed", "retracted")


class Said(NamedTuple):
    """An alert of either purpose; both use the same ids, as the same worker numbers both."""

    purpose: Purpose
    name: str
    state: AlertState
    revision: int


SAID = st.builds(Said, st.sampled_from(PURPOSES), st.sampled_from(["a1", "a2"]), st.sampled_from(STATES), st.integers(1, 4))


def delivery(said: Said, seq: int, *, retained: bool = False) -> Delivery:
    alert = replace(WARNING, seq=seq, id=said.name, state=said.state, revision=said.revision, purpose=said.purpose)
    return Delivery(picture_alert("jpn", said.name), encode(alert), 1, retained)


@settings(deadline=None, max_examples=60)
@given(heard=st.lists(SAID, max_size=12))
def test_a_receiver_holds_and_counts_real_alerts_as_if_there_were_no_canary(heard: list[Said]) -> None:
    bus, registry, recorded = MemoryBus(), CollectorRegistry(), list[Recorded]()
    receiver = ReceiverService(bus.transport, Metrics(registry, Budgets()), "jpn", record=recorded.append)
    for link in (receiver.party.bulk, receiver.party.urgent):
        link.connect_nowait()  # type: ignore[attr-defined]
    fusion = bus.transport("fusion", None)
    fusion.connect_nowait()
    twins = {purpose: Holdings() for purpose in PURPOSES}
    taken = dict.fromkeys([(purpose, state) for purpose in PURPOSES for state in STATES], 0.0)
    for seq, said in enumerate(heard, start=1):
        topic, payload, *_ = delivery(said, seq)
        fusion.publish(topic, payload, qos=1)
        alert = replace(WARNING, seq=seq, id=said.name, state=said.state, revision=said.revision, purpose=said.purpose)
        taken[said.purpose, said.state] += twins[said.purpose].take_alert(alert)
    assert receiver.holdings.alerts == twins["exercise"].alerts
    assert {alert.purpose for alert in receiver.holdings.standing()} <= {"exercise"}
    assert receiver.held["canary"].alerts == twins["canary"].alerts
    for (purpose, state), count in taken.items():
        labels = {"recipient": "jpn", "state": state, "purpose": purpose}
        assert registry.get_sample_value("triwarn_alerts_received_total", labels) == count  # there from the start
    scored = [held.alert for held in held_alerts(two_missiles(), recorded)]
    assert {alert.purpose for alert in scored} <= {"exercise"}
    assert len(scored) == sum(count for (purpose, _), count in taken.items() if purpose == "exercise")


@settings(deadline=None, max_examples=60)
@given(heard=st.lists(st.tuples(SAID, st.booleans()), max_size=12))
def test_the_conductor_sees_what_it_would_see_without_the_canary(heard: list[tuple[Said, bool]]) -> None:
    """Nor does it wait to clear what the canary has left, which is fusion's to clear."""
    watch, twin = (Watch(set(), entries={"jpn": []}) for _ in range(2))
    told: list[str] = []
    watch.first = lambda alert: told.append(alert.purpose)
    for seq, (said, retained) in enumerate(heard, start=1):
        watch.take(delivery(said, seq, retained=retained))
        if said.purpose == "exercise":
            twin.take(delivery(said, seq, retained=retained))
        else:
            frame: TrackFrame = replace(FRAME, purpose="canary", n=0)
            watch.take(Delivery(feed_tracks("jpn", ("jpn", "kor", "usa")), encode(frame), 0))
            watch.take(Delivery(picture_tracks("jpn"), encode(replace(DRAWN, purpose="canary")), 0))
            twin.standing.discard(picture_alert("jpn", said.name))  # one topic holds one alert: the newest is the canary's
    assert set(told) <= {"exercise"}
    assert (watch.alerts, watch.reports, watch.standing) == (twin.alerts, twin.reports, twin.standing)
    assert [entry.payload for entry in watch.entries["jpn"]] == [entry.payload for entry in twin.entries["jpn"]]


@given(said=SAID)
def test_tap_shows_what_is_the_canarys_with_the_word_and_nothing_else(said: Said) -> None:
    marked = said.purpose == "canary"
    shown = {"alert": delivery(said, 1)}
    shown["frame"] = Delivery(feed_tracks("jpn", ("jpn", "kor", "usa")), encode(replace(FRAME, purpose=said.purpose)), 0)
    shown["picture"] = Delivery(picture_tracks("jpn"), encode(replace(DRAWN, purpose=said.purpose)), 0)
    shown["clock"] = Delivery(*((CANARY_CLOCK, encode(PLAYED)) if marked else (EXERCISE_CLOCK, encode(CLOCK))), 1)
    for each in shown.values():
        assert (re.search(r": CANARY ", as_line(each)) is not None) == marked
        assert (as_object(each).get("mark") == "CANARY") == marked

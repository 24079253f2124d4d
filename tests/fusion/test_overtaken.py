"""Reports that the end of their track has overtaken: what is predicted of a lost object does not depend on who came first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import pytest

from bus.columns import SystemTracks
from bus.messages import system_tracks_of
from bus.release import EVERYONE, Nation
from fusion.engine import FusionEngine, Inbound
from tests.fusion.scenes import START_NS, S, dropped, one

Message = tuple[float, Inbound]  # and when it comes, s after the launch

RECIPIENT: Final[Nation] = "kor"
UNTIL_S, DROPPED_S = 110, 95.5
REPORTS: list[Message] = [(float(t), one("kor", float(t))) for t in range(60, 96)]
DROP = Inbound(dropped("kor", [1], "lost", START_NS + int(DROPPED_S * S)), EVERYONE)
OTHER = one("kor", 94.0, track=2, east_m=4e5)  # of the feed's next session, which ends the tracks of this one
RESTART = Inbound(msgspec.structs.replace(OTHER.message, session=2, released_ns=START_NS + int(DROPPED_S * S)), EVERYONE)


def told_of_the_first(messages: Sequence[Message]) -> tuple[SystemTracks, FusionEngine]:
    """Its row of the picture as last told, after messages in the order of their coming and ticks every half second."""
    engine, held = FusionEngine(), list[SystemTracks]()
    ticks: list[tuple[float, Inbound | None]] = [(t / 2.0, None) for t in range(120, 2 * UNTIL_S)]
    for at_s, inbound in sorted([*messages, *ticks], key=lambda each: each[0]):
        now_ns = START_NS + int(at_s * S)
        engine.step([] if inbound is None else [inbound], now_ns)
        engine.catch_up(now_ns)
        for frame in engine.draw(now_ns):
            block, _ = system_tracks_of(frame)
            if frame.recipient == RECIPIENT and 1 in block.system:
                held.append(block.take(block.system == 1))
    return held[-1], engine


@pytest.mark.parametrize("end", [DROP, RESTART], ids=["drop", "new session"])
def test_a_lost_object_is_predicted_from_its_last_report_though_its_end_came_first(end: Inbound) -> None:
    in_order, _ = told_of_the_first([*REPORTS, (DROPPED_S, end)])
    overtaken, engine = told_of_the_first([*REPORTS[:-3], (DROPPED_S, end), (96.2, REPORTS[-1][1]), (96.3, REPORTS[-2][1])])
    np.testing.assert_array_equal(in_order.valid_ns, overtaken.valid_ns)
    np.testing.assert_array_equal(in_order.state, overtaken.state)
    np.testing.assert_array_equal(in_order.cov, overtaken.cov)
    assert in_order.members.tolist() == [[0, 0, 0]]
    assert engine.rejected == {"late": 1}  # the older of the two
    assert engine.alerts_by_state[RECIPIENT, "quick"] >= 1


def test_what_comes_beyond_the_lag_moves_no_prediction() -> None:
    engine = FusionEngine()
    for at_s, inbound in [*REPORTS[:-1], (DROPPED_S, DROP), (140.0, REPORTS[-1][1])]:
        engine.step([inbound], START_NS + int(at_s * S))
    assert engine.rejected == {"late": 1}
    assert engine._groups[0].picture.clusters.reports.valid_ns.max() == START_NS + 94 * S


def test_an_object_that_others_still_report_takes_nothing_from_whom_it_was_dropped() -> None:
    others = [(t + 0.1, one("jpn", float(t))) for t in range(60, UNTIL_S)]
    in_order, _ = told_of_the_first([*REPORTS, *others, (DROPPED_S, DROP)])
    overtaken, engine = told_of_the_first([*REPORTS[:-1], *others, (DROPPED_S, DROP), (96.2, REPORTS[-1][1])])
    np.testing.assert_array_equal(in_order.state, overtaken.state)
    assert engine.rejected == {"late": 1}


def test_what_was_found_again_by_another_is_no_more_predicted_from_a_straggler() -> None:
    """The kept report is gone with the prediction: a straggler of it is late, and its row may be another's by then."""
    again = [(t, one("kor", t, track=2)) for t in (96.0, 97.0, 98.0)]
    _, engine = told_of_the_first([*REPORTS[:-1], (DROPPED_S, DROP), *again, (98.5, REPORTS[-1][1])])
    clusters = engine._groups[0].picture.clusters
    assert engine.rejected == {"late": 1}
    assert not any(clusters._lost)

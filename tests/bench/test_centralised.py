"""The centralised tracker: it sees what all nations see, and does better with it than any of them."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np

from bench.centralised import all_scanners, centralised
from bench.quality import centralised_gospa_m
from bus.release import NATIONS
from sensors.feed import Release
from sensors.instruments import sensor_catalogue
from tests.bench.worlds import one_missile

S = 1_000_000_000


@cache
def frames() -> dict[int, Release]:
    """Its frames by their instant."""
    return {each.released_ns: each for each in centralised(one_missile()) if each.kind == "frame"}


def test_it_has_every_sensor_of_every_nation_once() -> None:
    names = [name for nation in NATIONS for name in one_missile().scenario.nations[nation].sensors]
    bits = Counter(scanner.sensor.bit for scanner in all_scanners(one_missile()))
    assert bits == Counter(sensor_catalogue()[name].bit for name in names)
    assert max(bits.values()) == 1
    assert len(bits) > 10


def test_its_tracks_are_made_of_sensors_of_several_nations() -> None:
    of_nation = dict.fromkeys(NATIONS, 0)
    for sensor in sensor_catalogue().values():
        of_nation[sensor.nation] |= 1 << sensor.bit
    last = list(frames().values())[-1].reports
    assert last is not None
    assert sum(bool(int(last.pedigree[0]) & bits) for bits in of_nation.values()) >= 2


def test_it_tells_of_its_tracks_every_whole_second_and_of_their_end() -> None:
    assert all((at_ns - one_missile().truth.start_ns) % S == 0 for at_ns in frames())
    last_ns = max(frames())
    assert list(frames()) == list(range(min(frames()), last_ns + 1, S))
    dropped = [each for each in centralised(one_missile()) if each.kind == "dropped"]
    named = {track for each in frames().values() if each.reports is not None for track in each.reports.track.tolist()}
    assert {track for each in dropped for track in each.tracks} == named
    assert max(each.released_ns for each in dropped) == last_ns + S


def errors(frame: Release) -> list[float]:
    """Squared errors of position, m2, of a frame's tracks that follow the one missile, while it flies."""
    assert frame.reports is not None
    at_ns, follows = int(frame.reports.valid_ns[0]), [known.follows for known in frame.known]
    true = one_missile().truth.states_at(at_ns)[0, :3]
    rows = [i for i, index in enumerate(follows) if index == 0]
    return [float(((frame.reports.state[i, :3] - true) ** 2).sum()) for i in rows if np.isfinite(true).all()]


def test_it_is_at_least_as_accurate_as_the_best_nation() -> None:
    """Position RMS at the whole seconds at which both have a track of the missile."""
    best, compared = {at_ns: errors(frame) for at_ns, frame in frames().items()}, 0
    for nation in NATIONS:
        own = [(each.released_ns, each) for each in one_missile().releases[nation] if each.kind == "frame"]
        delay_ns = round(one_missile().scenario.nations[nation].release_delay_s * S)
        pairs = [
            (min(best[at_ns - delay_ns]), min(errors(frame)))
            for at_ns, frame in own
            if errors(frame) and best.get(at_ns - delay_ns)
        ]
        central, national = np.sqrt(np.mean(pairs, axis=0))
        compared += len(pairs)
        assert central <= national, nation
    assert compared > 500


def test_its_gospa_has_a_value_for_every_second_in_flight() -> None:
    found = centralised_gospa_m(one_missile())
    launch, first_ns = one_missile().truth.launches[0], one_missile().detected_ns()[0]
    assert first_ns is not None
    assert (launch.impact_ns - first_ns) // S <= len(found)
    assert np.median(found) < 200.0  # it is seen by radars of all three for most of its way

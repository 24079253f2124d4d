"""The centralised tracker: it sees what all nations see, and does better with it than any of them."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np

from bench.centralised import Centralised, all_scanners, centralised, centralised_gospa_m
from bus.columns import Reports
from bus.release import NATIONS
from sensors.instruments import sensor_catalogue
from tests.bench.worlds import one_missile

S = 1_000_000_000


@cache
def seconds() -> list[Centralised]:
    return list(centralised(one_missile()))


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
    last = [each.reports for each in seconds() if each.reports is not None][-1]
    assert sum(bool(int(last.pedigree[0]) & bits) for bits in of_nation.values()) >= 2


def test_it_tells_of_every_whole_second() -> None:
    truth = one_missile().truth
    assert [each.at_ns for each in seconds()] == list(range(truth.start_ns + S, truth.end_ns + 1, S))


def errors(reports: Reports, follows: list[int], at_ns: int) -> list[float]:
    """Squared errors of position, m2, of the one launch's tracks that fly."""
    true = one_missile().truth.states_at(at_ns)[0, :3]
    rows = [i for i, index in enumerate(follows) if index == 0]
    return [float(((reports.state[i, :3] - true) ** 2).sum()) for i in rows if np.isfinite(true).all()]


def test_it_is_at_least_as_accurate_as_the_best_nation() -> None:
    """Position RMS at the whole seconds at which both have a track of the missile."""
    best = {each.at_ns: errors(each.reports, each.follows, each.at_ns) for each in seconds() if each.reports is not None}
    compared = 0
    for nation in NATIONS:
        pairs = [
            (min(best[at_ns]), min(own))
            for release in one_missile().releases[nation]
            if release.kind == "frame" and release.reports is not None
            for at_ns in [int(release.reports.valid_ns[0])]
            for own in [errors(release.reports, [known.follows for known in release.known], at_ns)]
            if own and best.get(at_ns)
        ]
        central, national = np.sqrt(np.mean(pairs, axis=0))
        compared += len(pairs)
        assert central <= national, nation
    assert compared > 500


def test_its_gospa_has_a_value_for_every_second_in_flight() -> None:
    found = centralised_gospa_m(one_missile(), 10_000.0)
    launch = one_missile().truth.launches[0]
    first_ns = one_missile().detected_ns()[0]
    assert first_ns is not None
    assert (launch.impact_ns - first_ns) // S <= len(found) <= len(seconds())
    assert np.median(found) < 200.0  # it is seen by radars of all three for most of its way

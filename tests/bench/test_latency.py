from __future__ import annotations

from bench.latency import SOURCE, SOURCE_BIT, launch_report
from bus.release import NATIONS
from fusion.lineage import foreign_bits, own_bits
from fusion.settings import Sensors


def test_a_measured_launch_is_told_by_a_sensor_of_its_own_nation() -> None:
    (pedigree,) = launch_report(1, 0).pedigree.tolist()
    assert pedigree == 1 << SOURCE_BIT
    column = NATIONS.index(SOURCE)
    assert pedigree & int(own_bits(Sensors())[column])
    assert not pedigree & int(foreign_bits(Sensors())[column])

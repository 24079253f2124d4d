"""Brokers and a short scenario for exercises over real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.broker import EmbeddedBroker
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO, MosquittoBroker

# Six missiles, cut off a minute after the last burnout: long enough for quick and confirmed alerts at everybody.
SHORT = """\
name = "short"
title = "Six missiles, the first minutes"
start = 2024-05-30T06:13:50+09:00
duration_s = 110.0

[[launch]]
type = "KN-25"
site = "Sunan"
at_s = 2.0
apogee_km = 100.0
range_km = 350.0
count = 6
interval_s = 5.0
spacing_m = 400.0
azimuth_spread_deg = 6.0
"""


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "short.toml"
    path.write_text(SHORT, encoding="utf-8")
    return path


@pytest.fixture(params=["embedded", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def broker(request: pytest.FixtureRequest) -> Iterator[EmbeddedBroker | MosquittoBroker]:
    if request.param == "mosquitto" and MOSQUITTO is None:
        pytest.skip(NO_MOSQUITTO)
    with MosquittoBroker() if request.param == "mosquitto" else EmbeddedBroker() as running:
        yield running


@pytest.fixture
def mosquitto() -> Iterator[MosquittoBroker]:
    if MOSQUITTO is None:
        pytest.skip(NO_MOSQUITTO)
    with MosquittoBroker() as running:
        yield running

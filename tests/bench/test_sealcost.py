"""What seals cost is measured on messages that are sealed, opened and counted as on the bus."""

from __future__ import annotations

from pathlib import Path

from bench.busrun import Case, run_once
from bench.sealcost import PRINCIPALS, step_times
from bus.broker import EmbeddedBroker
from bus.identity import write_identities


def test_every_step_of_a_frame_and_of_an_alert_is_timed(tmp_path: Path) -> None:
    write_identities(tmp_path, PRINCIPALS)
    steps, plain, sealed = step_times(tmp_path, rounds=3)
    for what in ("frame", "alert"):
        assert all(steps[f"{step} {what}"] > 0.0 for step in ("encode", "seal", "open", "decode"))
    assert sealed - plain == 47 + 24 * 5  # three receivers, the worker and the conductor


def test_sealed_frames_come_through_a_broker_without_a_loss(tmp_path: Path) -> None:
    write_identities(tmp_path, PRINCIPALS)
    case = Case(adapter="mqtt", qos=0, payload="frame", measured="decoded", seconds=0.3, numbered=True, keys=str(tmp_path))
    with EmbeddedBroker() as broker:
        rate, lost = run_once(broker.url, case)
    assert lost == 0
    assert rate > 10.0

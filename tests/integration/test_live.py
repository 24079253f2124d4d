"""Exercises over real brokers and processes: the command as a user runs it, and what happens when things break."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from bus.broker import EmbeddedBroker, free_port
from bus.messages import ExerciseClock, encode
from bus.mosquitto import MosquittoBroker
from bus.mqtt import MqttTransport
from bus.release import NATIONS
from bus.topics import EXERCISE_CLOCK, picture_alerts
from tests.integration.children import alive, children_of, eventually, everyone_was_warned, finished, page, triwarn
from tests.integration.conftest import SHORT

pytestmark = pytest.mark.timeout(240)

Broker = EmbeddedBroker | MosquittoBroker


def test_an_exercise_over_a_real_broker_warns_everyone_without_a_gap(broker: Broker, short: Path) -> None:
    with triwarn("run", str(short), "--speed", "10", "--broker", broker.url, "--json") as process:
        code, out, err = finished(process)
    assert code == 0, err
    result = json.loads(out)
    assert len(result["launches"]) == 6
    assert everyone_was_warned(result)
    assert (result["alerts"]["false"], result["alerts"]["missed"]) == (0, 0)
    assert result["bus"]["gaps"] == 0
    for launch in result["launches"]:
        for warned in launch["recipients"].values():
            assert warned["warned_after_s"] == pytest.approx(warned["physics_s"] + warned["machine_ms"] / 1e3, abs=2e-4)
            assert 0.0 < warned["machine_ms"] < 5000.0


def test_the_embedded_broker_is_started_where_none_is_given(short: Path, tmp_path: Path) -> None:
    report, logs = tmp_path / "report", tmp_path / "logs"
    with triwarn("run", str(short), "--speed", "20", "--report", str(report), "--audit", str(logs)) as process:
        code, out, err = finished(process)
    assert code == 0, err
    assert "Warning time by launch and recipient" in out
    written = json.loads((tmp_path / "report" / "result.json").read_text())
    assert written["broker"] == "embedded"
    assert "## Timeline" in (tmp_path / "report" / "report.md").read_text()
    assert len((tmp_path / "report" / "result.csv").read_text().splitlines()) == 1 + 6 * 3
    assert len(written["audit"]) == 8
    assert "conductor.000001.audit" in {each["log"] for each in written["audit"]}
    with triwarn("audit", "verify", str(logs), "--result", str(report / "result.json")) as process:
        code, out, err = finished(process)
    assert (code, out.splitlines()[-1]) == (0, "sound"), out + err


def test_every_launch_is_alerted_though_the_broker_is_killed_in_mid_salvo(mosquitto: MosquittoBroker, short: Path) -> None:
    with triwarn("run", str(short), "--speed", "5", "--broker", mosquitto.url, "--json", "--seed", "2") as process:
        said: list[str] = []
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if "first alert at" in line:
                break
        mosquitto.kill()
        time.sleep(1.0)
        mosquitto.start()
        code, out, err = finished(process)
    assert code == 0, "".join(said) + err
    result = json.loads(out)
    assert result["alerts"]["missed"] == 0
    assert everyone_was_warned(result)


def test_ctrl_c_stops_every_process_and_still_writes_the_report(short: Path, tmp_path: Path) -> None:
    with triwarn("run", str(short), "--speed", "2", "--report", str(tmp_path / "report")) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "first alert at" in line:
                break
        mine = children_of(process.pid)
        assert len(mine) >= 7
        process.send_signal(signal.SIGINT)
        code, out, err = finished(process, within_s=60.0)
    assert code == 130, err
    assert "stopped early" in " ".join(out.split())
    result = json.loads((tmp_path / "report" / "result.json").read_text())
    assert result["complete"] is False
    assert any(warned["warned_after_s"] for launch in result["launches"] for warned in launch["recipients"].values())
    eventually(lambda: not any(alive(pid) for pid in mine), "the end of every child", 10.0)


def test_ctrl_c_on_the_simulated_clock_still_writes_the_report(tmp_path: Path) -> None:
    with triwarn("run", "lofted-2022-11-18", "--speed", "max", "--report", str(tmp_path / "report")) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "fusing on a simulated clock" in line:
                break
        process.send_signal(signal.SIGINT)
        code, out, err = finished(process, within_s=60.0)
    assert code == 130, err
    assert "stopped early" in " ".join(out.split())
    result = json.loads((tmp_path / "report" / "result.json").read_text())
    assert result["complete"] is False
    assert result["scenario_s"] < 4000.0


def test_an_exercise_over_mqtt_3_1_1_warns_everyone(mosquitto: MosquittoBroker, short: Path) -> None:
    environment = {**os.environ, "TRIWARN_BROKER__ADAPTER": "aiomqtt-3.1.1"}
    with triwarn("run", str(short), "--speed", "20", "--broker", mosquitto.url, "--json", env=environment) as process:
        code, out, err = finished(process)
    assert code == 0, err
    assert everyone_was_warned(json.loads(out))


@pytest.mark.parametrize("moment", ["compiling kernels", "waiting for every process", "scoring against truth"])
def test_ctrl_c_at_any_moment_ends_without_a_traceback(moment: str, short: Path, tmp_path: Path) -> None:
    with triwarn("run", str(short), "--speed", "100", "--report", str(tmp_path / "report"), "--json") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if moment in line:
                break
        process.send_signal(signal.SIGINT)
        code, out, err = finished(process, within_s=60.0)
    assert "Traceback" not in err
    assert code == (0 if "scoring" in moment else 130), err
    if "compiling" not in moment:
        assert json.loads(out)["complete"] is ("scoring" in moment)
        assert (tmp_path / "report" / "report.md").exists()


def test_a_process_that_dies_is_named_and_the_exercise_is_not_complete(mosquitto: MosquittoBroker, short: Path) -> None:
    with triwarn("run", str(short), "--speed", "10", "--broker", mosquitto.url, "--json") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "first alert at" in line:
                break
        for pid in children_of(process.pid):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"fuse" in command:
                os.kill(pid, signal.SIGKILL)
        code, out, err = finished(process)
    assert code == 0, err
    assert "fusion fusion-1 ended with code -9" in err
    result = json.loads(out)
    assert (result["complete"], result["lost"]) == (False, ["fusion fusion-1"])
    assert asyncio.run(retained_alerts(mosquitto.url)) == []


async def retained_alerts(url: str) -> list[str]:
    """The topics of the alerts that the broker keeps."""
    kept: list[str] = []
    link = MqttTransport(url, client_id="late")
    for nation in NATIONS:
        link.subscribe(picture_alerts(nation), lambda delivery: kept.append(delivery.topic), qos=1)
    await link.start()
    link.publish("test/after", b"", qos=1)  # what was retained has been sent by the time that this is acknowledged
    await link.flush()
    await link.stop()
    return kept


def test_a_report_that_cannot_be_written_is_told_before_anything_runs(short: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with triwarn("run", str(short), "--speed", "max", "--report", str(tmp_path / "file" / "sub")) as process:
        code, out, err = finished(process, within_s=60.0)
    assert (code, out) == (2, "")
    assert "flag --report" in err
    assert len(err.strip().splitlines()) == 1


def test_what_a_user_keeps_beside_a_report_stays(short: Path, tmp_path: Path) -> None:
    keep = tmp_path / "report" / "recordings" / "mine.txt"
    keep.parent.mkdir(parents=True)
    keep.write_text("mine")
    with triwarn("run", str(short), "--speed", "100", "--report", str(tmp_path / "report")) as process:
        code, _, err = finished(process)
    assert code == 0, err
    assert keep.read_text() == "mine"


async def test_an_exercise_that_cannot_be_computed_ends_no_feed(mosquitto: MosquittoBroker) -> None:
    """One malformed scenario in the exercise clock ended all three feeds."""
    port = free_port()
    link = MqttTransport(mosquitto.url, client_id="rubbish")
    await link.start()
    with triwarn("feed", "jpn", "--broker", mosquitto.url, "--endpoint-port", str(port)) as process:
        eventually(lambda: page(port, "/ready")[0] == 200, "readiness")
        for seq, text in enumerate(("name = [", SHORT.replace("range_km = 350.0", "range_km = 3500.0")), start=1):
            clock = ExerciseClock(
                session=1, seq=seq, exercise=f"bad-{seq}", scenario=text, seed=1, speed=1.0, start_ns=1, start_wall_ns=1
            )
            link.publish(EXERCISE_CLOCK, encode(clock), qos=1)
            assert await link.flush()
            counted = f'triwarn_rejected_total{{reason="scenario"}} {seq}.0'
            eventually(lambda counted=counted: counted in page(port, "/metrics")[1], "the rejection")  # type: ignore[misc]
        assert page(port, "/ready")[0] == 200
        process.send_signal(signal.SIGTERM)
        code, _, err = finished(process, within_s=30.0)
    assert code == 0, err
    assert "Traceback" not in err
    await link.stop()


def test_children_end_with_a_conductor_that_is_killed(short: Path) -> None:
    with triwarn("run", str(short), "--speed", "2") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "first alert at" in line:
                break
        mine = children_of(process.pid)
        assert len(mine) >= 7
        process.kill()
        eventually(lambda: not any(alive(pid) for pid in mine), "the end of every child", 20.0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "no-such"], "no-such: no such scenario or file"),
        (["run", "--speed", "0"], "flag --speed: speed: '0' is not a speed"),
        (["run", "--broker", "http://x"], "broker.url"),
        (["run", "--settings", "/nowhere.toml"], "/nowhere.toml: cannot be read"),
        (["feed", "jpn", "--scenario", "no-such"], "no-such: no such scenario or file"),
    ],
)
def test_bad_input_is_told_in_one_line_and_nothing_starts(arguments: list[str], says: str) -> None:
    with triwarn(*arguments) as process:
        code, out, err = finished(process, within_s=60.0)
    assert code == 2
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""


def test_an_unreachable_broker_is_named(short: Path) -> None:
    with triwarn("run", str(short), "--broker", f"mqtt://127.0.0.1:{free_port()}") as process:
        code, _, err = finished(process, within_s=60.0)
    assert code == 1
    assert "no broker at 127.0.0.1:" in err

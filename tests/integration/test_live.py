"""Exercises over real brokers and processes: the command as a user runs it, and what happens when things break."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bus.broker import EmbeddedBroker, free_port
from bus.link import LinkSettings
from bus.messages import Alert, ExerciseClock, PictureFrame, Status, decode, encode, system_tracks_of
from bus.mosquitto import MosquittoBroker
from bus.mqtt import MqttTransport
from bus.release import NATIONS
from bus.topics import EXERCISE_CLOCK, feed_tracks, parse_topic, picture_alerts, picture_tracks, status
from bus.transport import Delivery
from physics.propagate import propagate_one
from tests.fusion.scenes import JPN, KOR, flight, frame_of, report_block
from tests.integration.conftest import SHORT

pytestmark = pytest.mark.timeout(240)

Broker = EmbeddedBroker | MosquittoBroker


@contextmanager
def triwarn(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The command line as a child, killed at the end whatever happens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finished(process: subprocess.Popen[str], within_s: float = 240.0) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=within_s)
    return process.returncode, out, err


def eventually(done: Callable[[], bool], what: str, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        time.sleep(0.02)


def everyone_was_warned(result: dict[str, Any]) -> bool:
    return all(
        warned["confirmed_after_s"] is not None for launch in result["launches"] for warned in launch["recipients"].values()
    )


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


def children_of(parent: int) -> list[int]:
    """The process ids below `parent`, at any depth."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    pairs = list(zip(map(int, listed[::2]), map(int, listed[1::2]), strict=True))
    below, known = [], {parent}
    for pid, above in sorted(pairs):
        if above in known:
            known.add(pid)
            below.append(pid)
    return below


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state) and not state.startswith("Z")


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


def sample(name: str, exported: str) -> float:
    return float(next(line.split()[-1] for line in exported.splitlines() if line.startswith(f"{name} ")))


def page(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5.0) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except OSError:
        return 0, ""


async def test_a_fusion_worker_alone_is_ready_drops_rubbish_and_ends_cleanly(broker: Broker) -> None:
    port = free_port()
    states: list[bytes] = []
    link = MqttTransport(broker.url, client_id="rubbish", settings=LinkSettings())
    link.subscribe(status("fusion", "fusion-1"), lambda delivery: states.append(delivery.payload), qos=1)
    await link.start()
    with triwarn("fuse", "--broker", broker.url, "--endpoint-port", str(port)) as process:
        eventually(lambda: page(port, "/ready")[0] == 200, "readiness")
        for payload in (b"", b"\x00", b"\xff" * 1000, b"{}", os.urandom(300_000)):
            link.publish(feed_tracks("jpn", NATIONS), payload, qos=1)
        assert await link.flush()
        eventually(lambda: 'triwarn_rejected_total{reason="malformed"} 3.0' in page(port, "/metrics")[1], "three rejections")
        assert 'triwarn_rejected_total{reason="oversized"} 1.0' in page(port, "/metrics")[1]
        process.send_signal(signal.SIGTERM)
        code, _, err = finished(process, within_s=30.0)
    assert code == 0, err
    assert "Traceback" not in err
    assert await link.flush()
    await link.stop()
    assert b"offline" in states[-1]


@dataclass
class Reporters:
    """Two feeds that see one missile, and what Korea is told: by system track its members (jpn, kor)."""

    link: MqttTransport
    held: dict[int, tuple[int, ...]] = field(default_factory=dict)
    begun_ns: int = field(default_factory=time.time_ns)
    seq: int = 0

    def take(self, delivery: Delivery) -> None:
        frame = decode(parse_topic(delivery.topic), delivery.payload)
        assert isinstance(frame, PictureFrame)
        block, _ = system_tracks_of(frame)
        self.held.update(zip(block.system.tolist(), map(tuple, block.members[:, :2].tolist()), strict=True))
        for number in frame.dropped:
            self.held.pop(number, None)

    def announce(self) -> None:
        for nation, (session, _) in FEEDS.items():
            birth = Status(session=session, seq=1, role="feed", name=nation, state="ready")
            self.link.publish(status("feed", nation), encode(birth), qos=1, retain=True)

    async def report_until(self, done: Callable[[], bool]) -> None:
        """A report of each feed every tenth of a second, of a missile in free flight 80 s after its launch."""
        async with asyncio.timeout(200.0):
            while not done():
                now_ns, self.seq = time.time_ns(), self.seq + 1
                state = propagate_one(flight(90)[4 * 80], (now_ns - self.begun_ns) / 1e9)
                for session, eye in FEEDS.values():
                    sigma = np.repeat([eye.sigma_m, eye.sigma_m_s], 3)
                    block = report_block(np.array([1]), now_ns, state[None, :], sigma, np.array([False]), eye)
                    frame = msgspec.structs.replace(frame_of(block, eye.nation, now_ns, session), seq=self.seq, sent_ns=now_ns)
                    self.link.publish(feed_tracks(eye.nation, NATIONS), encode(frame))
                await asyncio.sleep(0.1)


FEEDS = {"jpn": (5, JPN), "kor": (6, KOR)}
ONE, TWO = [(1, 1)], [(0, 1), (1, 0)]


async def test_an_operator_parts_two_tracks_over_a_real_broker_and_takes_it_back(broker: Broker) -> None:
    link = MqttTransport(broker.url, client_id="world")
    world = Reporters(link)
    link.subscribe(picture_tracks("kor"), world.take)
    await link.start()
    world.announce()

    def say(*arguments: str) -> tuple[int, str, str]:
        with triwarn("decorrelate", "kor", *arguments, "--broker", broker.url) as process:
            return finished(process, within_s=60.0)

    with triwarn("fuse", "--broker", broker.url) as fusion:
        ready = asyncio.Event()
        link.subscribe(status("fusion", "fusion-1"), lambda told: ready.set() if b"ready" in told.payload else None, qos=1)
        await asyncio.wait_for(ready.wait(), 200.0)
        await world.report_until(lambda: sorted(world.held.values()) == ONE)
        code, _, err = await asyncio.to_thread(say, "kor/1", "jpn/1")
        assert (code, err.splitlines()[-1]) == (0, "kor to jpn-kor-usa: kor/1 and jpn/1 are not one object")
        await world.report_until(lambda: sorted(world.held.values()) == TWO)
        looks = time.monotonic() + 6.0  # six looks for pairs: joined again by the third, were it not for the word
        await world.report_until(lambda: sorted(world.held.values()) != TWO or time.monotonic() > looks)
        assert sorted(world.held.values()) == TWO
        code, _, err = await asyncio.to_thread(say, "jpn/1", "kor/1", "--undo", "--release", "jpn-kor")
        assert (code, err.splitlines()[-1]) == (0, "kor to jpn-kor: jpn/1 and kor/1 may be one object again")
        await world.report_until(lambda: sorted(world.held.values()) == ONE)
        code, _, err = await asyncio.to_thread(say, "kor/1", "usa/1")
        assert (code, "no feed of usa has announced itself" in err) == (1, True)
        fusion.send_signal(signal.SIGTERM)
        code, _, err = await asyncio.to_thread(finished, fusion, 30.0)
    assert code == 0, err
    assert "Traceback" not in err
    await link.stop()


async def test_an_operators_word_outlives_the_worker_that_heard_it_and_the_console_that_said_it(broker: Broker) -> None:
    link = MqttTransport(broker.url, client_id="world")
    world = Reporters(link)
    link.subscribe(picture_tracks("kor"), world.take)
    await link.start()
    world.announce()
    with triwarn("fuse", "--broker", broker.url) as first:
        await world.report_until(lambda: sorted(world.held.values()) == ONE)
        with triwarn("decorrelate", "kor", "kor/1", "jpn/1", "--broker", broker.url) as console:
            code, _, err = await asyncio.to_thread(finished, console, 60.0)
        assert code == 0, err
        await world.report_until(lambda: sorted(world.held.values()) == TWO)
        first.kill()
        await asyncio.to_thread(first.wait)
    world.held.clear()
    with triwarn("fuse", "--broker", broker.url):
        await world.report_until(lambda: sorted(world.held.values()) == TWO)
        looks = time.monotonic() + 6.0  # as above
        await world.report_until(lambda: sorted(world.held.values()) != TWO or time.monotonic() > looks)
        assert sorted(world.held.values()) == TWO
    await link.stop()


def test_a_single_process_waits_for_its_broker() -> None:
    endpoint = free_port()
    with EmbeddedBroker() as broker:
        port = broker.port
    with triwarn("receive", "kor", "--broker", f"mqtt://127.0.0.1:{port}", "--endpoint-port", str(endpoint)) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "no broker at 127.0.0.1" in line:
                break
        assert page(endpoint, "/live")[0] == 200
        assert page(endpoint, "/ready")[0] == 503
        with broker:
            eventually(lambda: page(endpoint, "/ready")[0] == 200, "readiness")
            process.send_signal(signal.SIGTERM)
            code, _, err = finished(process, within_s=30.0)
    assert code == 0, err


def test_a_single_process_waits_no_longer_than_it_is_told() -> None:
    address = f"127.0.0.1:{free_port()}"
    with triwarn(
        "receive", "kor", "--broker", f"mqtt://{address}", env={**os.environ, "TRIWARN_BROKER__WAIT_S": "0.2"}
    ) as process:
        code, _, err = finished(process, within_s=60.0)
    assert code == 1
    assert err.strip().splitlines()[-1] == f"triwarn: no broker at {address} in 0.2 s: Connection refused"


async def test_single_processes_take_part_in_an_exercise_that_attaches(mosquitto: MosquittoBroker, short: Path) -> None:
    """And the canary makes way for it: whatever it has begun is in no figure of the exercise."""
    canaries: list[str] = []
    warned_of_canary = asyncio.Event()

    def hear(delivery: Delivery) -> None:
        message = decode(parse_topic(delivery.topic), delivery.payload) if delivery.payload else None
        if isinstance(message, Alert) and message.purpose == "canary":
            canaries.append(message.id)
            warned_of_canary.set()

    link = MqttTransport(mosquitto.url, client_id="watch")
    link.subscribe(picture_alerts("kor"), hear, qos=1)
    await link.start()
    endpoint, told = free_port(), free_port()
    commands: list[tuple[str, ...]] = [("feed", nation) for nation in NATIONS]
    commands += [("fuse",), ("receive", "jpn"), ("receive", "usa")]
    commands.append(("receive", "kor", "--endpoint-port", str(endpoint)))
    commands.append(("canary", "--scenario", "overflight", "--speed", "20", "--endpoint-port", str(told)))  # a long one
    processes = [triwarn(*command, "--broker", mosquitto.url) for command in commands]
    running = [each.__enter__() for each in processes]
    try:
        async with asyncio.timeout(180.0):
            await warned_of_canary.wait()
        with triwarn("run", str(short), "--attach", "--broker", mosquitto.url, "--speed", "10", "--json") as conductor:
            code, out, err = finished(conductor)
        assert code == 0, err
        result = json.loads(out)
        assert everyone_was_warned(result)
        assert (result["alerts"]["false"], result["alerts"]["missed"]) == (0, 0)
        assert result["bus"]["gaps"] is None
        assert canaries[0] not in err
        warned = [launch["recipients"]["kor"]["warned_after_s"] for launch in result["launches"]]
        shown = page(told, "/metrics")[1]
        assert 'triwarn_canary_rounds_total{outcome="missed",recipient="kor"} 0.0' in shown
        assert 'triwarn_canary_rounds_total{outcome="warned",recipient="kor"} 0.0' in shown  # it was not played to its end
        exported = page(endpoint, "/metrics")[1]
        assert 'triwarn_alerts_received_total{purpose="canary",recipient="kor",state="quick"} 1.0' in exported
        assert 'triwarn_warning_time_seconds_count{purpose="exercise",recipient="kor"} 6.0' in exported
        assert 'triwarn_missed_launches_total{purpose="exercise",recipient="kor"} 0.0' in exported
        assert "triwarn_exercise_running 0.0" in exported
        assert sample("process_resident_memory_bytes", exported) > 10e6
        assert -1.0 < sample('triwarn_clock_skew_seconds{party="fusion"}', exported) < 0.0
        summed = sample('triwarn_warning_time_seconds_sum{purpose="exercise",recipient="kor"}', exported)
        # A track of two missiles' detections speaks of a launch to the receiver, and to the scorer of none.
        assert summed == pytest.approx(sum(warned), rel=0.1)
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for each in processes:
            each.__exit__(None, None, None)
    await link.stop()

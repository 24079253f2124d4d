"""The canary over real processes and brokers: through everything that breaks, and wherever the brokers stand."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from bench.keys import make_folder
from bench.topology import Network, Topology, network, opened
from bus.broker import free_port
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO, MosquittoBroker
from bus.release import NATIONS
from bus.security import principals
from sensors.scenario import load_scenario, possible_releases
from tests.integration.children import eventually, everyone_was_warned, finished, page, sample, triwarn

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.long,
    pytest.mark.mosquitto,
    pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO),
]

Processes = dict[str, subprocess.Popen[str]]


@contextlib.contextmanager
def parties(net: Network, urls: Mapping[str, str], keys: Path | None) -> Iterator[Processes]:
    """Feeds, receivers and workers where the network has them, and what else the caller starts among them."""
    secured = {} if keys is None else {"TRIWARN_SECURITY__FOLDER": str(keys)}
    commands: dict[str, tuple[tuple[str, ...], str, dict[str, str]]] = {}
    for role, nation in itertools.product(("feed", "receive"), NATIONS):
        commands[f"{role} {nation}"] = (role, nation), urls[net.spoke[nation]], {}
    for worker in net.workers:
        own = {"TRIWARN_WORKER__NAME": f'"{worker.name}"', "TRIWARN_WORKER__RECIPIENTS": str(list(worker.recipients))}
        commands[f"fuse {worker.name}"] = ("fuse",), urls[worker.broker], own
    with contextlib.ExitStack() as stack:
        running: Processes = {}
        for name, (command, url, own) in commands.items():
            environment = {**os.environ, **secured, **own}
            running[name] = stack.enter_context(triwarn(*command, "--broker", url, env=environment))
        yield running
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        for name, process in running.items():
            code, _, err = finished(process, within_s=30.0)
            assert code in (0, -signal.SIGKILL), (name, err)


@contextlib.contextmanager
def canary(url: str, *arguments: str, keys: Path | None = None) -> Iterator[Callable[[str], float]]:
    """A hasty canary; what it counts, by outcome, summed over the recipients. At the end it ends cleanly."""
    port = free_port()
    environment = {**os.environ, **({} if keys is None else {"TRIWARN_SECURITY__FOLDER": str(keys)})}
    command = ("canary", "--broker", url, "--every", "1", "--speed", "20", "--endpoint-port", str(port), *arguments)

    def counted(outcome: str) -> float:
        exported = page(port, "/metrics")[1]
        if outcome not in exported:
            return 0.0
        if outcome == "triwarn_canary_missed":
            return sum(sample(f'{outcome}{{recipient="{nation}"}}', exported) for nation in NATIONS)
        labels = (f'outcome="{outcome}",recipient="{nation}"' for nation in NATIONS)
        return sum(sample(f"triwarn_canary_rounds_total{{{each}}}", exported) for each in labels)

    with triwarn(*command, env=environment) as process:
        yield counted
        process.send_signal(signal.SIGTERM)
        code, _, err = finished(process, within_s=30.0)
    assert code == 0, err
    assert "Traceback" not in err


def test_the_canary_outlives_broker_and_fusion_and_an_exercise(short: Path) -> None:
    net = network("single", "fusion-1")
    with MosquittoBroker() as broker, parties(net, {"broker": broker.url}, None) as running, canary(broker.url) as counted:
        eventually(lambda: counted("warned") >= 3, "the first round", 120.0)
        broker.kill()
        broker.start()
        rounds = counted("warned") + counted("missed")
        eventually(lambda: counted("warned") + counted("missed") >= rounds + 3, "a round after the broker came back", 60.0)
        warned = counted("warned")
        eventually(lambda: counted("warned") >= warned + 3, "a round that is well", 60.0)
        assert counted("triwarn_canary_missed") == 0.0

        running["fuse fusion-1"].kill()
        missed = counted("missed")
        eventually(lambda: counted("missed") >= missed + 3, "a missed round", 60.0)
        assert counted("triwarn_canary_missed") == 3.0
        with triwarn("fuse", "--broker", broker.url) as again:
            eventually(lambda: counted("triwarn_canary_missed") == 0.0, "a round that is well", 90.0)
            with triwarn("run", str(short), "--attach", "--broker", broker.url, "--speed", "20", "--json") as conductor:
                code, out, err = finished(conductor)
            assert code == 0, err
            result = json.loads(out)
            assert everyone_was_warned(result)
            assert (result["alerts"]["false"], result["alerts"]["missed"], len(result["launches"])) == (0, 0, 6)
            warned = counted("warned")
            eventually(lambda: counted("warned") >= warned + 3, "a round after the exercise", 60.0)
            again.send_signal(signal.SIGTERM)
            assert finished(again, within_s=30.0)[0] == 0


@pytest.mark.parametrize("topology", ["hub", "mesh"])
def test_the_canary_is_heard_wherever_brokers_stand(topology: Topology, tmp_path: Path) -> None:
    """Sealed and over TLS, by the access list and the bridges that an exercise has."""
    net, keys = network(topology, "fusion-1"), tmp_path / "keys"
    make_folder(keys, principals([worker.name for worker in net.workers]))
    with opened(net, possible_releases(load_scenario("canary")), keys) as urls, parties(net, urls, keys):
        first, *others = net.watched
        also = [part for broker in others for part in ("--also", urls[broker])]
        with canary(urls[first], *also, keys=keys) as counted:
            eventually(lambda: counted("warned") + counted("missed") >= 3.0, "the first round", 150.0)
            assert counted("missed") == 0.0

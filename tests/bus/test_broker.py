from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from bus.broker import EmbeddedBroker, free_port, wait_for_port
from bus.errors import Unreachable
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO, MosquittoBroker


def listens(port: int) -> bool:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        wait_for_port(port, process, "it", within_s=0.2)
    except Unreachable:
        return False
    finally:
        process.kill()
        process.wait()
    return True


def test_it_listens_and_is_gone_afterwards() -> None:
    with EmbeddedBroker() as broker:
        assert broker.running
        assert listens(broker.port)
        port = broker.port
    assert not listens(port)
    broker.stop()


def test_it_comes_back_on_the_same_port_after_a_kill() -> None:
    with EmbeddedBroker() as broker:
        port = broker.port
        broker.kill()
        assert not broker.running
        assert not listens(port)
        broker.start()
        assert (broker.port, listens(port)) == (port, True)


@pytest.mark.parametrize(
    "made_by",
    [
        "bus.broker import EmbeddedBroker as Broker",
        pytest.param(
            "bus.mosquitto import MosquittoBroker as Broker",
            marks=[pytest.mark.mosquitto, pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)],
        ),
    ],
    ids=["embedded", "mosquitto"],
)
def test_it_dies_with_the_process_that_made_it(made_by: str) -> None:
    port = free_port()
    code = f"import time; from {made_by}; b = Broker(port={port}).start(); print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        assert listens(port)
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5.0
    while listens(port):
        assert time.monotonic() < deadline, "the broker outlived its parent"


def test_a_port_that_is_taken_is_an_error() -> None:
    with EmbeddedBroker() as broker, pytest.raises(Unreachable, match=f"port {broker.port} is taken"):
        EmbeddedBroker(broker.port).start()


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
def test_a_mosquitto_that_does_not_start_says_why() -> None:
    with pytest.raises(Unreachable, match=r"mosquitto ended with code \d+ before it listened .*: .*no_such_option"):
        MosquittoBroker(("no_such_option 1",)).start()


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
def test_a_mosquitto_starts_dies_and_comes_back() -> None:
    with MosquittoBroker() as broker:
        assert listens(broker.port)
        broker.kill()
        assert not listens(broker.port)
        broker.start()
        assert listens(broker.port)
    assert not listens(broker.port)

"""The health check of a container: what it says is what the endpoint says, and nothing is unhealthy."""

from __future__ import annotations

import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry

from bus.broker import free_port
from bus.health import ask_ready, main
from bus.metrics import Endpoint


def test_ready_is_what_the_endpoint_says(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ready = [False]
    endpoint = Endpoint(CollectorRegistry(), lambda: ready[0], "127.0.0.1", 0)
    monkeypatch.setenv("TRIWARN_ENDPOINT__PORT", str(endpoint.port))
    try:
        assert main() == 1
        ready[0] = True
        assert main() == 0
        assert capsys.readouterr().out.splitlines() == ["not ready", "ready"]
    finally:
        endpoint.close()


def test_where_nothing_listens_nothing_is_ready() -> None:
    ready, why = ask_ready(free_port())
    assert not ready
    assert "nothing answers" in why


def test_without_a_port_it_says_which_setting_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIWARN_ENDPOINT__PORT", raising=False)
    assert main() == 2
    assert "TRIWARN_ENDPOINT__PORT" in capsys.readouterr().err


def test_it_imports_nothing_that_takes_long() -> None:
    """It runs every few seconds beside each process."""
    slow = ("numpy", "numba", "msgspec", "http", "asyncio")
    code = f"import sys, bus.health; print([name for name in {slow} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"

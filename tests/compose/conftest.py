"""The stack of docker/compose.yaml, up for all tests of this folder, and one exercise of the default scenario over it.

Everything is asked from outside: by `docker`, by Docker Compose, and by Prometheus.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.compose.stack import DOCKER, Stack, run, slowed
from tests.integration.conftest import SHORT

_said: list[str] = []  # told below the results


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in _said:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def engine() -> None:
    if run("docker", "info").returncode:
        pytest.skip("no container engine answers `docker info`")


@pytest.fixture(scope="session")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of scenarios that is mounted, readable by the container's user."""
    folder = tmp_path_factory.mktemp("scenarios")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    (folder / "short.toml").write_text(SHORT, encoding="utf-8")
    (folder / "short.toml").chmod(0o644)
    return folder


@dataclass(frozen=True)
class Exercised:
    """The default exercise: its result, how long the first alert took from `up`, and when it ran, s since the epoch.

    `slowed` is by how much other work on the machine stretched it.
    """

    result: dict[str, Any]
    slowed: float
    first_alert_s: float
    begun_s: float
    ended_s: float


@pytest.fixture(scope="session")
def built(engine: None, scenarios: Path) -> Stack:
    """The stack with its image built, nothing started."""
    stack = Stack(DOCKER / "compose.yaml", scenarios)
    stack.compose("build", "keys", within_s=1800.0)
    for service, image in stack.left_out.items():
        _said.append(f"left out: {service}, for there is no image {image}")
    return stack


@pytest.fixture(scope="session")
def launched(built: Stack) -> Iterator[tuple[Stack, Exercised]]:
    stretch, begun = slowed(), time.monotonic()
    try:
        built.up()
        with built.exercise() as exercise:
            exercise.until("first alert at")
            first_s, begun_s = time.monotonic() - begun, time.time()
            result = exercise.result()
        yield built, Exercised(result, max(stretch, slowed()), first_s, begun_s, time.time())
    finally:
        built.down()
    assert built.left_behind() == []


@pytest.fixture(scope="session")
def stack(launched: tuple[Stack, Exercised]) -> Stack:
    return launched[0]


@pytest.fixture(scope="session")
def exercised(launched: tuple[Stack, Exercised]) -> Exercised:
    return launched[1]


def tell(line: str) -> None:
    """Say a figure below the results."""
    _said.append(line)

"""A compose stack under test: brought up under a project name and on ports of its own, driven by the commands that a user has."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from bus.broker import free_port

ROOT: Final = Path(__file__).parents[2]
DOCKER: Final = ROOT / "docker"
IMAGE: Final = "triwarn:local"
OURS: Final = "com.docker.compose.project"
PORTS: Final = {"prometheus": 9090, "grafana": 3000, **{f"mosquitto{of}": 8883 for of in ("", "-hub", "-jpn", "-kor", "-usa")}}
_METRICS: Final = 9464
_KNOCK: Final = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor

def knock(target):
    host, _, port = target.partition(":")
    try:
        socket.create_connection((host, int(port)), 3.0).close()
    except OSError:
        return ""
    return target

with ThreadPoolExecutor(64) as pool:
    print(*pool.map(knock, sys.argv[1:]))
"""


class Said(Exception):
    """A command that failed, with its words."""


def run(*command: str, within_s: float = 120.0, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A command to its end, whatever that is."""
    return subprocess.run(
        command, capture_output=True, text=True, timeout=within_s, env=env, stdin=subprocess.DEVNULL, check=False
    )


def docker(*arguments: str, within_s: float = 120.0) -> str:
    """What `docker` printed; an error where it failed."""
    done = run("docker", *arguments, within_s=within_s)
    if done.returncode:
        raise Said(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


@cache
def compose_command() -> tuple[str, ...]:
    """Docker Compose 2 where it is there, else docker-compose."""
    return ("docker", "compose") if run("docker", "compose", "version").returncode == 0 else ("docker-compose",)


@cache
def has_image(image: str) -> bool:
    """Whether an image is here, or a registry has it."""
    return not run("docker", "image", "inspect", image).returncode or not run("docker", "pull", "--quiet", image).returncode


def eventually(done: Callable[[], bool], what: str, within_s: float = 60.0) -> float:
    """Wait until it is so; how long that took, s."""
    begun = time.monotonic()
    while not done():
        assert time.monotonic() - begun < within_s, f"{what}: not within {within_s:g} s"
        time.sleep(0.1)
    return time.monotonic() - begun


def slowed() -> float:
    """By how much a busy machine stretches what takes one core's time: 1 where nothing else runs."""
    wall_s, own_s = time.perf_counter(), time.process_time()
    while time.process_time() - own_s < 0.3:
        pass
    return max(1.0, (time.perf_counter() - wall_s) / (time.process_time() - own_s))


@dataclass
class Stack:
    """The services of one compose file. `left_out` are those whose image cannot be had."""

    file: Path
    scenarios: Path
    project: str = field(default_factory=lambda: f"triwarn-test-{secrets.token_hex(3)}")
    mqtt_port: int = field(default_factory=free_port)
    prometheus_port: int = field(default_factory=free_port)
    grafana_port: int = field(default_factory=free_port)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "COMPOSE_PROJECT_NAME": self.project,
            "TRIWARN_MQTT_PORT": str(self.mqtt_port),
            "TRIWARN_PROMETHEUS_PORT": str(self.prometheus_port),
            "TRIWARN_GRAFANA_PORT": str(self.grafana_port),
            "TRIWARN_SCENARIOS": str(self.scenarios),
        }

    def command(self, *arguments: str) -> list[str]:
        return [*compose_command(), "-f", str(self.file), *arguments]

    def try_compose(self, *arguments: str, within_s: float = 300.0) -> subprocess.CompletedProcess[str]:
        return run(*self.command(*arguments), within_s=within_s, env=self.environment)

    def compose(self, *arguments: str, within_s: float = 300.0) -> str:
        done = self.try_compose(*arguments, within_s=within_s)
        if done.returncode:
            raise Said(f"compose {' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    @cached_property
    def images(self) -> dict[str, str]:
        """The image of each service, by the file as compose reads it."""
        found: dict[str, str] = {}
        name = ""
        for line in self.compose("config").partition("services:")[2].splitlines():
            if heading := re.fullmatch(r"  ([a-z-]+):", line):
                name = heading[1]
            elif image := re.fullmatch(r"    image: (\S+)", line):
                found.setdefault(name, image[1])
            elif line and not line.startswith(" "):
                break
        return found

    @cached_property
    def left_out(self) -> dict[str, str]:
        return {service: image for service, image in self.images.items() if image != IMAGE and not has_image(image)}

    @property
    def services(self) -> list[str]:
        """Everything that stays up."""
        return sorted(set(self.images) - set(self.left_out) - {"keys", "exercise"})

    def up(self) -> None:
        self.compose("up", "--detach", *self.services)

    def container(self, service: str) -> str:
        """The id of a service's container; empty where there is none."""
        filters = (f"{OURS}={self.project}", f"com.docker.compose.service={service}", "com.docker.compose.oneoff=False")
        return docker("ps", "--all", "--quiet", *(word for each in filters for word in ("--filter", f"label={each}")))

    def inspected(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(docker("inspect", self.container(service)))[0]
        return found

    def healthy(self, service: str) -> bool:
        state = self.inspected(service)["State"]
        return bool(state["Running"] and state.get("Health", {}).get("Status") == "healthy")

    def all_healthy(self, within_s: float = 60.0) -> None:
        for service in self.services:
            eventually(lambda service=service: self.healthy(service), f"{service} healthy", within_s)  # type: ignore[misc]

    def addresses(self, service: str) -> list[str]:
        """By what a service can be asked: its name, and its address in each network."""
        networks = self.inspected(service)["NetworkSettings"]["Networks"].values()
        return [service, *(each["IPAddress"] for each in networks)]

    def reached_from(self, service: str) -> set[str]:
        """Which services take a connection from where this one is, itself too."""
        targets = {f"{address}:{PORTS.get(each, _METRICS)}": each for each in self.services for address in self.addresses(each)}
        there = ("run", "--rm", "--network", f"container:{self.container(service)}", "--entrypoint", "python", IMAGE)
        return {targets[answered] for answered in docker(*there, "-c", _KNOCK, *targets).split()}

    def crash(self, *services: str) -> None:
        """Kill the processes of these services by their numbers: to the engine a crash, on which its restart policy acts."""
        pids = " ".join(str(self.inspected(each)["State"]["Pid"]) for each in services)
        killer = ("run", "--rm", "--pid", "host", "--user", "0", "--cap-drop", "ALL", "--cap-add", "KILL")
        docker(*killer, "--entrypoint", "sh", IMAGE, "-c", f"kill -9 {pids}")

    def restarts(self, service: str) -> int:
        """How often the engine has started a service's container again."""
        return int(self.inspected(service)["RestartCount"])

    def exported(self, service: str) -> str:
        """The metrics of a service, asked of its process itself: counted since its last start, with no scrape between."""
        ask = f"import urllib.request as to; print(to.urlopen('http://127.0.0.1:{_METRICS}/metrics', timeout=10).read().decode())"
        return docker("exec", self.container(service), "python", "-c", ask)

    def volume(self, name: str) -> str:
        return f"{self.project}_{name}"

    def left_behind(self) -> list[str]:
        """Containers, volumes and networks of the project."""
        label = f"label={OURS}={self.project}"
        kinds = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
        return [each for kind in kinds for each in docker(*kind, "--quiet", "--filter", label).split()]

    def down(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans")

    @contextmanager
    def exercise(self, *arguments: str) -> Iterator[Exercise]:
        """An exercise that runs, its result as JSON; killed at the end whatever happens."""
        process = subprocess.Popen(
            self.command("run", "--rm", "-T", "exercise", *arguments, "--json"),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield Exercise(process)
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def ask(self, path: str, **query: str) -> Any:
        """What Prometheus answers."""
        url = f"http://127.0.0.1:{self.prometheus_port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=20.0) as answer:
            return json.loads(answer.read())["data"]


@dataclass
class Exercise:
    """An exercise in a container, by what it prints."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    def until(self, words: str) -> None:
        """Read on until a line holds these words."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip())
            if words in line:
                return
        raise Said(f"the exercise ended without {words!r}: {self.said[-5:]}")

    def result(self, within_s: float = 180.0) -> dict[str, Any]:
        out, err = self.process.communicate(timeout=within_s)
        self.said += err.splitlines()
        if self.process.returncode:
            raise Said(f"the exercise ended with code {self.process.returncode}: {self.said[-5:]}")
        found: dict[str, Any] = json.loads(out[out.index("{") :])
        return found


def sure_alerts(exported: str) -> float:
    """How many alerts of exercises a receiver's metrics count that were confirmed, or updated, as it took them."""
    counted = re.findall(r"^triwarn_alerts_received_total\{(.*)\} (\S+)$", exported, re.MULTILINE)
    sure = re.compile(r'state="(confirmed|updated)"')
    return sum(float(value) for labels, value in counted if 'purpose="exercise"' in labels and sure.search(labels))


def unreported(result: dict[str, Any]) -> list[str]:
    """Which launch was not told to whom."""
    return [
        f"{launch['launch_id']} to {recipient}"
        for launch in result["launches"]
        for recipient, told in launch["recipients"].items()
        if told["warned_after_s"] is None
    ]

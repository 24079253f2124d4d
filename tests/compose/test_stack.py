"""The stack as it comes up, and the default exercise over it, seen from outside."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from bus.certificates import make_keys
from bus.release import NATIONS
from tests.compose.conftest import Exercised, tell
from tests.compose.stack import DOCKER, IMAGE, ROOT, Stack, compose_command, docker, eventually, run, slowed, unreported

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

PARTIES = (
    *((f"feed-{nation}", f"feed.{nation}") for nation in NATIONS),
    *((f"receive-{nation}", f"receiver.{nation}") for nation in NATIONS),
    ("fusion", "fusion.fusion-1"),
    ("canary", "canary"),
)


def test_from_up_to_the_first_alert_takes_less_than_half_a_minute(exercised: Exercised) -> None:
    tell(f"from `up` to the first alert: {exercised.first_alert_s:.1f} s, on a machine busy {exercised.slowed:.1f} times over")
    assert exercised.first_alert_s < 30.0 * exercised.slowed


def test_every_service_is_healthy(stack: Stack) -> None:
    stack.all_healthy()


def test_no_launch_of_the_default_exercise_is_unreported(exercised: Exercised) -> None:
    assert len(exercised.result["launches"]) == 18
    assert unreported(exercised.result) == []
    assert exercised.result["alerts"]["missed"] == 0
    assert exercised.result["complete"]


def test_the_alerts_reached_every_receiver(stack: Stack, exercised: Exercised) -> None:
    """By what each receiver counted itself: a confirmed alert for each launch at least.

    Counted up to a few scrapes after the exercise, for a receiver that is killed later begins anew.
    """
    for nation in NATIONS:
        counted = f'triwarn_alerts_received_total{{service="receive-{nation}", purpose="exercise", state="confirmed"}}'
        eventually(lambda counted=counted: _most(stack, exercised, counted) >= 18.0, f"alerts at {nation}", 30.0)  # type: ignore[misc]


def _most(stack: Stack, exercised: Exercised, selected: str) -> float:
    """The most that a series came to from the exercise's begin until a few scrapes after its end; 0 where there is none."""
    end_s = min(time.time(), exercised.ended_s + 15.0)
    query = f"max(max_over_time({selected}[{end_s - exercised.begun_s:.0f}s]))"
    found = stack.ask("query", query=query, time=f"{end_s:.3f}")["result"]
    return float(found[0]["value"][1]) if found else 0.0


def test_every_target_of_prometheus_is_up(stack: Stack) -> None:
    eventually(lambda: {each["health"] for each in stack.ask("targets")["activeTargets"]} == {"up"}, "every target up")
    found = {each["labels"]["service"] for each in stack.ask("targets")["activeTargets"] if each["labels"]["job"] == "triwarn"}
    assert found == {service for service in stack.services if _serves(stack, service)}


def _serves(stack: Stack, service: str) -> bool:
    return stack.images[service] == IMAGE


def test_every_rule_in_the_files_is_loaded_and_sound(stack: Stack) -> None:
    written = [
        name
        for path in sorted((DOCKER / "prometheus" / "rules").glob("*.y*ml"))
        for name in re.findall(r"^\s*-?\s*(?:alert|record):\s*(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    loaded = [rule for group in stack.ask("rules")["groups"] for rule in group["rules"]]
    assert sorted(rule["name"] for rule in loaded) == sorted(written)
    eventually(lambda: {rule["health"] for group in stack.ask("rules")["groups"] for rule in group["rules"]} <= {"ok"}, "rules")


def _panels() -> list[tuple[str, str, dict[str, str]]]:
    """Each query of each panel: whose it is, the query, and the values of the dashboard's variables."""
    found = []
    for path in sorted((DOCKER / "grafana" / "dashboards").glob("*.json")):
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        values = {each["name"]: _chosen(each) for each in dashboard.get("templating", {}).get("list", [])}
        panels = [inner for panel in dashboard["panels"] for inner in (panel, *panel.get("panels", []))]
        for panel in panels:
            for target in panel.get("targets", []):
                if target.get("expr"):
                    name = f"{path.stem}: {panel.get('title')} {target.get('refId', '')}"
                    found.append((name, target["expr"], values))
    return found


def _chosen(variable: dict[str, Any]) -> str:
    """What a variable stands for as the dashboard opens."""
    chosen = variable.get("current", {}).get("value", "")
    if isinstance(chosen, list):
        chosen = chosen[0]
    return variable.get("allValue") or ".*" if chosen == "$__all" else str(chosen)


def _spelled(query: str, values: dict[str, str]) -> str:
    """The query with Grafana's and the dashboard's variables replaced."""
    grafana = {"__rate_interval": "20s", "__interval": "5s", "__range": "5m", "__range_s": "300"}
    return re.sub(r"\$(\w+)|\$\{(\w+)(?::\w+)?\}", lambda found: (grafana | values)[found[1] or found[2]], query)


@pytest.mark.skipif(not _panels(), reason="there are no dashboards")
def test_every_query_of_every_panel_returns_data_in_the_exercise(stack: Stack, exercised: Exercised) -> None:
    """From its begin on; what is reckoned of a whole exercise stands soon after it."""

    def empty() -> list[str]:
        span = {"start": f"{exercised.begun_s:.0f}", "end": f"{time.time():.0f}", "step": "5"}
        found = []
        for name, query, values in _panels():
            series = stack.ask("query_range", query=_spelled(query, values), **span)["result"]
            if not any(value != "NaN" for each in series for _, value in each["values"]):
                found.append(f"{name}: {query}")
        return found

    with contextlib.suppress(AssertionError):
        eventually(lambda: not empty(), "every panel filled", 60.0)
    tell(f"{len(_panels())} queries of panels, {len(empty())} without data")
    assert empty() == []


def _stock_client(stack: Stack, keys: str, *arguments: str, also: Path | None = None) -> CompletedProcess[str]:
    """The broker's own mosquitto_sub, in the stack's network, with the keys of a volume."""
    volumes = ["--volume", f"{stack.volume(keys)}:/keys:ro", *(["--volume", f"{also}:/other:ro"] if also else [])]
    command = ("run", "--rm", "--network", f"{stack.project}_jpn", "--user", "10001:10001", *volumes)
    client = ("--entrypoint", "mosquitto_sub", "eclipse-mosquitto:2.0", "-h", "mosquitto", "-p", "8883")
    return run("docker", *command, *client, "--cafile", "/keys/authority.crt", *arguments)


def _shown(principal: str, folder: str = "/keys") -> tuple[str, ...]:
    return ("--cert", f"{folder}/{principal}/tls.crt", "--key", f"{folder}/{principal}/tls.key")


def test_a_stock_client_with_the_right_certificate_reads_the_bus(stack: Stack) -> None:
    topic = "mw/v1/receiver/jpn/status"
    done = _stock_client(stack, "keys-receive-jpn", *_shown("receiver.jpn"), "-t", topic, "-C", "1", "-W", "20", "-F", "%t %l")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"{topic} \d+", done.stdout.strip())


def test_a_stock_client_on_the_host_reads_the_bus_by_the_commands_of_the_readme(stack: Stack, tmp_path: Path) -> None:
    """One message; with the keys elsewhere, and on the port of this stack."""
    if shutil.which("mosquitto_sub") is None:
        pytest.skip("mosquitto_sub is not installed (Debian: apt-get install mosquitto-clients)")
    (written,) = re.findall(r"```\n(mkdir -m 700 jpn-keys\n.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    told = {
        "docker compose": " ".join(compose_command()),
        "-p 8883": f"-p {stack.mqtt_port} -C 1 -W 20",
        "jpn-keys": f"{tmp_path}/jpn",
    }
    for words, ours in told.items():
        assert words in written
        written = written.replace(words, ours)
    done = run("bash", "-euo", "pipefail", "-c", written, env={**stack.environment, "COMPOSE_FILE": str(stack.file)})
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"mw/v1/(receiver|picture)/jpn/\S+ \d+", done.stdout.strip())


def test_a_stock_client_reads_nothing_that_the_access_list_does_not_grant(stack: Stack) -> None:
    with stack.exercise("short.toml") as exercise:  # so that there is something to hear
        exercise.until("T+0 s")
        done = _stock_client(stack, "keys-feed-jpn", *_shown("feed.jpn"), "-t", "mw/v1/#", "-W", "8", "-F", "%t")
        exercise.result()
    heard = set(done.stdout.split())
    assert {"mw/v1/feed/jpn/status", "mw/v1/exercise/clock"} <= heard
    assert not [topic for topic in heard if "picture" in topic or "tracks" in topic]


def test_a_stock_client_without_a_certificate_is_refused(stack: Stack) -> None:
    done = _stock_client(stack, "keys-receive-jpn", "-t", "mw/v1/#", "-C", "1", "-W", "10")
    assert done.returncode not in (0, 27)  # 27: let in, and nothing heard
    assert done.stdout == ""


def test_a_stock_client_with_a_certificate_of_another_authority_is_refused(stack: Stack, tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", ["receiver.jpn"])
    for path in (*tmp_path.parents[:2], tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755)
    other = _shown("receiver.jpn", "/other")
    done = _stock_client(stack, "keys-receive-jpn", *other, "-t", "mw/v1/#", "-C", "1", "-W", "10", also=tmp_path / "keys")
    assert done.returncode not in (0, 27)
    assert done.stdout == ""


def test_no_container_can_gain_anything_or_write_anywhere(stack: Stack) -> None:
    for service in stack.services:
        found = stack.inspected(service)
        host, where = found["HostConfig"], f"{service}:"
        assert host["ReadonlyRootfs"], where
        assert host["CapDrop"] == ["ALL"], where
        assert not host["CapAdd"], where
        assert not host["Privileged"], where
        assert "no-new-privileges:true" in host["SecurityOpt"], where
        assert host["Memory"] > 0, where
        assert host["MemorySwap"] in (host["Memory"], -1), where  # -1: an engine that cannot limit swap
        assert 0 < host["PidsLimit"] <= 256, where
        assert host["ShmSize"] <= 2**20, where
        assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 5}, where
        assert found["Config"]["User"] not in ("", "0", "root"), where
        bound = [each["HostIp"] for ports in (host["PortBindings"] or {}).values() for each in ports]
        assert set(bound) <= {"127.0.0.1"}, where


@pytest.mark.parametrize("service", ["feed-jpn", "receive-jpn", "fusion", "prometheus", "grafana"])
def test_a_container_reaches_whom_it_has_to_and_nobody_else(stack: Stack, service: str) -> None:
    """So that nobody reads another nation's metrics, nor asks Prometheus or Grafana for them; by name and by every address."""
    if service not in stack.services:
        pytest.skip(f"{service} is not in this stack")
    stack.all_healthy()
    assert (
        stack.reached_from(service)
        == set(stack.services)
        & {
            "feed-jpn": {"feed-jpn", "receive-jpn", "mosquitto"},
            "receive-jpn": {"feed-jpn", "receive-jpn", "mosquitto"},
            "fusion": {"fusion", "canary", "mosquitto"},
            "prometheus": set(stack.services),
            "grafana": {"grafana", "prometheus"},
        }[service]
    )


def test_prometheus_answers_where_grafana_asks(stack: Stack) -> None:
    """By the address that Grafana is provisioned with, in the network that it is in."""
    source = (DOCKER / "grafana" / "provisioning" / "datasources" / "prometheus.yaml").read_text(encoding="utf-8")
    ask = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1] + '/-/ready', timeout=10).status)"
    there = ("run", "--rm", "--network", f"{stack.project}_answers", "--entrypoint", "python", IMAGE)
    assert docker(*there, "-c", ask, *re.findall(r"^ *url: (\S+)", source, re.MULTILINE)) == "200"


@pytest.mark.parametrize(("service", "principal"), PARTIES)
def test_a_party_sees_its_own_keys_and_nobody_elses(stack: Stack, service: str, principal: str) -> None:
    seen = docker("exec", stack.container(service), "find", "/keys", "/authority", "/parties", "-name", "*.key").split()
    assert sorted(seen) == [f"/keys/{principal}/sign.key", f"/keys/{principal}/tls.key"]
    modes = docker("exec", stack.container(service), "stat", "-c", "%a %u", *seen).splitlines()
    assert set(modes) == {"600 10001"}


@pytest.mark.parametrize(("service", "principal"), PARTIES)
def test_a_party_keeps_a_sound_audit_log_of_its_own(stack: Stack, exercised: Exercised, service: str, principal: str) -> None:
    """One a start of its process, open as long as that runs, or was killed."""
    said = docker("exec", stack.container(service), "triwarn", "audit", "verify", "--allow-open", "--json", "/audit")
    logs = json.loads(said)["logs"]
    assert {Path(each["log"]).name.rpartition(".audit")[0].rpartition(".")[0] for each in logs} == {principal}
    assert all(each["entries"] > 0 for each in logs)


def test_the_conductors_audit_log_is_sound_once_its_container_is_gone(stack: Stack, exercised: Exercised) -> None:
    conductor = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "triwarn audit", "exercise")
    assert stack.compose(*conductor, "verify", "--allow-open", "/audit").splitlines()[-1] == "sound"
    (told,) = exercised.result["audit"]
    assert told["log"].startswith("conductor.")


def test_keys_made_once_stay_what_they_are(stack: Stack) -> None:
    said = stack.compose("run", "--rm", "-T", "keys").splitlines()
    assert len(said) == len(stack.services) - len({"prometheus", "grafana"} & set(stack.services)) + 1  # the conductor's beside
    assert all(line.endswith("as it was") for line in said)


def test_nobody_keeps_the_authoritys_key_but_the_service_that_makes_keys(stack: Stack) -> None:
    holders = [
        service
        for service in stack.services
        if any(mount.get("Name") == stack.volume("authority") for mount in stack.inspected(service)["Mounts"])
    ]
    assert holders == []


@pytest.mark.parametrize("service", ["feed-usa", "fusion", "receive-usa"])
def test_a_container_is_ready_in_five_seconds(stack: Stack, service: str) -> None:
    """From the start of its process to its word at /ready, the others running."""
    container, stretch = stack.container(service), slowed()
    docker("restart", container)
    ask = ("exec", container, "python", "-m", "bus.health")
    took_s = eventually(lambda: run("docker", *ask).stdout.strip() == "ready", f"{service} ready", 30.0)
    tell(f"{service} ready in {took_s:.1f} s, on a machine busy {stretch:.1f} times over")
    assert took_s < 5.0 * stretch

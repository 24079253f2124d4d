"""What is wrong with a configuration is told in one clear line with a non-zero code, and nothing is tried for ever."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.compose.stack import DOCKER, IMAGE, Stack, docker, eventually, run

pytestmark = [pytest.mark.compose, pytest.mark.timeout(300)]

FEED = ("feed", "jpn")


def _last_words(stack: Stack, service: str, *arguments: str, env: tuple[str, ...] = ()) -> tuple[int, str]:
    """The code of a service run once with these settings, and the last line that it printed.

    Without an audit log, which the one that runs beside it writes.
    """
    settings = [word for each in ("TRIWARN_AUDIT__FOLDER=", *env) for word in ("-e", each)]
    done = stack.try_compose("run", "--rm", "-T", "--no-deps", *settings, service, *arguments)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("triwarn:")]
    return done.returncode, "; ".join(lines)


@pytest.mark.parametrize(
    ("service", "arguments", "env", "code", "says"),
    [
        ("feed-jpn", (), ("TRIWARN_SECURITY__FOLDER=/tmp",), 2, "triwarn: /tmp/authority.crt: cannot be read: No such file"),
        ("feed-jpn", ("feed", "kor"), (), 2, "triwarn: /keys/feed.kor/tls.crt: cannot be read: No such file"),
        ("fusion", (), ("TRIWARN_BROKER__URL=mqtts://nowhere", "TRIWARN_BROKER__WAIT_S=1"), 1, "no broker at nowhere:8883 in 1"),
        ("exercise", (), ("TRIWARN_BROKER__URL=mqtts://nowhere",), 1, "triwarn: no broker at nowhere:8883"),
        ("fusion", (), ("TRIWARN_BROKER__URL=mqtt://mosquitto",), 2, "would be spoken to in the clear, and there are keys"),
        ("receive-kor", (), ("TRIWARN_ENDPOINT__HOST=192.0.2.1",), 2, "cannot listen on 192.0.2.1:9464"),
        ("exercise", ("no-such-scenario",), (), 2, "no-such-scenario"),
        ("fusion", (), ("TRIWARN_FUSION__NO_SUCH=1",), 2, "no such key"),
    ],
    ids=["no certificate", "another's certificate", "no such broker", "an exercise without a broker", "in the clear",
         "an endpoint's address", "no such scenario", "no such setting"],
)  # fmt: skip
def test_a_bad_configuration_is_told_in_one_line(
    stack: Stack, service: str, arguments: tuple[str, ...], env: tuple[str, ...], code: int, says: str
) -> None:
    ended, line = _last_words(stack, service, *arguments, env=env)
    assert ended == code, line
    assert says in line
    assert line.count("triwarn:") == 1


def test_a_taken_port_of_the_endpoint_is_told(stack: Stack) -> None:
    """In the broker's own network, where its port is taken."""
    where = ("--network", f"container:{stack.container('mosquitto')}", "--volume", f"{stack.volume('keys-fusion')}:/keys:ro")
    keys = ("-e", "TRIWARN_SECURITY__FOLDER=/keys", "-e", "TRIWARN_ENDPOINT__PORT=8883", "-e", "TRIWARN_ENDPOINT__HOST=0.0.0.0")
    done = run("docker", "run", "--rm", "--tmpfs", "/tmp", *where, *keys, IMAGE, "fuse", "--broker", "mqtts://localhost")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == (
        "triwarn: settings: endpoint.port: cannot listen on 0.0.0.0:8883: Address already in use"
    )


def test_a_taken_port_of_the_machine_is_told_and_nothing_is_left_behind(stack: Stack, scenarios: Path) -> None:
    other = Stack(DOCKER / "compose.yaml", scenarios, mqtt_port=stack.mqtt_port)
    try:
        done = other.try_compose("up", "--detach", "mosquitto")
        assert done.returncode != 0
        assert f"127.0.0.1:{stack.mqtt_port}" in done.stderr
    finally:
        other.down()
    assert other.left_behind() == []


def test_what_cannot_work_is_tried_five_times_and_its_reason_is_in_the_log(stack: Stack) -> None:
    policy = stack.inspected("feed-jpn")["HostConfig"]["RestartPolicy"]
    name = f"{stack.project}-bad-{secrets.token_hex(2)}"
    restart = f"{policy['Name']}:{policy['MaximumRetryCount']}"
    docker("run", "--detach", "--name", name, "--restart", restart, "-e", "TRIWARN_SECURITY__FOLDER=/keys", IMAGE, *FEED,
           "--broker", "mqtts://mosquitto")  # fmt: skip
    try:
        ended = "{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}"
        eventually(lambda: docker("inspect", "--format", ended, name) == "exited 5 2", "an end")
        said = run("docker", "logs", name).stderr.splitlines()
        assert said == ["triwarn: /keys/authority.crt: cannot be read: No such file or directory"] * 6
    finally:
        docker("rm", "--force", name)

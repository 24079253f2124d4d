"""What the compose files and the image say of each party's volumes. Read as they are: no engine is needed."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

_DOCKER = Path(__file__).parents[2] / "docker"
_OURS = ("process", "exercise")  # what services that write an audit log extend
_STACKS = ("compose.yaml", "hub.yaml")


def _yaml(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(_DOCKER / name)


def _mounts(service: dict[str, Any]) -> dict[str, str]:
    """By where it is mounted, the volume of each mount."""
    return {each.split(":")[1]: each.split(":")[0] for each in service.get("volumes", [])}


@pytest.mark.parametrize("name", _STACKS)
def test_each_party_keeps_its_audit_log_in_a_volume_that_nobody_else_writes(name: str) -> None:
    stack, folder = _yaml(name), _yaml("common.yaml")["services"]["triwarn"]["environment"]["TRIWARN_AUDIT__FOLDER"]
    parties = {each: service for each, service in stack["services"].items() if service["extends"]["service"] in _OURS}
    assert len(parties) == 9
    kept = {each: _mounts(service)[folder] for each, service in parties.items()}
    every = [each for service in stack["services"].values() for each in service.get("volumes", [])]
    held = Counter(each.split(":")[0] for each in every if not each.endswith(":ro"))
    assert {held[volume] for volume in kept.values()} == {1}
    assert set(kept.values()) <= set(stack["volumes"])
    assert not [each for service in parties.values() for each in service["volumes"] if each.endswith(f":{folder}:ro")]


@pytest.mark.parametrize("name", _STACKS)
def test_each_volume_goes_with_down_as_a_service_without_a_profile_uses_it(name: str) -> None:
    """Compose 2 removes no volume that only a service of a profile uses."""
    stack, common = _yaml(name), _yaml("common.yaml")["services"]
    always = [each for each in stack["services"].values() if "profiles" not in each]
    used = {
        volume for each in always for whole in (each, common[each["extends"]["service"]]) for volume in _mounts(whole).values()
    }
    assert set(stack["volumes"]) <= used


@pytest.mark.parametrize("name", _STACKS)
def test_each_service_is_held_to_so_much_memory_without_swap_so_many_processes_and_no_shared_memory_to_speak_of(
    name: str,
) -> None:
    common = _yaml("common.yaml")["services"]
    for service, told in _yaml(name)["services"].items():
        whole = _whole(told, common)
        assert re.fullmatch(r"\d+m", whole["mem_limit"]), service
        assert whole["memswap_limit"] == whole["mem_limit"], service
        assert 0 < whole["pids_limit"] <= 256, service
        assert whole["shm_size"] == "1m", service


def _whole(service: dict[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    """A service with what it extends, and what that extends: as compose lays single values over one another."""
    extended = service.get("extends")
    return {**_whole(common[extended["service"]], common), **service} if extended else service


def test_the_image_has_the_folder_of_the_audit_log_as_its_users_own() -> None:
    """A new volume takes over whose the folder is that it is mounted on."""
    folder = _yaml("common.yaml")["services"]["triwarn"]["environment"]["TRIWARN_AUDIT__FOLDER"]
    (made,) = re.findall(r"install -d -o 10001 -g 10001 -m 700 (/keys .*) \\", (_DOCKER / "Dockerfile").read_text("utf-8"))
    assert folder in made.split()

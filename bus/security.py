"""Who is who in the secured profile: principals, their key folder, and the settings that name it. Pure: it opens no file.

A principal is a process's name at the broker: the common name of its certificate, and what the access list speaks of. It is a
role and, after the first dot, whose: `feed.jpn`, `fusion.fusion-1`; the conductor, the canary and the broker stand alone. A
bridge is its broker's: a nation's, or the hub's.

    FOLDER/authority.crt                 the authority's certificate: who signs everybody's
    FOLDER/authority.key                 its private key; wanted only to make or renew certificates
    FOLDER/<principal>/tls.crt, tls.key  one's own certificate and private key
    FOLDER/<principal>/sign.key          what one signs with, and FOLDER/trust.toml who is believed: `bus.identity`
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, get_args

from msgspec import Meta, Struct

from bus.errors import BadInput
from bus.release import NATIONS

NationalRole = Literal["feed", "receiver", "operator", "bridge"]
PrincipalRole = Literal["feed", "receiver", "operator", "bridge", "fusion", "conductor", "canary", "broker"]

CONDUCTOR: Final = "conductor"
CANARY: Final = "canary"
BROKER: Final = "broker"
HUB: Final = "hub"  # the broker in the middle, where others are bridged to one
ALONE: Final = (CONDUCTOR, CANARY, BROKER)  # roles that there is one of
HEALTH: Final = "health"  # a broker's own health check: it may connect, and nothing else
SILENT: Final = (BROKER, HEALTH, "bridge")  # roles that only carry what others say, or say nothing
_WORKER: Final = re.compile(r"[a-z0-9-]{1,32}")

DEFAULT_DAYS: Final = 90  # that a development certificate is valid
MOST_DAYS: Final = 3650  # and its authority, which outlives what it signs


class SecuritySettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """TLS with a certificate a process, and seals. Without a folder there is neither; with one, nothing is sent in the clear."""

    folder: Annotated[str, Meta(description="key folder, as `triwarn keys init` makes it; empty: no TLS, no seals")] = ""


class KeyFiles(NamedTuple):
    """The files by which one principal proves who it is, and checks who others are."""

    authority: Path
    certificate: Path
    key: Path


def principal(role: PrincipalRole, owner: str = "") -> str:
    """The name of an identity: `feed.jpn`, `conductor`. Who stands alone is its own, if anybody's."""
    return role if owner in ("", role) else f"{role}.{owner}"


def parted(name: str) -> tuple[str, str]:
    """Role and owner of a principal; the owner is empty where it stands alone."""
    role, _, owner = name.partition(".")
    return role, owner


def principals(workers: Iterable[str]) -> tuple[str, ...]:
    """Everybody in an exercise with these fusion workers. BadInput where one's name could be more than a name."""
    workers = tuple(workers)
    for worker in workers:
        if not _WORKER.fullmatch(worker):
            raise BadInput("worker", "name", f"{worker!r} is none", "lower-case letters, digits, hyphens")
    national = [principal(role, nation) for role in get_args(NationalRole) for nation in NATIONS]
    return (*ALONE, *national, principal("bridge", HUB), *(principal("fusion", worker) for worker in dict.fromkeys(workers)))


def authority_certificate(folder: Path) -> Path:
    return folder / "authority.crt"


def authority_key(folder: Path) -> Path:
    return folder / "authority.key"


def key_files(folder: Path, name: str) -> KeyFiles:
    """Where a principal's files are."""
    return KeyFiles(authority_certificate(folder), folder / name / "tls.crt", folder / name / "tls.key")

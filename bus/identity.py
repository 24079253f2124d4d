"""Who is believed: the keys that principals sign with, and the file that says whose keys are trusted, from when and until when.

    FOLDER/<principal>/sign.key   0600: a seed of Ed25519 a line, in hexadecimal; lines that begin with # say what it is
    FOLDER/trust.toml             the public keys of everybody, each with its principal and the time in which it is believed

- A principal may have several keys at once: it speaks with the youngest that is believed now, and is believed with each of them.
  So a new key is put into trust.toml everywhere before its time begins, and nothing is lost when it does.
- What is not in trust.toml, or was not when it was sent, is not believed: a key ends by its `not_after`, and is revoked at once
  by taking it out.
- One key serves twice: as itself it signs; its X25519 twin agrees on a secret with another's, for what is authenticated by
  session keys.
- A private key is in no text that this module makes: not in a repr, not in an error.

It opens files and makes keys; what is sealed with them is the business of `bus.seal`.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from bus.certificates import MARK
from bus.errors import BadInput
from bus.private import PUBLIC, replace_file, write_new
from bus.security import DEFAULT_DAYS
from bus.settings import from_toml

KEY_ID_BYTES: Final = 8
_SEED: Final = re.compile(r"[0-9a-f]{64}")

When = Annotated[datetime, Meta(tz=True, description="a time with its offset from UTC: 2026-01-31T12:00:00Z")]


class TrustedKey(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A public key as trust.toml has it."""

    principal: Annotated[str, Meta(pattern=r"^[a-z]+(\.[A-Za-z0-9._:+-]+)?$", max_length=80, description="role.owner, or a role")]
    public: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", description="Ed25519 public key, 64 hexadecimal digits")]
    not_before: When
    not_after: When


class _TrustFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    key: list[TrustedKey]


class PublicKey(NamedTuple):
    """A key that a principal is believed with, from `from_ns` to `until_ns` (wall, both included)."""

    principal: str
    id: bytes
    verify: bytes
    exchange: bytes
    from_ns: int
    until_ns: int

    def holds_at(self, now_ns: int) -> bool:
        return self.from_ns <= now_ns <= self.until_ns


class PrivateKey:
    """One's own key. `sign` is what libsodium signs with, `exchange` its X25519 twin."""

    __slots__ = ("exchange", "id", "sign")

    def __init__(self, seed: bytes) -> None:
        key = SigningKey(seed)
        self.id = key_id(bytes(key.verify_key))
        self.sign: bytes = seed + bytes(key.verify_key)
        self.exchange = bytes(key.to_curve25519_private_key())

    def __repr__(self) -> str:
        return f"PrivateKey({self.id.hex()})"


class Trust:
    """Every key that may be believed at some time, by its id."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self.keys: Final = {key.id: key for key in keys}
        self._changes = sorted(at_ns for key in self.keys.values() for at_ns in (key.from_ns, key.until_ns + 1))

    def era(self, now_ns: int) -> int:
        """Which of the times between two changes it is: within one, whose keys are believed stays the same."""
        return bisect_right(self._changes, now_ns)

    def of(self, principal: str, now_ns: int) -> PublicKey | None:
        """The principal's youngest key that is believed now: the one it is spoken to with."""
        held = [key for key in self.keys.values() if key.principal == principal and key.holds_at(now_ns)]
        return max(held, key=lambda key: (key.from_ns, key.id), default=None)

    def principals(self, now_ns: int) -> list[str]:
        """Everybody who has a key that is believed now, sorted."""
        return sorted({key.principal for key in self.keys.values() if key.holds_at(now_ns)})


@dataclass(frozen=True, slots=True)
class Identity:
    """A principal and its private keys, by their ids."""

    principal: str
    keys: dict[bytes, PrivateKey] = field(repr=False)

    def speaks_with(self, trust: Trust, now_ns: int) -> PrivateKey | None:
        """The youngest key that is believed now, or if there is none any that trust.toml has; None where it has none."""
        held = [trust.keys[id] for id in self.keys if id in trust.keys]
        found = max(held, key=lambda key: (key.holds_at(now_ns), key.from_ns, key.id), default=None)
        return None if found is None else self.keys[found.id]


def key_id(public: bytes) -> bytes:
    """What a public key is called in a seal: the first bytes of its BLAKE2b-256."""
    return blake2b(public, digest_size=32).digest()[:KEY_ID_BYTES]


def trust_file(folder: Path) -> Path:
    return folder / "trust.toml"


def sign_key_file(folder: Path, principal: str) -> Path:
    return folder / principal / "sign.key"


def load_trust(folder: Path) -> Trust:
    """The keys of trust.toml; BadInput names what is wrong with it."""
    path = trust_file(folder)
    listed = from_toml(_text(path), str(path), _TrustFile).key
    keys = [_public_key(each, f"{path}: key {row}") for row, each in enumerate(listed, 1)]
    trust = Trust(keys)
    if len(trust.keys) < len(keys):
        raise BadInput(str(path), "key", "holds a public key twice", "each once, of one principal")
    return trust


def load_identity(folder: Path, principal: str) -> Identity:
    """A principal's own keys; BadInput names the file, never what is in it."""
    path = sign_key_file(folder, principal)
    lines = [line.strip() for line in _text(path).splitlines()]
    seeds = [line for line in lines if line and not line.startswith("#")]
    if not seeds or not all(_SEED.fullmatch(seed) for seed in seeds):
        raise BadInput(str(path), "", "is no file of signing keys", "a seed a line, 64 hexadecimal digits")
    keys = [PrivateKey(bytes.fromhex(seed)) for seed in seeds]
    return Identity(principal, {key.id: key for key in keys})


def write_identities(folder: Path, principals: Sequence[str], now: datetime | None = None, days: int = DEFAULT_DAYS) -> None:
    """Make a key for each principal, and trust.toml with them all. BadInput before anything is written where a file exists."""
    begin = now or datetime.now(UTC)
    for path in (trust_file(folder), *(sign_key_file(folder, principal) for principal in principals)):
        if os.path.lexists(path):
            raise BadInput(str(path), "", "exists, and nothing is overwritten")
    listed = []
    for principal in principals:
        seed = SigningKey.generate()
        path = sign_key_file(folder, principal)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_new(path, _sign_key_text(principal, [bytes(seed).hex()]).encode())
        listed.append(_trusted(principal, seed, begin, begin + timedelta(days=days)))
    write_new(trust_file(folder), _trust_text(listed).encode(), PUBLIC)


def add_key(folder: Path, principal: str, not_before: datetime, not_after: datetime) -> None:
    """Give a principal one more key, believed in that time: first in its sign.key, then in trust.toml, each replaced at once."""
    path, trusted = sign_key_file(folder, principal), trust_file(folder)
    load_identity(folder, principal)
    listed = from_toml(_text(trusted), str(trusted), _TrustFile).key
    seed = SigningKey.generate()
    replace_file(path, (_text(path) + bytes(seed).hex() + "\n").encode())
    replace_file(trusted, _trust_text([*listed, _trusted(principal, seed, not_before, not_after)]).encode(), PUBLIC)


def _public_key(listed: TrustedKey, where: str) -> PublicKey:
    verify = bytes.fromhex(listed.public)
    try:
        exchange = bytes(VerifyKey(verify).to_curve25519_public_key())
    except (CryptoError, RuntimeError):
        raise BadInput(where, "public", "is no public key of Ed25519") from None
    from_ns, until_ns = _ns(listed.not_before), _ns(listed.not_after)
    if until_ns <= from_ns:
        raise BadInput(where, "not_after", "is not after not_before")
    return PublicKey(listed.principal, key_id(verify), verify, exchange, from_ns, until_ns)


def _ns(when: datetime) -> int:
    return int((when - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000


def _trusted(principal: str, seed: SigningKey, not_before: datetime, not_after: datetime) -> TrustedKey:
    public = bytes(seed.verify_key).hex()
    return TrustedKey(principal=principal, public=public, not_before=not_before, not_after=not_after)


def _sign_key_text(principal: str, seeds: Iterable[str]) -> str:
    return "\n".join([f"# {MARK}", f"# Ed25519 seeds of {principal}: secret", *seeds, ""])


def _trust_text(listed: Iterable[TrustedKey]) -> str:
    def lines() -> Iterator[str]:
        yield f"# {MARK}"
        yield "# Whose keys are believed, and when. To revoke one, take it out."
        for each in listed:
            yield from ("", "[[key]]", f'principal = "{each.principal}"', f'public = "{each.public}"')
            yield from (f"{name} = {getattr(each, name).isoformat()}" for name in ("not_before", "not_after"))

    return "\n".join(lines()) + "\n"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(str(path), "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(str(path), "", "is not text") from None

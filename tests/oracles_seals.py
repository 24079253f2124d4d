"""A slow, obvious reader of seals, from docs/wire.md alone: another library for the curves, the rest in integers."""

from __future__ import annotations

import hashlib
import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_P = 2**255 - 19
_GHASH = 0xE1 << 120


def public_of(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def id_of(public: bytes) -> bytes:
    return hashlib.blake2b(public, digest_size=32).digest()[:8]


def secret_between(seed: bytes, other_public: bytes) -> bytes:
    """X25519 between the twins: the private one is half of SHA-512 of the seed, the public one u = (1 + y) / (1 - y)."""
    own = X25519PrivateKey.from_private_bytes(hashlib.sha512(seed).digest()[:32])
    y = int.from_bytes(other_public, "little") & (2**255 - 1)
    u = (1 + y) * pow(1 - y, -1, _P) % _P
    return own.exchange(X25519PublicKey.from_public_bytes(u.to_bytes(32, "little")))


def gmac(key: bytes, nonce: bytes, message: bytes) -> bytes:
    """AES-GCM's tag without a plaintext (NIST SP 800-38D), bit by bit."""
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    by, total = int.from_bytes(cipher.update(bytes(16)), "big"), 0
    blocks = message + bytes(-len(message) % 16) + (8 * len(message)).to_bytes(8, "big") + bytes(8)
    for at in range(0, len(blocks), 16):
        total = _times(total ^ int.from_bytes(blocks[at : at + 16], "big"), by)
    return (total ^ int.from_bytes(cipher.update(nonce + b"\0\0\0\1"), "big")).to_bytes(16, "big")


def _times(x: int, y: int) -> int:
    """The product in GF(2^128), bits from the left."""
    product = 0
    for bit in range(127, -1, -1):
        product ^= y if x >> bit & 1 else 0
        y = y >> 1 ^ (_GHASH if y & 1 else 0)
    return product


def opened_signed(topic: str, payload: bytes, public: bytes) -> bytes | None:
    """The message of a signed payload, or None."""
    head, signature, message = payload[:26], payload[26:90], payload[90:]
    expected = b"\xc1\x11" + id_of(public) + hashlib.blake2b(topic.encode(), digest_size=16).digest()
    if head != expected:
        return None
    said = b"triwarn seal 1\0" + head + hashlib.blake2b(message, digest_size=32).digest()
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, said)
    except InvalidSignature:
        return None
    return message


def opened_tagged(topic: str, payload: bytes, public: bytes, own_seed: bytes) -> bytes | None:
    """The message of a tagged payload for the reader with that seed, or None."""
    first, kind, key, digest, _, _, n = struct.unpack_from("<BB8s16s8sIB", payload)
    if (first, kind, key, digest) != (0xC1, 0x12, id_of(public), hashlib.blake2b(topic.encode(), digest_size=16).digest()):
        return None
    head, count, tags = payload[: 39 + 8 * n], payload[39 + 8 * n : 47 + 8 * n], payload[47 + 8 * n : 47 + 24 * n]
    message, own = payload[47 + 24 * n :], id_of(public_of(own_seed))
    secret = secret_between(own_seed, public)
    session = hashlib.blake2b(b"triwarn session 1\0" + head, digest_size=32, key=secret).digest()
    tag = gmac(session, bytes(4) + count, message)
    for row in range(n):
        if head[39 + 8 * row : 47 + 8 * row] == own and tags[16 * row : 16 * row + 16] == tag:
            return message
    return None

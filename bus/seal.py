r"""The seal around a message: who says it, on which topic, and that nobody has changed it. The wire of it, and its arithmetic.

A sealed payload is a head, what proves it, and the message's bytes unchanged. All numbers are little-endian.

    signed: alerts, events, statuses, the clock     tagged: tracks, pictures
    0xC1, which never begins MessagePack            0xC1
    0x11                                            0x12
    8 bytes   id of the speaker's key               8 bytes   id of the speaker's key
    16 bytes  BLAKE2b-128 of the topic              16 bytes  BLAKE2b-128 of the topic
                                                    8 bytes   run: of the speaker's process, at random
                                                    4 bytes   began: since when the session key is used, s of the Unix epoch
                                                    1 byte    n, the number of readers, then 8 bytes a reader: the id of its key
    64 bytes  Ed25519 signature of                  8 bytes   count of those on the topic in this run: never twice
              "triwarn seal 1\0", the head and      16 bytes a reader: AES-256-GCM's tag of the message as associated data
              BLAKE2b-256 of the message                      and no plaintext; nonce: four zeros and the count

The key of a tag, the session key, is BLAKE2b-256 of "triwarn session 1\0" and the head (all before the count), keyed with the
secret that the X25519 twins of the speaker's and the reader's keys agree on. So it is known to one speaker and one reader: no
reader can speak for the speaker to another. Nothing is sent to agree on it, and a frame never waits for a key. A tag proves
nothing to a third party, and what another's tag says is not a reader's business.

To hash a frame of 64 kB by keyed BLAKE2b would take a good part of what fusing it takes, a tag of GCM takes a thirteenth of that:
so the keys are BLAKE2b's, and the bytes GCM's.

It keeps no keys and knows no time: `bus.seals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from struct import Struct as Layout
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import crypto_scalarmult, crypto_sign, crypto_sign_open
from nacl.exceptions import CryptoError

from bus.errors import Rejected
from bus.identity import KEY_ID_BYTES, PrivateKey, PublicKey

FIRST: Final = 0xC1
SIGNED: Final = 0x11
TAGGED: Final = 0x12
MOST_READERS: Final = 64
SEAL_BYTES: Final = 8192  # no seal is longer
_SIGN_DOMAIN: Final = b"triwarn seal 1\0"
_SESSION_DOMAIN: Final = b"triwarn session 1\0"
_SIGNATURE_BYTES: Final = 64
_TAG_BYTES: Final = 16
_HEAD: Final = Layout("<BB8s16s")
_SESSION: Final = Layout("<8sIB")
_COUNT: Final = Layout("<Q")
_SIGNED_AT: Final = _HEAD.size + _SIGNATURE_BYTES  # where a signed message begins
_READERS_AT: Final = _HEAD.size + _SESSION.size
_NONCE_HEAD: Final = bytes(4)


class Seal(NamedTuple):
    """A seal that has been read, and proves nothing yet. `message` is where the message begins.

    Signed: `proof` is the signature. Tagged: `readers` and `proof` are their key ids and tags one after the other, `began_s` is
    since when the session key is used, `number` the count.
    """

    kind: int
    key: bytes
    topic: bytes
    head: bytes
    proof: bytes
    message: int
    began_s: int = 0
    readers: bytes = b""
    number: bytes = b""

    def tag_for(self, reader: bytes) -> bytes | None:
        """The tag for a reader's key; None where there is none."""
        at = self.readers.find(reader)
        while at % KEY_ID_BYTES and at > 0:  # the end of one id and the beginning of the next
            at = self.readers.find(reader, at + 1)
        return None if at < 0 else self.proof[2 * at : 2 * at + _TAG_BYTES]


@lru_cache(maxsize=4096)
def topic_digest(topic: str) -> bytes:
    """What stands for a topic in the head."""
    return blake2b(topic.encode(), digest_size=16).digest()


def read_seal(payload: bytes) -> Seal:
    """The seal of a payload; Rejected where there is none, or none that could be read."""
    if not payload or payload[0] != FIRST:
        raise Rejected("unsealed", f"{len(payload)} bytes without a seal")
    if len(payload) < _HEAD.size:
        raise Rejected("forged", "the seal is cut off")
    _, kind, key, topic = _HEAD.unpack_from(payload)
    if kind == SIGNED:
        seal = Seal(kind, key, topic, payload[: _HEAD.size], payload[_HEAD.size : _SIGNED_AT], _SIGNED_AT)
    elif kind == TAGGED and len(payload) >= _READERS_AT:
        _, began_s, n = _SESSION.unpack_from(payload, _HEAD.size)
        count = _READERS_AT + n * KEY_ID_BYTES
        tags = count + _COUNT.size
        message = tags + n * _TAG_BYTES
        readers = payload[_READERS_AT:count]
        seal = Seal(kind, key, topic, payload[:count], payload[tags:message], message, began_s, readers, payload[count:tags])
    else:
        raise Rejected("forged", f"no seal of a kind that is known: {kind}")
    if len(payload) < seal.message:
        raise Rejected("forged", "the seal is cut off")
    return seal


def signed(topic: str, message: bytes, by: PrivateKey) -> bytes:
    """The message in a seal that everybody can check."""
    head = _HEAD.pack(FIRST, SIGNED, by.id, topic_digest(topic))
    signature = crypto_sign(_to_sign(head, message), by.sign)[:_SIGNATURE_BYTES]
    return b"".join((head, signature, message))


def check_signature(seal: Seal, message: memoryview, by: PublicKey) -> None:
    """Rejected unless the signature is the key's, of this head and message."""
    try:
        crypto_sign_open(seal.proof + _to_sign(seal.head, message), by.verify)
    except CryptoError:
        raise Rejected("forged", f"no signature of {by.principal}") from None


def _to_sign(head: bytes, message: bytes | memoryview) -> bytes:
    return b"".join((_SIGN_DOMAIN, head, blake2b(message, digest_size=32).digest()))


def agreed_secret(own: PrivateKey, other: PublicKey) -> bytes:
    """What two principals agree on without a word. It cannot fail: a key that agrees on nothing has no X25519 twin."""
    return crypto_scalarmult(own.exchange, other.exchange)


def session_key(secret: bytes, head: bytes) -> AESGCM:
    """What makes and checks the tags of one head, between its speaker and the reader that the secret is shared with."""
    return AESGCM(blake2b(_SESSION_DOMAIN + head, digest_size=32, key=secret).digest())


def session_head(topic: str, by: PrivateKey, run: bytes, began_s: int, readers: Sequence[bytes]) -> bytes:
    """The head of all that is tagged on a topic for these readers (ids of their keys) in one session."""
    head = _HEAD.pack(FIRST, TAGGED, by.id, topic_digest(topic))
    return b"".join((head, _SESSION.pack(run, began_s, len(readers)), *readers))


def tagged(head: bytes, keys: Sequence[AESGCM], count: int, message: bytes) -> bytes:
    """The message in a seal for the readers of a head, by the session keys with each.

    `count` is never used twice with a head: who has two messages of one count can make a third.
    """
    number = _COUNT.pack(count)
    nonce = _NONCE_HEAD + number
    return b"".join((head, number, *(key.encrypt(nonce, b"", message) for key in keys), message))


def check_tag(seal: Seal, tag: bytes, message: memoryview, key: AESGCM) -> bool:
    """Whether the tag is of this head, count and message, under the session key."""
    try:
        key.decrypt(_NONCE_HEAD + seal.number, tag, message)
    except InvalidTag:
        return False
    return True

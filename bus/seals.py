"""One process's seals: it seals what it says, and of what it hears takes only what is authentic and new.

A message is taken if its seal is its speaker's, for this topic, and holds; if that speaker may say this there; if it was sent
within `window_s` of now; and if it was not said before (`bus.replay`). All else is Rejected with the reason, and is a security
event. The order is such that nothing forged moves anything: not the window of replay, not a sequence number.

- No retained flag is believed: a broker could put it on anything. What stands (a status, an alert, the clock) is said again every
  third of the window by who said it, so that nothing in force is ever older than that. A broker can keep something back; that it
  is silent is all that can be told of it.
- Nothing is taken twice. What stands brokers and bridges say again as they come back, and do not mark it for who was there: the
  newest word that came on such a topic is a duplicate whoever says it again, and of whatever age, since it says what is held. An
  older one is `replayed`, retained or not: who says it again would have a status, or an alert, step back.
- An operator's word stands for as long as a broker keeps it, and consoles come and go: it is held to that age alone. Of words on
  the same two tracks the newest counts, so that an old one said again changes nothing.
- QoS 1 may bring a message twice: what the broker calls repeated is a duplicate too, and all else that came before is `replayed`.
  (After a lost link a publisher's own repetition looks the same.)
- What a broker kept for too long is dropped as `expired`, and is no event: it is what an earlier exercise has left.
- trust.toml and sign.key are read again when they change, by every process that seals or opens: it looks once a second, as it
  speaks and hears, and at once where a seal does not hold by the keys that it has. So keys are renewed and revoked while all
  runs: a new one is believed with its first message if the files are there by then, a revoked one for no more than a second.

A handler of security events is called with each. Who opens a connection, and what a message means, it does not know.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta, Struct

from bus.errors import SECURITY_REASONS, BadInput, Rejected
from bus.identity import Identity, PrivateKey, PublicKey, Trust, load_identity, load_trust, sign_key_file, trust_file
from bus.messages import DECORRELATION_EXPIRY_S, MAX_PAYLOAD_BYTES, AnyMessage, Status, decode
from bus.replay import ReplayGuard
from bus.seal import (
    MOST_READERS,
    SEAL_BYTES,
    SIGNED,
    TAGGED,
    agreed_secret,
    check_signature,
    check_tag,
    read_seal,
    session_head,
    session_key,
    signed,
    tagged,
    topic_digest,
)
from bus.speakers import may_speak, readers_of
from bus.topics import Address, Kind, parse_topic, stream_of
from bus.transport import Delivery

log = logging.getLogger(__name__)

_TAGGED_KINDS: Final[tuple[Kind, ...]] = ("tracks", "picture")
_RETAINED_KINDS: Final[tuple[Kind, ...]] = ("status", "alert", "clock", "decorrelation")
_FRAME_WINDOW_NS: Final = 30_000_000_000  # thrice what a broker keeps a frame for: the rest is for clocks that differ
_WORD_WINDOW_NS: Final = DECORRELATION_EXPIRY_S * 1_000_000_000  # as long as the broker keeps it
_REPEATS_A_WINDOW: Final = 3
_NO_ERA: Final = (-1, -1)
_SESSION_KEYS: Final = 1024  # kept; each takes some microseconds to make again
_LOOK_NS: Final = 1_000_000_000  # from one look at the key folder to the next: two calls of the system, some microseconds
_KEY_REASONS: Final = ("unknown_key", "forged")  # what keys that have come since may put right
_QUIET_NS: Final = 60_000_000_000  # between two lines of the log on one reason


class SealSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How seals are made and checked. The same everywhere: who rotates more slowly than others expect is not heard."""

    window_s: Annotated[
        float,
        Meta(
            ge=1.0,
            le=3600.0,
            description="s that a message may be old, or ahead of our clock; frames at most 30. "
            "As long as a broker keeps what it could not deliver",
        ),
    ] = 300.0
    rotate_s: Annotated[
        float, Meta(ge=10.0, le=86_400.0, description="s after which frames get new session keys; the old hold window_s longer")
    ] = 600.0


class SecurityEvent(NamedTuple):
    """A message that was dropped because it is not what it claims to be. `speaker` is whose key it names, empty where unknown."""

    at_ns: int
    reason: str
    topic: str
    speaker: str
    detail: str


class Received(NamedTuple):
    """A sound message. `delivery` tells how long its seal is; `again`: it came before, and is to be dropped."""

    address: Address
    message: AnyMessage
    delivery: Delivery
    again: bool = False


OnEvent = Callable[[SecurityEvent], None]
_Marks = tuple[tuple[int, ...], ...]


def read(delivery: Delivery, seals: Seals | None, now_ns: int) -> Received:
    """The message of a delivery, authentic where there are seals; raises Rejected for all else. `now_ns` is wall time."""
    if seals is not None:
        return seals.read(delivery, now_ns)
    address = parse_topic(delivery.topic)
    return Received(address, decode(address, delivery.payload), delivery)


class Seals:
    """A principal's seals; see the module's text."""

    def __init__(
        self, identity: Identity, trust: Trust, settings: SealSettings, folder: Path | None = None, read_at: _Marks = ()
    ) -> None:
        self.principal = identity.principal
        self._identity, self._trust, self._settings, self._folder = identity, trust, settings, folder
        self._read_at = self._unread = read_at
        self._looked_ns = 0
        self._run = secrets.token_bytes(8)
        self._counts: Counter[str] = Counter()  # by topic: over all, it would tell readers of one how much went to others
        self._window_ns = int(settings.window_s * 1e9)
        frame_ns = min(self._window_ns, _FRAME_WINDOW_NS)
        self._windows_ns: dict[Kind, int] = {"tracks": frame_ns, "picture": frame_ns, "decorrelation": _WORD_WINDOW_NS}
        self._key_window_ns = int((settings.rotate_s + settings.window_s) * 1e9)
        self._guard = ReplayGuard()
        self._secrets: dict[tuple[bytes, bytes], bytes] = {}  # by the ids of our key and the other's
        self._keys: dict[tuple[bytes, bytes], AESGCM] = {}  # of what is heard, by our key's id and the head
        own = identity.speaks_with(trust, 0)
        if own is None:
            raise BadInput("trust.toml", "key", f"holds no key of {identity.principal} that its sign.key has")
        self._own, self._era = own, _NO_ERA
        self._sessions: dict[str, tuple[bytes, list[AESGCM]]] = {}  # of what is said in this era, by topic
        self._handlers: list[OnEvent] = []
        self._told_ns: dict[str, int] = {}
        self.events: Counter[str] = Counter()

    @classmethod
    def of(cls, folder: Path, principal: str, settings: SealSettings) -> Seals:
        """The principal's seals by its key folder. BadInput names the file that is wrong."""
        read_at = _marks(folder, principal)  # before they are read: what changes meanwhile is then seen
        return cls(load_identity(folder, principal), load_trust(folder), settings, folder, read_at)

    @property
    def repeat_s(self) -> float:
        """How often to say again what stands, s."""
        return self._settings.window_s / _REPEATS_A_WINDOW

    def on_event(self, handler: OnEvent) -> None:
        """Call `handler` with every security event."""
        self._handlers.append(handler)

    # Speaking ------------------------------------------------------------------------------------------------------

    def seal(self, topic: str, message: bytes, now_ns: int) -> bytes:
        """The payload for this message: signed, or where it is a frame tagged for everybody that it is for."""
        address = parse_topic(topic)
        self._look(now_ns)
        self._begin_era(now_ns)
        if address.kind not in _TAGGED_KINDS:
            return signed(topic, message, self._own)
        session = self._sessions.get(topic)
        if session is None:
            session = self._sessions[topic] = self._session(topic, address, now_ns)
        self._counts[topic] += 1  # goes on over eras: a session key may come again, under which no count may
        return tagged(*session, self._counts[topic], message)

    def _begin_era(self, now_ns: int) -> None:
        """Which keys to speak with and to: another where the time of a key begins or ends, and session keys every `rotate_s`."""
        now_s, rotate_s = now_ns // 10**9, int(self._settings.rotate_s)
        era = (now_s - now_s % rotate_s, self._trust.era(now_ns))
        if era != self._era:
            self._era = era
            self._own = self._identity.speaks_with(self._trust, now_ns) or self._own  # revoked: others will say so
            self._sessions.clear()

    def _session(self, topic: str, address: Address, now_ns: int) -> tuple[bytes, list[AESGCM]]:
        """The head of what is tagged on a topic in this era, and the session keys with its readers."""
        names = readers_of(address, self._trust.principals(now_ns))[:MOST_READERS]
        readers = [key for key in (self._trust.of(name, now_ns) for name in names) if key is not None]
        head = session_head(topic, self._own, self._run, self._era[0], [key.id for key in readers])
        return head, [session_key(self._secret(self._own, key), head) for key in readers]

    def _secret(self, own: PrivateKey, other: PublicKey) -> bytes:
        secret = self._secrets.get((own.id, other.id))
        if secret is None:
            secret = self._secrets[own.id, other.id] = agreed_secret(own, other)
        return secret

    # Hearing -------------------------------------------------------------------------------------------------------

    def read(self, delivery: Delivery, now_ns: int) -> Received:
        """The message of a delivery, or whether it came before; raises Rejected, and reports what is no accident."""
        speaker = ""
        self._look(now_ns)
        try:
            address = parse_topic(delivery.topic)
            key, begin = self._opened(address, delivery, now_ns)
            speaker = key.principal
            message = decode(address, memoryview(delivery.payload)[begin:])
            again = self._stands(key, address, message, delivery.topic)
            if not again and not self._admit(key, address, message, delivery.topic, now_ns):
                again = delivery.duplicate
                if not again:
                    raise Rejected("replayed", f"session {message.session}, number {message.seq}")
        except Rejected as rejected:
            if rejected.reason in SECURITY_REASONS and not (rejected.reason == "expired" and delivery.retained):
                self._report(SecurityEvent(now_ns, rejected.reason, delivery.topic, speaker, rejected.detail))
            raise
        topic, payload, qos, retained, duplicate, _ = delivery
        return Received(address, message, Delivery(topic, payload, qos, retained, duplicate, begin), again)

    def _opened(self, address: Address, delivery: Delivery, now_ns: int) -> tuple[PublicKey, int]:
        """Whose key sealed it, and where its message begins; Rejected unless the seal holds by the keys there are."""
        try:
            return self._opened_now(address, delivery, now_ns)
        except Rejected as rejected:
            if rejected.reason not in _KEY_REASONS or not self._changed() or not self.renew():
                raise
        return self._opened_now(address, delivery, now_ns)

    def _opened_now(self, address: Address, delivery: Delivery, now_ns: int) -> tuple[PublicKey, int]:
        """The same, by the keys as they were read last."""
        topic, payload = delivery.topic, delivery.payload
        if len(payload) > MAX_PAYLOAD_BYTES + SEAL_BYTES:
            raise Rejected("oversized", f"{len(payload)} bytes, at most {MAX_PAYLOAD_BYTES} and a seal")
        seal = read_seal(payload)
        if seal.topic != topic_digest(topic):
            raise Rejected("relabelled", "sealed for another topic")
        speaker = self._trust.keys.get(seal.key)
        if speaker is None:
            raise Rejected("unknown_key", f"key {seal.key.hex()} is not believed")
        if not may_speak(speaker.principal, address):
            raise Rejected("attribution", f"{speaker.principal} does not speak there")
        if (seal.kind == TAGGED) != (address.kind in _TAGGED_KINDS):
            raise Rejected("forged", "a seal of the other kind")
        message = memoryview(payload)[seal.message :]
        if seal.kind == SIGNED:
            check_signature(seal, message, speaker)
            return speaker, seal.message
        if not -self._window_ns <= now_ns - seal.began_s * 10**9 <= self._key_window_ns:
            raise Rejected("expired", f"a session key of {seal.began_s} s")
        for id, own in self._identity.keys.items():
            tag = seal.tag_for(id)
            if tag and check_tag(seal, tag, message, self._key(own, speaker, seal.head)):
                return speaker, seal.message
        raise Rejected("forged", f"no tag of {speaker.principal} for us")

    def _key(self, own: PrivateKey, speaker: PublicKey, head: bytes) -> AESGCM:
        """The session key of a head that was heard."""
        key = self._keys.get((own.id, head))
        if key is None:
            if len(self._keys) >= _SESSION_KEYS:
                self._keys.pop(next(iter(self._keys)))
            key = self._keys[own.id, head] = session_key(self._secret(own, speaker), head)
        return key

    def _stands(self, key: PublicKey, address: Address, message: AnyMessage, topic: str) -> bool:
        """Whether it is what came last on its topic, of those that brokers retain."""
        apart = address.kind == "decorrelation"
        return self._guard.stands(key.principal, topic, message.session, message.seq, apart=apart)

    def _admit(self, key: PublicKey, address: Address, message: AnyMessage, topic: str, now_ns: int) -> bool:
        """Whether a message whose seal held is new; Rejected where it is not the speaker's to say, or not now.

        A key is held to its time by when the message was sent, so that what is on its way when it ends is not lost; a last will,
        which is sealed when its link is made, by when it comes.
        """
        speaker, sent_ns = key.principal, message.sent_ns
        will = isinstance(message, Status) and message.seq == 0 and message.state == "offline"
        window_ns = self._windows_ns.get(address.kind, self._window_ns)
        if not will and abs(now_ns - sent_ns) > window_ns:
            raise Rejected("expired", f"sent {(now_ns - sent_ns) / 1e9:.1f} s ago")
        if not key.holds_at(now_ns if will else sent_ns):
            raise Rejected("unknown_key", f"key {key.id.hex()} was not believed then")
        apart = address.kind == "decorrelation"  # each console has a session of its own
        kept = topic if address.kind in _RETAINED_KINDS else ""
        stream, session = stream_of(address), message.session
        return self._guard.admit(speaker, stream, session, message.seq, sent_ns, now_ns, will=will, apart=apart, topic=kept)

    def _report(self, event: SecurityEvent) -> None:
        """Log the first of a reason, then at most one a minute; tell the handlers of each."""
        self.events[event.reason] += 1
        told_ns = self._told_ns.get(event.reason)
        if told_ns is None or event.at_ns - told_ns > _QUIET_NS:
            self._told_ns[event.reason] = event.at_ns
            count = self.events[event.reason]
            log.warning("security: %s on %.100r (%d so far): %s", event.reason, event.topic, count, event.detail)
        for handler in self._handlers:
            handler(event)

    # Keys ----------------------------------------------------------------------------------------------------------

    def _look(self, now_ns: int) -> None:
        """Now and then see whether the key folder has changed."""
        if abs(now_ns - self._looked_ns) >= _LOOK_NS:
            self._looked_ns = now_ns
            self.renew()

    def renew(self) -> bool:
        """Read the key folder again if it changed, and tell so. One that cannot be read changes nothing, and is logged."""
        if self._folder is None or (marks := _marks(self._folder, self.principal)) == self._read_at:
            return False
        try:
            identity, trust = load_identity(self._folder, self.principal), load_trust(self._folder)
        except BadInput as error:
            if marks != self._unread:
                log.error("the key folder has changed, and cannot be taken: %s", error)
            self._unread = marks
            return False
        self._read_at = self._unread = marks
        self._identity, self._trust, self._era = identity, trust, _NO_ERA
        self._keys.clear()
        self._secrets.clear()
        log.info("the key folder has changed: %d keys are believed", len(trust.keys))
        return True

    def _changed(self) -> bool:
        """Whether there is anything in the key folder that has not been read, or could not."""
        return self._folder is not None and _marks(self._folder, self.principal) != self._unread


def _marks(folder: Path, principal: str) -> _Marks:
    """What tells trust.toml and sign.key from those before: one that is put in another's place may be as old."""
    return _mark(trust_file(folder)), _mark(sign_key_file(folder, principal))


def _mark(path: Path) -> tuple[int, ...]:
    """Of a file that is there: when its content and its entry were made, which it is, and its length."""
    try:
        told = path.stat()
    except OSError:
        return ()
    return told.st_mtime_ns, told.st_ctime_ns, told.st_ino, told.st_size

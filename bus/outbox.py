"""What a link still has to send: the queues, the window of unacknowledged messages, and the written drop policy. No I/O.

- QoS 0 waits only while the socket is full. Its queue is bounded; a new message pushes out the oldest (`qos0_overflow`):
  tracks supersede one another. A link that is lost takes what waits with it (`qos0_link_down`).
- QoS 1 is kept until it is acknowledged, through any outage. Waiting and in flight together are bounded; beyond that the
  new message is refused (`qos1_full`).
- What expired while it waited is not sent (`expired`).

Every drop is counted in the stats. Payload bytes are bounded as messages are.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Container
from dataclasses import dataclass
from itertools import chain

from bus.link import LinkSettings
from bus.transport import TransportStats

_LAST_ID = 65_535


@dataclass(slots=True)
class Outgoing:
    """One message to send. `expires_at_s` is on the caller's monotonic clock; `packet_id` is 0 until it is in flight."""

    topic: str
    payload: bytes
    retain: bool
    expires_at_s: float | None
    packet_id: int = 0
    sent_before: bool = False

    def expiry_s(self, now_s: float) -> int | None:
        """Whole seconds left to live, at least 1; None where it lives for ever."""
        return None if self.expires_at_s is None else max(1, round(self.expires_at_s - now_s))

    def expired(self, now_s: float) -> bool:
        return self.expires_at_s is not None and now_s >= self.expires_at_s


def deadline(expiry_s: int | None) -> float | None:
    """When what may live so long from now expires, on the monotonic clock."""
    return None if expiry_s is None else time.monotonic() + expiry_s


class Outbox:
    """The outgoing state of one transport."""

    def __init__(self, settings: LinkSettings, stats: TransportStats) -> None:
        self._settings, self._stats = settings, stats
        self._qos0: deque[Outgoing] = deque()
        self._qos1: deque[Outgoing] = deque()
        self._qos0_bytes = self._qos1_bytes = 0
        self._last_id = 0
        self._to_resend: set[int] = set()  # ids of messages in the queue that were in flight on the lost link
        self.in_flight: dict[int, Outgoing] = {}
        self.window = settings.in_flight

    def __len__(self) -> int:
        """Messages waiting, in flight not counted."""
        return len(self._qos0) + len(self._qos1)

    @property
    def unacknowledged(self) -> int:
        """QoS 1 messages that the broker is not known to have."""
        return len(self._qos1) + len(self.in_flight)

    @property
    def qos0_waits(self) -> bool:
        return bool(self._qos0)

    def hold_qos0(self, message: Outgoing) -> bool:
        """Let it wait for the socket; the oldest go where there is no room. False where not even this one fits."""
        self._qos0.append(message)
        self._qos0_bytes += len(message.payload)
        while len(self._qos0) > self._settings.qos0_queue or self._qos0_bytes > self._settings.queue_bytes:
            self._qos0_bytes -= len(self._qos0.popleft().payload)
            self._stats.dropped["qos0_overflow"] += 1
        return bool(self._qos0)

    def next_qos0(self, now_s: float) -> Outgoing | None:
        """The oldest QoS 0 message that still lives, taken out."""
        while self._qos0:
            message = self._qos0.popleft()
            self._qos0_bytes -= len(message.payload)
            if not message.expired(now_s):
                return message
            self._stats.dropped["expired"] += 1
        return None

    def accept_qos1(self, message: Outgoing) -> bool:
        """Keep it until it is acknowledged; False where the queue is full."""
        full = self.unacknowledged >= self._settings.qos1_queue
        if full or self._qos1_bytes + len(message.payload) > self._settings.queue_bytes:
            self._stats.dropped["qos1_full"] += 1
            return False
        self._qos1.append(message)
        self._qos1_bytes += len(message.payload)
        return True

    def next_qos1(self, now_s: float, reserved: Container[int] = ()) -> Outgoing | None:
        """The next QoS 1 message the window has room for, now in flight under an id that is not reserved."""
        while self._qos1 and len(self.in_flight) < self.window:
            message = self._qos1.popleft()
            if message.expired(now_s):
                self._qos1_bytes -= len(message.payload)
                self._to_resend.discard(message.packet_id)
                self._stats.dropped["expired"] += 1
                continue
            message.packet_id = message.packet_id or self.new_id(reserved)
            self._to_resend.discard(message.packet_id)
            self.in_flight[message.packet_id] = message
            return message
        return None

    def new_id(self, reserved: Container[int] = ()) -> int:
        """A packet id that nothing in flight, or to be sent again, has. There is always one: the window is smaller."""
        while True:
            self._last_id = self._last_id % _LAST_ID + 1
            if not any(self._last_id in taken for taken in (self.in_flight, self._to_resend, reserved)):
                return self._last_id

    def acknowledge(self, packet_id: int) -> Outgoing | None:
        """The broker has it: the message. None for an id that is not in flight."""
        message = self.in_flight.pop(packet_id, None)
        if message is not None:
            self._qos1_bytes -= len(message.payload)
        return message

    def link_lost(self) -> None:
        """What was in flight goes back to the head of the queue, in its order and with its id; QoS 0 is dropped."""
        self._stats.dropped["qos0_link_down"] += len(self._qos0)
        self._qos0.clear()
        self._qos0_bytes = 0
        self._to_resend |= self.in_flight.keys()
        self._qos1 = deque(chain(self.in_flight.values(), self._qos1))
        self.in_flight = {}

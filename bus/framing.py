"""One TCP or TLS connection that carries MQTT packets: buffer, framing, keepalive. The codec's `read` is handed in.

- Bytes land in one buffer that is used again; packets are cut from it as the codec reads them, and what one read held is
  handed over together.
- The codec only says "not enough bytes". The fixed header is read here, so that a long packet is not tried again at every
  read, a too long one is not waited for, and one that has wholly arrived and still cannot be read is malformed.
- A packet goes straight to the socket. From the ninth of one loop iteration on they are gathered and written together when
  the iteration ends or 64 kB are full: the first never waits, and a burst costs few system calls. What its owner wants to go
  as one piece is gathered from the first packet on, until the owner lets go.
- A malformed or too large packet ends the connection and is counted. So does silence over two pings.

It knows nothing of sessions: who is greeted, subscribed or owed an acknowledgement is its owner's business.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final, cast

log = logging.getLogger(__name__)

Read = Callable[[memoryview], tuple[object, int]]
_BUFFER_BYTES: Final = 262_144
# A broker that leaves Nagle's algorithm on (rumqttd, Mosquitto by default) holds a small packet back until the last one is
# acknowledged, and a kernel puts that off by 40 ms. Linux forgets this option again after a while: it is set at each read.
_QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
_STRAIGHT_WRITES: Final = 8  # of one loop iteration: enough for every alert of one launch
_GATHERED_BYTES: Final = 65_536
_HEADER_BYTES: Final = 5  # packet type, and a length of up to four bytes


def packet_length(view: memoryview) -> int | None:
    """The whole length of the packet that begins here, bytes; None while its header is incomplete or is none."""
    length = 0
    for i, byte in enumerate(view[1:_HEADER_BYTES]):
        length |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return 2 + i + length
    return None


class Connection(asyncio.BufferedProtocol):
    """One connection, from its making to its loss; it is never used again."""

    def __init__(
        self,
        read: Read,
        largest_packet: int,
        on_packets: Callable[[Connection, list[object]], None],
        on_writable: Callable[[bool], None],
        on_lost: Callable[[Connection, str], None],
    ) -> None:
        self._read, self._largest = read, largest_packet
        self._on_packets, self._on_writable, self._on_lost = on_packets, on_writable, on_lost
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._held = 0  # bytes of the buffer that wait for the rest of their packet
        self._needed = 0  # length of that packet, where it is known
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._greeted: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._writes_now = 0
        self._gathering = False
        self._why = ""
        self.lost_by: Exception | None = None  # what ended it, where that was neither side's wish
        self._heard = True
        self._timer: asyncio.TimerHandle | None = None
        self.malformed = 0

    # Owner's side --------------------------------------------------------------------------------------------------

    def prepare(self, write_buffer: int) -> None:
        """Set the socket up: no Nagle, and backpressure once `write_buffer` bytes wait."""
        assert self._transport is not None
        self._transport.set_write_buffer_limits(high=write_buffer)
        sock: socket.socket = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock

    def write(self, packet: bytes) -> None:
        """Straight to the socket; the later packets of a burst within one loop iteration together, when it ends."""
        if self._transport is None:
            return
        if self._writes_now == 0:
            self._loop.call_soon(self._end_burst)
        self._writes_now += 1
        if self._writes_now <= _STRAIGHT_WRITES and not self._gathering:
            self._transport.write(packet)
            return
        self._gathered.append(packet)
        self._gathered_bytes += len(packet)
        if self._gathered_bytes >= _GATHERED_BYTES:
            self._write_gathered()

    def gather(self) -> None:
        """From now on until `let_go` packets are gathered."""
        self._gathering = True

    def let_go(self) -> None:
        """Write what was gathered, in one piece."""
        self._gathering = False
        self._write_gathered()

    def greeted(self, ping: bytes, every_s: float) -> None:
        """The broker has let us in: keep the link alive from now on."""
        if not self._greeted.done():
            self._greeted.set_result(None)
        self._timer = self._loop.call_later(every_s, self._beat, ping, every_s)

    async def wait_greeted(self) -> None:
        """Until the broker has answered, or the connection is lost."""
        await asyncio.shield(self._greeted)

    async def wait_lost(self) -> None:
        await asyncio.shield(self._lost)

    def close(self) -> None:
        """Close once everything written has gone out."""
        self._write_gathered()
        if self._transport is not None:
            self._transport.close()

    def abort(self, why: str = "") -> None:
        """Close now."""
        self._why = self._why or why
        if self._transport is not None:
            self._transport.abort()

    # The loop's side -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # another loop's transport need not be a subclass

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = self._socket = None
        self.lost_by = error
        if self._timer is not None:
            self._timer.cancel()
        self._on_lost(self, self._why or str(error or ""))
        for future in (self._greeted, self._lost):
            if not future.done():
                future.set_result(None)

    def pause_writing(self) -> None:
        self._on_writable(False)

    def resume_writing(self) -> None:
        self._on_writable(True)

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._needed > len(self._buffer):
            larger = memoryview(bytearray(self._needed + _BUFFER_BYTES))
            larger[: self._held] = self._buffer[: self._held]
            self._buffer = larger
        return self._buffer[self._held :]

    def buffer_updated(self, nbytes: int) -> None:
        self._heard = True
        end = self._held + nbytes
        if end < self._needed:
            self._held = end
            self._acknowledge()
            return
        packets: list[object] = []
        at = self._cut(self._buffer[:end], packets)
        self._held = end - at
        if at and self._held:
            self._buffer[: self._held] = self._buffer[at:end]
        try:
            self._on_packets(self, packets)
        except ValueError as error:
            self._break(str(error))
        self._acknowledge()

    def _acknowledge(self) -> None:
        """After the handlers: sending the acknowledgement takes as long as a quick handler."""
        if _QUICK_ACK is not None and self._socket is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    def _cut(self, view: memoryview, packets: list[object]) -> int:
        """Read every whole packet into `packets`; the count of bytes they took."""
        read, at, end = self._read, 0, len(view)
        self._needed = 0
        while at < end:
            try:
                packet, used = read(view[at:])
            except IndexError as error:
                length = packet_length(view[at:])
                if length is not None and (length > self._largest or at + length <= end):
                    self._break(f"a packet of {length} bytes cannot be taken: {error}")
                elif length is None and end - at >= _HEADER_BYTES:
                    self._break("a packet's length is none")
                self._needed = length or 0
                return at
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                # The codec is a Rust extension: on a topic that is not UTF-8 it panics, and a panic is not an Exception.
                self._break(f"{type(error).__name__}: {error}")
                return end
            packets.append(packet)
            at += used
        return at

    def _break(self, why: str) -> None:
        """The broker does not keep to the protocol: nothing after this point can be trusted."""
        self.malformed += 1
        self.abort(f"malformed packet: {why}")

    def _end_burst(self) -> None:
        self._writes_now = 0
        self._write_gathered()

    def _write_gathered(self) -> None:
        if self._gathered and self._transport is not None:
            together = b"".join(self._gathered)
            self._gathered.clear()
            self._gathered_bytes = 0
            self._transport.write(together)

    def _beat(self, ping: bytes, every_s: float) -> None:
        if not self._heard:
            self.abort(f"no answer to a ping within {every_s:g} s")
            return
        self._heard = False
        self.write(ping)
        self._timer = self._loop.call_later(every_s, self._beat, ping, every_s)

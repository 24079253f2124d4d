"""The floor under every warning: the same bytes through the same broker twice, socket to socket, with nothing done in between.

Source, relay and receiver are processes of their own on raw blocking sockets, with packets made ahead of time. The source
sends a "frame" at QoS 0 when it is due; the relay answers each with an "alert" at QoS 1, retained, and the receiver acknowledges
it: the QoS of each hop as in an exercise. The clock starts when the frame was due, so that a stall counts.

The packets are MQTT 5 by the letter of the standard (OASIS, 2019) and only as much of it as this needs.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import struct
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.errors import BadInput, BusError, Refused, Unreachable
from bus.link import BrokerUrl, parse_url
from bus.pace import block_until

_PATIENCE_S: Final = 20.0
_NAP_S: Final = 0.003  # as the sources of an exercise wait (bus.pace), so that both find the machine equally awake
_INDEX: Final = struct.Struct("<Q")  # the last bytes of each payload: which frame this is
_KEEPALIVE_S: Final = 600
_QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)  # as in bus.framing, and for its reason
_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90


class Floor:
    """A source, a relay and a receiver on one broker, ready for `count` frames; a context manager.

    Frames of `payload_in` bytes, alerts of `payload_out`. Raises BusError where the broker cannot be reached, refuses, or loses
    a message.
    """

    def __init__(self, url: str, payload_in: bytes, payload_out: bytes, count: int) -> None:
        self._broker, self._run = parse_url(url), f"bench/{os.getpid():x}-{time.time_ns():x}"
        if self._broker.tls:
            raise BadInput("broker", "url", "the floor is measured over plain MQTT", "mqtt://host[:port]")
        self._payload_in, self._payload_out, self._count = payload_in, payload_out, count
        self._due_ns: list[int] = []
        self._parties: list[multiprocessing.process.BaseProcess] = []
        self._ends: list[Connection] = []

    def __enter__(self) -> Floor:
        spawn = multiprocessing.get_context("spawn")
        try:
            for role in (_relay, _receive):
                ours, theirs = spawn.Pipe()
                arguments = (self._broker, self._run, self._payload_out, self._count, theirs)
                party = spawn.Process(target=role, args=arguments, daemon=True)
                party.start()
                theirs.close()
                self._parties.append(party)
                self._ends.append(ours)
            for end in self._ends:
                _answer(end, "a party of the floor did not get ready")
            self._wire = _Wire(self._broker, f"{self._run}-source")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()
        self._stop()

    def _stop(self) -> None:
        for party in self._parties:
            party.terminate()
            party.join()

    def fire(self, rate_hz: float, count: int) -> None:
        """Send `count` frames, each when it is due."""
        first = len(self._due_ns)
        head = _publish_head(f"{self._run}/frame", len(_stamped(self._payload_in, 0)))
        packets = [head + _stamped(self._payload_in, index) for index in range(first, first + count)]
        start_ns = time.time_ns() + 200_000_000
        due_ns = [start_ns + int(index * 1e9 / rate_hz) for index in range(count)]
        for packet, due in zip(packets, due_ns, strict=True):
            time.sleep(max(0.0, (due - time.time_ns()) / 1e9 - _NAP_S))
            block_until(due)
            self._wire.send(packet)
        self._due_ns += due_ns

    def seconds(self) -> NDArray[np.float64]:
        """Seconds from the instant a frame was due to its alert's arrival, one a frame; once all were fired."""
        came_ns = np.array(_answer(self._ends[1], "not every message came through"))
        return np.asarray((came_ns - np.array(self._due_ns)) / 1e9)


def _answer(end: Connection, otherwise: str) -> object:
    """What a party says next; its failure is ours."""
    try:
        said = end.recv() if end.poll(_PATIENCE_S) else BusError(otherwise)
    except EOFError:
        said = BusError(otherwise)
    if isinstance(said, BusError):
        raise said
    return said


def _relay(broker: BrokerUrl, run: str, payload: bytes, count: int, end: Connection) -> None:
    try:
        with _Wire(broker, f"{run}-relay") as wire:
            wire.subscribe(f"{run}/frame", qos=0)
            body = _stamped(payload, 0)[: -_INDEX.size]
            heads = [
                _publish_head(f"{run}/alert", len(body) + _INDEX.size, packet_id=1 + i % 65_535) + body for i in range(count)
            ]
            end.send("ready")
            sent = acknowledged = 0
            for kind, packet in wire.packets():
                if kind & 0xF0 == _PUBLISH:
                    wire.send(heads[sent] + packet[-_INDEX.size :])
                    sent += 1
                elif kind == _PUBACK:
                    acknowledged += 1
                if acknowledged == count:
                    wire.send(_publish_head(f"{run}/alert", 0, packet_id=1))  # nothing stays retained
                    break
            next(wire.packets())
    except BusError as error:
        end.send(error)


def _receive(broker: BrokerUrl, run: str, payload: bytes, count: int, end: Connection) -> None:
    try:
        with _Wire(broker, f"{run}-receiver") as wire:
            wire.subscribe(f"{run}/alert", qos=1)
            came_ns = [0] * count
            id_at = 2 + len(f"{run}/alert")
            end.send("ready")
            held = 0
            for kind, packet in wire.packets():
                if kind & 0xF0 == _PUBLISH:
                    came_ns[_INDEX.unpack(packet[-_INDEX.size :])[0]] = time.time_ns()
                    wire.send(bytes((_PUBACK, 2)) + packet[id_at : id_at + 2])
                    held += 1
                if held == count:
                    break
            end.send(came_ns)
    except BusError as error:
        end.send(error)


def _stamped(payload: bytes, index: int) -> bytes:
    """A payload of the same length (at least 8 bytes) that ends with the frame's index."""
    return payload[: -_INDEX.size] + _INDEX.pack(index)


class _Wire:
    """One blocking MQTT 5 connection."""

    def __init__(self, broker: BrokerUrl, client_id: str) -> None:
        try:
            self._socket = socket.create_connection((broker.host, broker.port), timeout=_PATIENCE_S)
        except OSError as error:
            raise Unreachable(f"no broker at {broker}: {error.strerror or error}") from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""
        flags, login = 0x02, b""  # clean start
        if broker.username is not None:
            flags, login = flags | 0x80, _text(broker.username)
            if broker.password is not None:
                flags, login = flags | 0x40, login + _text(broker.password)
        head = _text("MQTT") + bytes((5, flags)) + _KEEPALIVE_S.to_bytes(2, "big") + b"\x00"
        self.send(_packet(_CONNECT, head + _text(client_id.replace("/", "-")) + login))
        kind, body = next(self.packets())
        if kind != _CONNACK or body[1] >= 128:
            raise Refused(f"the broker at {broker} refused a connection, reason code {body[1]}")

    def __enter__(self) -> _Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, packet: bytes) -> None:
        self._socket.sendall(packet)

    def subscribe(self, topic_filter: str, qos: int) -> None:
        self.send(_packet(_SUBSCRIBE, b"\x00\x01\x00" + _text(topic_filter) + bytes((qos,))))
        kind, body = next(self.packets())
        if kind != _SUBACK or body[-1] >= 128:
            raise Refused(f"the broker refused a subscription to {topic_filter}")

    def packets(self) -> Iterator[tuple[int, bytes]]:
        """The first byte and the body of every packet, as they come. BusError when the connection ends or is silent."""
        while True:
            if (whole := _cut(self._held)) is not None:
                kind, body, self._held = whole
                yield kind, body
                continue
            try:
                data = self._socket.recv(65_536)
            except OSError as error:
                raise BusError(f"the broker fell silent: {error}") from None
            if not data:
                raise BusError("the broker closed the connection")
            if _QUICK_ACK is not None:
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
            self._held += data


def _cut(data: bytes) -> tuple[int, bytes, bytes] | None:
    """The first packet's first byte and body, and what follows it; None while it is incomplete."""
    length = 0
    for i, byte in enumerate(data[1:5]):
        length |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            begin = 2 + i
            return (data[0], data[begin : begin + length], data[begin + length :]) if len(data) >= begin + length else None
    return None


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw


def _length(n: int) -> bytes:
    """MQTT's variable byte integer."""
    out = bytearray()
    while True:
        n, low = divmod(n, 128)
        out.append(low | (0x80 if n else 0))
        if not n:
            return bytes(out)


def _packet(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + _length(len(body)) + body


def _publish_head(topic: str, payload_bytes: int, packet_id: int = 0) -> bytes:
    """A PUBLISH up to its payload: QoS 0, or with an id QoS 1 and retained."""
    head = _text(topic) + (packet_id.to_bytes(2, "big") if packet_id else b"") + b"\x00"
    return bytes((_PUBLISH | (0x03 if packet_id else 0),)) + _length(len(head) + payload_bytes) + head

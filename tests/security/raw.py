"""An MQTT 5 client without manners: it connects as it is told, sends what it is told, and shows what comes back."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import mqtt5

from bus.security import key_files

NOT_AUTHORIZED: Final = mqtt5.PubAckReasonCode.NOT_AUTHORIZED
_PATIENCE_S: Final = 10.0
_BATCH: Final = 50  # QoS 1 messages in flight: less than any broker's window


def context_of(folder: Path, principal: str | None, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A TLS context with the certificate of a principal, or with none; it checks no more than it must."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if principal is not None:
        files = key_files(folder, principal)
        context.load_cert_chain(files.certificate, files.key)
    return context


class RawClient:
    """One connection, let in by the broker; a context manager. ConnectionError (ssl.SSLError too) where it is not let in."""

    def __init__(self, port: int, context: ssl.SSLContext | None, client_id: str, **hello: Any) -> None:
        self._held = b""
        self._next_id = 0
        self.published: list[mqtt5.PublishPacket] = []  # what came while something else was waited for
        plain = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        self._socket = plain
        try:
            if context is not None:  # this side of the handshake may well succeed where the other does not
                self._socket = context.wrap_socket(plain)
            self.send(mqtt5.ConnectPacket(client_id, **{"clean_start": True, **hello}))
            answer = self._next()
            if not isinstance(answer, mqtt5.ConnAckPacket) or int(answer.reason_code) >= 128:
                raise ConnectionError(f"refused: {answer}")
        except BaseException:
            self._socket.close()
            raise
        self.resumed = answer.session_present

    def send(self, *packets: Any) -> None:
        self._socket.sendall(b"".join(packet.write() for packet in packets))

    def publish(self, topics: Sequence[str], payload: bytes, *, retain: bool = False) -> dict[str, mqtt5.PubAckReasonCode]:
        """Publish on each topic at QoS 1; the broker's word on each."""
        answers: dict[str, mqtt5.PubAckReasonCode] = {}
        for at in range(0, len(topics), _BATCH):
            asked = dict(zip(self._ids(), topics[at : at + _BATCH], strict=False))
            self.send(
                *(
                    mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=retain, packet_id=number)
                    for number, topic in asked.items()
                )
            )
            while asked:
                answer = self._until(mqtt5.PubAckPacket)
                answers[asked.pop(answer.packet_id)] = answer.reason_code
        return answers

    def subscribe(self, *filters: str, qos: mqtt5.QoS = mqtt5.QoS.AT_MOST_ONCE) -> None:
        """Ask for each filter; whatever the broker grants."""
        self.send(mqtt5.SubscribePacket(1, [mqtt5.TopicFilter(each, max_qos=qos) for each in filters]))
        self._until(mqtt5.SubAckPacket)

    def heard(self) -> list[mqtt5.PublishPacket]:
        """Everything that the broker has sent by now: it answers in order."""
        self.send(mqtt5.PingReqPacket())
        self._until(mqtt5.PingRespPacket)
        taken, self.published = self.published, []
        return taken

    def vanish(self) -> None:
        """Be gone without a goodbye."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.vanish()

    def _ids(self) -> Iterable[int]:
        while True:
            self._next_id = self._next_id % 60_000 + 1
            yield self._next_id

    def _until(self, kind: type) -> Any:
        while not isinstance(packet := self._next(), kind):
            if isinstance(packet, mqtt5.PublishPacket):
                self.published.append(packet)
        return packet

    def _next(self) -> Any:
        while True:
            try:
                packet, used = mqtt5.read(memoryview(self._held))
            except IndexError:
                data = self._socket.recv(65_536)
                if not data:
                    raise ConnectionError("closed by the broker") from None
                self._held += data
                continue
            self._held = self._held[used:]
            return packet

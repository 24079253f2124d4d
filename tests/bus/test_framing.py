from __future__ import annotations

import asyncio
import random

import mqtt5
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.framing import Connection, Read, packet_length

PACKETS = [
    mqtt5.PublishPacket("a/b", bytes(n), qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=1 + n % 9, message_expiry_interval=n).write()
    for n in (0, 1, 100, 121, 16_380)
] + [mqtt5.PingRespPacket().write(), mqtt5.PubAckPacket(5).write()]


class Sink(asyncio.Transport):
    """A socket that keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True


def connection(largest: int = 2**20, read: Read = mqtt5.read) -> tuple[Connection, list[object], Sink]:
    taken: list[object] = []
    made = Connection(read, largest, lambda _, packets: taken.extend(packets), lambda _: None, lambda _, __: None)
    sink = Sink()
    made.connection_made(sink)
    return made, taken, sink


def feed(to: Connection, data: bytes) -> None:
    """As the loop does: ask for the buffer, fill some of it, say how much."""
    while data:
        buffer = to.get_buffer(-1)
        n = min(len(buffer), len(data))
        buffer[:n] = data[:n]
        to.buffer_updated(n)
        data = data[n:]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, len(PACKETS) - 1), min_size=1, max_size=8),
    st.integers(0, 2**32),
    st.sampled_from([2, 5, 100, 5000, 70_000]),
)
def test_packets_come_out_the_same_however_the_stream_is_cut(chosen: list[int], seed: int, largest_cut: int) -> None:
    packets = [PACKETS[i] for i in chosen]

    async def run() -> None:
        rng, stream = random.Random(seed), b"".join(packets)
        made, taken, sink = connection()
        while stream:
            n = rng.randint(1, largest_cut)
            feed(made, stream[:n])
            stream = stream[n:]
        assert [packet.write() for packet in taken] == packets  # type: ignore[attr-defined]
        assert not sink.aborted

    asyncio.run(run())


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60).filter(lambda raw: not any(byte >= 0x80 for byte in raw[2:])))
def test_any_bytes_end_the_connection_or_wait_and_never_raise(raw: bytes) -> None:
    """Bytes that are not UTF-8 are left to the test with a script: each makes the codec print its panic."""

    async def run() -> None:
        made, _, sink = connection()
        feed(made, raw)
        assert sink.aborted == (made.malformed > 0)

    asyncio.run(run())


def test_a_packets_length_is_read_from_its_header() -> None:
    for packet in PACKETS:
        assert packet_length(memoryview(packet)) == len(packet)
    assert packet_length(memoryview(b"\x30")) is None
    assert packet_length(memoryview(b"\x30\xff\xff")) is None


async def test_a_packet_larger_than_the_buffer_grows_it() -> None:
    made, taken, sink = connection()
    large = mqtt5.PublishPacket("a", bytes(700_000)).write()
    feed(made, PACKETS[2] + large + PACKETS[1] + large)
    assert [len(packet.write()) for packet in taken] == [len(PACKETS[2]), len(large), len(PACKETS[1]), len(large)]  # type: ignore[attr-defined]
    assert not sink.aborted


async def test_a_packet_larger_than_allowed_is_never_buffered() -> None:
    made, taken, sink = connection(largest=1000)
    feed(made, PACKETS[3] + PACKETS[4][:10])
    assert len(taken) == 1
    assert (made.malformed, sink.aborted) == (1, True)


async def test_the_first_packets_of_a_burst_never_wait_and_the_rest_go_together() -> None:
    made, _, sink = connection()
    for i in range(100):
        made.write(b"%02d" % i)
    assert sink.writes == [b"%02d" % i for i in range(8)]
    await asyncio.sleep(0)
    assert sink.writes[8:] == [b"".join(b"%02d" % i for i in range(8, 100))]
    made.write(b"next")
    assert sink.writes[-1] == b"next"


async def test_a_codec_that_asks_for_more_than_the_packet_holds_is_not_waited_for() -> None:
    def never_content(view: memoryview) -> tuple[object, int]:
        raise IndexError("not enough bytes")

    made, _, sink = connection(read=never_content)
    feed(made, PACKETS[2][:-1])
    assert not sink.aborted
    feed(made, PACKETS[2][-1:])
    assert (made.malformed, sink.aborted) == (1, True)


async def test_what_is_gathered_goes_as_one_piece_at_once() -> None:
    made, _, sink = connection()
    made.gather()
    made.write(b"one ")
    made.write(b"two")
    assert sink.writes == []
    made.let_go()
    assert sink.writes == [b"one two"]
    made.write(b"three")
    assert sink.writes == [b"one two", b"three"]

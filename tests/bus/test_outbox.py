from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.link import LinkSettings
from bus.outbox import Outbox, Outgoing
from bus.transport import TransportStats


def message(payload: bytes = b"x", expires_at_s: float | None = None) -> Outgoing:
    return Outgoing("t", payload, False, expires_at_s)


def outbox(**options: int) -> tuple[Outbox, TransportStats]:
    stats = TransportStats()
    return Outbox(LinkSettings(**options), stats), stats


def test_qos0_drops_the_oldest_when_it_is_full() -> None:
    box, stats = outbox(qos0_queue=3)
    assert all(box.hold_qos0(message(b"%d" % i)) for i in range(5))
    kept = [box.next_qos0(0.0) for _ in range(4)]
    assert [held.payload for held in kept if held] == [b"2", b"3", b"4"]
    assert stats.dropped["qos0_overflow"] == 2


def test_queues_are_bounded_in_bytes_too() -> None:
    box, stats = outbox(queue_bytes=1024)
    assert not box.hold_qos0(message(bytes(2000)))
    assert box.hold_qos0(message(bytes(1000)))
    assert box.hold_qos0(message(bytes(1000)))
    assert (len(box), stats.dropped["qos0_overflow"]) == (1, 2)
    assert box.accept_qos1(message(bytes(1000)))
    assert not box.accept_qos1(message(bytes(1000)))
    first = box.next_qos1(0.0)
    assert first is not None
    assert not box.accept_qos1(message(bytes(1000)))  # in flight still counts
    assert box.acknowledge(first.packet_id)
    assert box.accept_qos1(message(bytes(1000)))
    assert stats.dropped["qos1_full"] == 2


def test_what_expired_while_it_waited_is_counted_and_not_sent() -> None:
    box, stats = outbox()
    for deadline in (5.0, None, 20.0):
        box.accept_qos1(message(expires_at_s=deadline))
        box.hold_qos0(message(expires_at_s=deadline))
    sent = [box.next_qos1(10.0), box.next_qos0(10.0), box.next_qos1(10.0), box.next_qos0(10.0)]
    assert [m.expiry_s(10.0) for m in sent if m] == [None, None, 10, 10]
    assert (stats.dropped["expired"], box.unacknowledged) == (2, 2)


def test_a_lost_link_puts_what_was_in_flight_first_again_and_drops_qos0() -> None:
    box, stats = outbox()
    box.window = 2
    for i in range(4):
        box.accept_qos1(message(b"%d" % i))
    flying = [box.next_qos1(0.0), box.next_qos1(0.0)]
    ids = [m.packet_id for m in flying if m]
    box.hold_qos0(message())
    box.link_lost()
    assert stats.dropped["qos0_link_down"] == 1
    assert not any(box.new_id() in ids for _ in range(65_535))  # round the whole number space
    box.window = 10
    again = [m for m in (box.next_qos1(0.0) for _ in range(5)) if m]
    assert [m.payload for m in again] == [b"0", b"1", b"2", b"3"]
    assert [m.packet_id for m in again[:2]] == ids
    assert len({m.packet_id for m in again}) == 4


steps = st.lists(st.sampled_from(["accept", "send", "acknowledge", "lose"]), max_size=120)


@settings(deadline=None, max_examples=300)
@given(steps, st.integers(1, 5), st.integers(1, 12))
def test_no_accepted_message_is_ever_lost_or_reordered(steps: list[str], window: int, queue: int) -> None:
    """Against the plainest of twins: the list of what was accepted and not acknowledged."""
    box, _ = outbox(qos1_queue=queue)
    box.window = window
    twin: list[bytes] = []
    for i, step in enumerate(steps):
        if step == "accept":
            accepted = box.accept_qos1(message(b"%d" % i))
            assert accepted == (len(twin) < queue)
            twin += [b"%d" % i] * accepted
        elif step == "send":
            box.next_qos1(0.0)
        elif step == "acknowledge" and box.in_flight:
            first = next(iter(box.in_flight))
            assert box.in_flight[first].payload == twin.pop(0)
            assert box.acknowledge(first)
        elif step == "lose":
            box.link_lost()
        assert len(box.in_flight) <= window
        assert box.unacknowledged == len(twin)
    box.link_lost()
    box.window = len(twin) + 1
    assert [m.payload for m in iter(lambda: box.next_qos1(0.0), None)] == twin

from __future__ import annotations

from bus.memory import MemoryBus
from bus.transport import Delivery, LinkState, Will


def test_what_a_handler_publishes_comes_after_the_present_message_has_reached_everybody() -> None:
    bus = MemoryBus()
    node, other = bus.transport("node"), bus.transport("other")
    seen: list[str] = []

    def first(delivery: Delivery) -> None:
        seen.append(f"first {delivery.topic}")
        if delivery.topic == "a":
            node.publish("b", b"")
        seen.append(f"first {delivery.topic} done")

    node.subscribe("#", first)
    other.subscribe("#", lambda delivery: seen.append(f"second {delivery.topic}"))
    node.connect_nowait()
    other.connect_nowait()
    node.publish("a", b"")
    assert seen == ["first a", "first a done", "second a", "first b", "first b done", "second b"]


def test_it_needs_no_event_loop_and_repeats_itself_exactly() -> None:
    def run() -> list[Delivery]:
        bus, seen = MemoryBus(), list[Delivery]()
        hub = bus.transport("hub")
        hub.subscribe("n/+", seen.append, 1)
        hub.connect_nowait()
        nodes = [bus.transport(f"n{i}", Will(f"n/{i}", b"dead")) for i in range(3)]
        for node in nodes:
            node.connect_nowait()
            node.publish(f"n/{node.client_id}", b"born", qos=1, retain=True)
        nodes[1].vanish()
        nodes[0].cut()
        nodes[0].restore()
        nodes[2].disconnect_nowait()
        return seen

    assert run() == run()
    assert [d.payload for d in run()] == [b"born"] * 3 + [b"dead"] * 2


def test_a_transport_that_left_hears_and_says_nothing() -> None:
    bus = MemoryBus()
    node, gone = bus.transport("node"), bus.transport("gone", Will("w", b"dead"))
    seen: list[Delivery] = []
    states: list[LinkState] = []
    gone.subscribe("#", seen.append, 1)
    gone.on_link(states.append)
    node.connect_nowait()
    gone.connect_nowait()
    gone.disconnect_nowait()
    gone.vanish()
    gone.restore()
    node.publish("a", b"x", qos=1)
    assert not gone.publish("a", b"x", qos=1)
    assert (seen, states, bus.retained) == ([], ["connected", "closed"], {})

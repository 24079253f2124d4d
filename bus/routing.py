"""From a topic to the handlers that want it: MQTT's filters, and a table that remembers.

`+` stands for one level, `#` for the rest (the level before it included); neither matches a first level that begins with
`$`. A shared subscription `$share/<group>/<filter>` matches as its filter. It sends no SUBSCRIBE: it only knows what
was asked for, and what the broker has granted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from bus.transport import Handler, QoS

_CACHED_TOPICS: Final = 4096  # alert ids make new topics for ever: the cache starts afresh when it is full


def check_filter(topic_filter: str) -> None:
    """ValueError unless this is a filter by MQTT's rules."""
    levels = topic_filter.split("/")
    sound = bool(topic_filter) and "\0" not in topic_filter and len(topic_filter.encode()) <= 65_535
    for i, level in enumerate(levels):
        sound &= level in ("+", "#") or not set(level) & {"+", "#"}
        sound &= level != "#" or i == len(levels) - 1
    if not sound:
        raise ValueError(f"{topic_filter!r} is not a topic filter")


@lru_cache(maxsize=_CACHED_TOPICS)  # a publisher's topics are few, and this stands in its way
def check_topic(topic: str) -> None:
    """ValueError unless this is a topic that can be published to."""
    if not topic or "+" in topic or "#" in topic or "\0" in topic or len(topic.encode()) > 65_535:
        raise ValueError(f"{topic!r} is not a topic to publish to")


def matches(topic_filter: str, topic: str) -> bool:
    """Whether the filter takes the topic."""
    if topic_filter.startswith("$share/"):
        topic_filter = topic_filter.split("/", 2)[2]
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for i, level in enumerate(wanted):
        if level == "#":
            return True
        if i == len(levels) or level not in ("+", levels[i]):
            return False
    return len(wanted) == len(levels)


@dataclass(slots=True)
class Route:
    """One filter and who wants it. `number` is its MQTT subscription identifier; `granted` is the broker's word."""

    topic_filter: str
    number: int
    qos: QoS
    handlers: tuple[Handler, ...]
    granted: bool = False


class Routes:
    """All filters of one transport, in the order they were asked for."""

    def __init__(self) -> None:
        self._by_filter: dict[str, Route] = {}
        self.by_number: dict[int, Route] = {}
        self._cache: dict[str, tuple[Handler, ...]] = {}

    def add(self, topic_filter: str, handler: Handler, qos: QoS) -> Route:
        """Remember the handler; the filter's QoS is the highest that any handler asked for."""
        check_filter(topic_filter)
        self._cache.clear()
        route = self._by_filter.get(topic_filter)
        if route is None:
            route = Route(topic_filter, len(self._by_filter) + 1, qos, (handler,))
            self._by_filter[topic_filter] = self.by_number[route.number] = route
        else:
            route.handlers += (handler,)
            route.qos = max(route.qos, qos)
            route.granted = False
        return route

    def all(self) -> list[Route]:
        return list(self._by_filter.values())

    def waiting(self) -> list[Route]:
        """The routes that the broker has not granted yet."""
        return [route for route in self._by_filter.values() if not route.granted]

    def forget_grants(self) -> None:
        """The broker has lost the session: every filter must be asked for again."""
        for route in self._by_filter.values():
            route.granted = False

    def handlers_for(self, topic: str) -> tuple[Handler, ...]:
        """The handlers of every filter that takes this topic."""
        found = self._cache.get(topic)
        if found is None:
            if len(self._cache) >= _CACHED_TOPICS:
                self._cache.clear()
            found = tuple(h for route in self._by_filter.values() if matches(route.topic_filter, topic) for h in route.handlers)
            self._cache[topic] = found
        return found

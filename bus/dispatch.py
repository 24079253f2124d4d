"""Handing messages and link changes to their handlers: the same for every adapter.

A handler that raises is logged and counted; the others still get the message.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from bus.transport import Delivery, Handler, LinkHandler, LinkState, TransportStats

log = logging.getLogger(__name__)


class Dispatch:
    """The handlers' side of one transport, named in the log by its client id."""

    def __init__(self, client_id: str, stats: TransportStats) -> None:
        self._client_id, self._stats = client_id, stats
        self._link_handlers: list[LinkHandler] = []

    def on_link(self, handler: LinkHandler) -> None:
        self._link_handlers.append(handler)

    def tell(self, state: LinkState) -> None:
        """Tell every link handler of a change."""
        for handler in self._link_handlers:
            try:
                handler(state)
            except Exception:
                self._stats.handler_errors += 1
                log.exception("%s: a link handler failed on %r", self._client_id, state)

    def deliver(self, delivery: Delivery, handlers: Iterable[Handler]) -> None:
        """Count one message in, and hand it over."""
        self._stats.received += 1
        self._stats.bytes_in += len(delivery.payload)
        for handler in handlers:
            try:
                handler(delivery)
            except Exception:
                self._stats.handler_errors += 1
                log.exception("%s: a handler failed on %s", self._client_id, delivery.topic)

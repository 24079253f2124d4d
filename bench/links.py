"""Which transport the settings ask for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from bench.settings import Settings
from bus.aiomqtt import AiomqttTransport
from bus.mqtt import MqttTransport
from bus.party import MakeTransport
from bus.transport import Transport, Will

DEFAULT_BROKER = "mqtt://127.0.0.1:1883"

ADAPTERS: Final[dict[str, Callable[..., Transport]]] = {
    "mqtt": MqttTransport,
    "aiomqtt": AiomqttTransport,
    "aiomqtt-3.1.1": partial(AiomqttTransport, version="3.1.1"),
}


def link_url(settings: Settings) -> str:
    """The broker of the settings, or the usual local one."""
    return settings.broker.url or DEFAULT_BROKER


def link_maker(settings: Settings, url: str | None = None) -> MakeTransport:
    """A maker of transports to the broker of the settings (or `url`), by the settings' adapter."""
    broker, adapter = url or link_url(settings), ADAPTERS[settings.broker.adapter]

    def make(client_id: str, will: Will | None) -> Transport:
        return adapter(broker, client_id=client_id, will=will, settings=settings.link)

    return make

"""Which transport the settings ask for."""

from __future__ import annotations

from bench.settings import Settings
from bus.aiomqtt import AiomqttTransport
from bus.mqtt import MqttTransport
from bus.party import MakeTransport
from bus.transport import Transport, Will

DEFAULT_BROKER = "mqtt://127.0.0.1:1883"


def link_maker(settings: Settings, url: str | None = None) -> MakeTransport:
    """A maker of transports to the broker of the settings (or `url`), by the settings' adapter."""
    broker = url or settings.broker.url or DEFAULT_BROKER

    def make(client_id: str, will: Will | None) -> Transport:
        if settings.broker.adapter == "aiomqtt":
            return AiomqttTransport(broker, client_id=client_id, will=will)
        return MqttTransport(broker, client_id=client_id, will=will, settings=settings.link)

    return make

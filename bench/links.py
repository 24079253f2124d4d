"""Which transport the settings ask for, and with whose certificate."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from bench.settings import Settings
from bus.aiomqtt import AiomqttTransport
from bus.credentials import Credentials, load_credentials
from bus.mqtt import MqttTransport
from bus.party import MakeTransport
from bus.seals import Seals
from bus.transport import Transport, Will

_LOCAL: Final = {False: "mqtt://127.0.0.1:1883", True: "mqtts://127.0.0.1:8883"}  # by whether there are keys

ADAPTERS: Final[dict[str, Callable[..., Transport]]] = {
    "mqtt": MqttTransport,
    "aiomqtt": AiomqttTransport,
    "aiomqtt-3.1.1": partial(AiomqttTransport, version="3.1.1"),
}


def link_url(settings: Settings) -> str:
    """The broker of the settings, or the usual local one."""
    return settings.broker.url or _LOCAL[bool(settings.security.folder)]


def credentials_for(settings: Settings, principal: str) -> Credentials | None:
    """The principal's credentials of the settings' key folder; None without one. BadInput names the file that is wrong."""
    return load_credentials(Path(settings.security.folder), principal) if settings.security.folder else None


def seals_for(settings: Settings, principal: str) -> Seals | None:
    """The principal's seals by the settings' key folder; None without one. BadInput names the file that is wrong."""
    return Seals.of(Path(settings.security.folder), principal, settings.seals) if settings.security.folder else None


def link_maker(settings: Settings, credentials: Credentials | None = None, url: str | None = None) -> MakeTransport:
    """A maker of transports to the broker of the settings (or `url`), by the settings' adapter.

    A client id is all that a broker asks of who takes a session over: each gets a part that nobody else is told.
    """
    broker, adapter = url or link_url(settings), ADAPTERS[settings.broker.adapter]

    def make(client_id: str, will: Will | None) -> Transport:
        own = f"{client_id}-{secrets.token_hex(8)}"
        return adapter(broker, client_id=own, will=will, settings=settings.link, credentials=credentials)

    return make

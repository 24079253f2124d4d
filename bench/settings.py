"""The whole settings file: one section a part of the program, each a struct beside its user."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from bus.audit import AuditSettings
from bus.credentials import check_scheme
from bus.link import URL_FORM, LinkSettings, parse_url
from bus.metrics import Budgets
from bus.seals import SealSettings
from bus.security import SecuritySettings
from bus.settings import load_settings
from fusion.settings import FusionSettings, WorkerSettings


class BrokerSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the bus is. An empty URL: `triwarn run` starts an embedded broker; single processes use the usual local port."""

    url: Annotated[str, Meta(pattern=r"^$|^mqtts?://.+", description=f"{URL_FORM}; or empty")] = ""
    wait_s: Annotated[
        float,
        Meta(
            ge=0.0, le=86_400.0, description="s, 0 to 86400, that a single process waits at its start for a broker; 0: for ever"
        ),
    ] = 0.0
    adapter: Annotated[
        Literal["mqtt", "aiomqtt", "aiomqtt-3.1.1"],
        Meta(description="mqtt (ours, MQTT 5), aiomqtt (MQTT 5), or aiomqtt-3.1.1 (for brokers that speak no MQTT 5)"),
    ] = "mqtt"


class EndpointSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a single process serves /metrics, /ready and /live. Loopback by default: metrics are nobody else's business."""

    host: Annotated[str, Meta(min_length=1, description="an address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="0 to 65535; 0 takes a free one and says which")] = 0


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be set, by section."""

    broker: BrokerSettings = BrokerSettings()
    link: LinkSettings = LinkSettings()
    security: SecuritySettings = SecuritySettings()
    seals: SealSettings = SealSettings()
    endpoint: EndpointSettings = EndpointSettings()
    budgets: Budgets = Budgets()
    audit: AuditSettings = AuditSettings()
    worker: WorkerSettings = WorkerSettings()
    fusion: FusionSettings = FusionSettings()


def load(settings_file: Path | None, **flags: Any) -> Settings:
    """Settings of the file, then the environment, then the flags (`broker__url=...`; None is not given)."""
    settings = load_settings(Settings, settings_file, os.environ, {key.replace("__", "."): value for key, value in flags.items()})
    checked(settings)
    return settings


def checked(settings: Settings) -> None:
    """What no type says: BadInput unless the broker's URL can be used, with the keys that there are."""
    if settings.broker.url:
        check_scheme(parse_url(settings.broker.url), keys=bool(settings.security.folder))

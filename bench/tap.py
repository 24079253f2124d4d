"""`triwarn tap`: live bus traffic, decoded, a line each. Prints what it sees, sound or not; changes nothing."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

import click
import msgspec
import numpy as np

from bench.links import credentials_for, link_maker, seals_for
from bench.settings import Settings
from bus.errors import Rejected
from bus.messages import (
    Alert,
    AnyMessage,
    Decorrelation,
    ExerciseClock,
    PictureFrame,
    Status,
    TrackDropped,
    TrackFrame,
    of_canary,
)
from bus.party import stop_on_signals
from bus.seals import Seals, read
from bus.security import CONDUCTOR
from bus.transport import Delivery


def run_tap(settings: Settings, topic: str, count: int | None, *, as_json: bool) -> None:
    """Print what matches `topic` until a signal, or until `count` messages. With seals, what is not authentic is REJECTED."""
    asyncio.run(_tap(settings, topic, count, as_json))


async def _tap(settings: Settings, topic: str, count: int | None, as_json: bool) -> None:
    stopping = stop_on_signals()
    seen = 0

    def show(delivery: Delivery) -> None:
        nonlocal seen
        seen += 1
        if count is not None and seen > count:
            return
        click.echo(msgspec.json.encode(as_object(delivery, seals)).decode() if as_json else as_line(delivery, seals))
        if seen == count:
            stopping.set()

    credentials, seals = credentials_for(settings, CONDUCTOR), seals_for(settings, CONDUCTOR)
    link = link_maker(settings, credentials)(f"triwarn-tap-{secrets.token_hex(4)}", None)
    link.subscribe(topic, show, qos=0)
    await link.start()
    try:
        await stopping.wait()
    finally:
        await link.stop()


def as_line(delivery: Delivery, seals: Seals | None = None) -> str:
    """One message in one line: the time of day, the topic, the size, and what it says."""
    mark = " retained" if delivery.retained else ""
    return f"{time.strftime('%H:%M:%S')} {delivery.topic} {len(delivery.payload)} B{mark}: {_said(delivery, seals)}"


def as_object(delivery: Delivery, seals: Seals | None = None) -> dict[str, Any]:
    """One message as a JSON object; columns as their sizes, as they are binary."""
    head = {"topic": delivery.topic, "bytes": len(delivery.payload), "retained": delivery.retained}
    try:
        message = _decoded(delivery, seals)
    except Rejected as rejected:
        return {**head, "rejected": rejected.reason, "detail": rejected.detail}
    if message is None:
        return {**head, "cleared": True}
    if of_canary(message):
        head["mark"] = "CANARY"
    body = msgspec.structs.asdict(message)
    if "columns" in body:
        body["columns"] = {name: len(column) for name, column in body["columns"].items()}
    return {**head, "message": msgspec.to_builtins(body)}


def _decoded(delivery: Delivery, seals: Seals | None) -> AnyMessage | None:
    return read(delivery, seals, time.time_ns()).message if delivery.payload else None


def _said(delivery: Delivery, seals: Seals | None) -> str:
    try:
        message = _decoded(delivery, seals)
    except Rejected as rejected:
        return f"REJECTED {rejected}"
    if message is None:
        return "cleared"
    return f"CANARY {_told(message)}" if of_canary(message) else _told(message)


def _told(message: AnyMessage) -> str:
    match message:
        case PictureFrame() | TrackFrame():
            name = "system" if isinstance(message, PictureFrame) else "track"
            numbers = np.frombuffer(message.columns.get(name, b""), dtype="<u4").tolist()
            kind = type(message).__name__
            return f"{kind} seq {message.seq}, {message.n} rows: {_shortened(numbers)}"
        case TrackDropped():
            return f"TrackDropped seq {message.seq} {message.reason}: {_shortened(message.tracks)}"
        case Decorrelation():
            one, other = (f"{track.nation}/{track.track}" for track in message.tracks)
            return f"Decorrelation seq {message.seq}: {one} and {other} {'are not' if message.apart else 'may be'} one object"
        case Alert():
            impact = f", impact {message.impact.lat_deg:.2f} {message.impact.lon_deg:.2f}" if message.impact else ""
            shown = "" if message.range_class == "unknown" else f", {message.range_class}"
            return f"Alert {message.state} revision {message.revision}{shown}{impact}: {message.reason}"
        case Status():
            return f"{message.role} {message.name} is {message.state}"
        case ExerciseClock():
            return f"exercise {message.exercise} {message.state} at speed {message.speed:g}"


def _shortened(numbers: list[int], most: int = 8) -> str:
    shown = " ".join(map(str, numbers[:most]))
    return shown + (" ..." if len(numbers) > most else "")

"""Reference tables made from the code, for docs/. `python -m bench.reference` writes them between their markers.

A test holds the committed documents to what the code makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from prometheus_client import CollectorRegistry

from bench.order import Order, order_rows
from bench.peers import Peers, peer_rows
from bench.qualityrows import Quality, quality_phase_rows, quality_rows
from bench.report import markdown_table
from bench.sealcost import SealCost, seal_rows
from bench.settings import Settings
from bench.throughput import Throughput, throughput_rows
from bus import messages
from bus.columns import Block, Reports, SystemTracks, bytes_per_row
from bus.errors import REJECT_REASONS
from bus.memory import MemoryBus
from bus.metrics import Budgets, Metrics

DOCS: Final = Path(__file__).parent.parent / "docs"
_MESSAGES: Final = (
    messages.TrackFrame,
    messages.LaunchDetected,
    messages.TrackDropped,
    messages.Decorrelation,
    messages.TrackName,
    messages.PictureFrame,
    messages.Raid,
    messages.Tally,
    messages.Alert,
    messages.AlertTimes,
    messages.Place,
    messages.Status,
    messages.ExerciseClock,
)


def column_tables() -> str:
    """The columns of both kinds of frame."""
    return "\n\n".join(_columns(name, block) for name, block in (("Reports", Reports), ("System tracks", SystemTracks)))


def _columns(name: str, block: type[Block]) -> str:
    rows = [[f"`{field}`", f"`{c.dtype}`", str(c.width), c.meaning] for field, c in block.COLUMNS.items()]
    return f"{name}, {bytes_per_row(block)} bytes a row:\n\n" + markdown_table(("column", "type", "a row", "meaning"), rows)


def message_tables() -> str:
    """Every message and part of one: what it is, and its fields."""
    sections = []
    for kind in _MESSAGES:
        hints = get_type_hints(kind, include_extras=True)
        fields = msgspec.structs.fields(kind)
        rows = [[f"`{field.encode_name}`", _type(hints[field.name]), "" if field.required else "optional"] for field in fields]
        tag = f" Tagged `type: {kind.__struct_config__.tag}`." if kind.__struct_config__.tag else ""
        about = " ".join((kind.__doc__ or "").split())
        sections.append(f"### {kind.__name__}\n\n{about}{tag}\n\n" + markdown_table(("field", "type", ""), rows))
    return "\n\n".join(sections)


def _type(hint: Any) -> str:
    """A field's type and limits in words."""
    if get_origin(hint) is Annotated:
        inner, *notes = get_args(hint)
        limits = [limit for note in notes for limit in _limits(note)]
        return " ".join([_type(inner), *limits])
    if isinstance(hint, type) and not get_args(hint):
        return {"memoryview": "binary"}.get(hint.__name__, hint.__name__)
    if get_origin(hint) in (list, dict):
        names = ", ".join(_type(part) for part in get_args(hint))
        return f"{get_origin(hint).__name__} of {names}"
    parts = [part if isinstance(part, str) else "none" if part is type(None) else _type(part) for part in get_args(hint)]
    return " or ".join(parts) or str(hint)


def _limits(note: Any) -> Iterable[str]:
    words = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >=", "max_length": "length <="}
    return (f"{word} {getattr(note, name)}" for name, word in words.items() if getattr(note, name, None) is not None)


def reason_table() -> str:
    """Why a message or row is dropped."""
    return markdown_table(("reason", "what it means"), [[f"`{reason}`", meaning] for reason, meaning in REJECT_REASONS.items()])


def metric_table() -> str:
    """Every metric as it is scraped."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, Budgets())
    metrics.watch({"bulk": MemoryBus().transport("reference", None)}, {"in": {"tracks": 0}}, lambda: {"conductor": 0.0})
    labels = {family.name: _labels(family.samples) for family in registry.collect()}
    for collector in vars(metrics).values():
        if hasattr(collector, "_labelnames"):
            labels[collector.describe()[0].name] = ", ".join(collector._labelnames)
    rows = []
    for family in sorted(registry.collect(), key=lambda family: family.name):
        if family.name.startswith("triwarn"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            rows.append([f"`{name}`", family.type, labels.get(family.name, ""), family.documentation])
    return markdown_table(("metric", "type", "labels", "meaning"), rows)


def _labels(samples: Iterable[Any]) -> str:
    names = {name for sample in samples for name in sample.labels} - {"le"}
    return ", ".join(sorted(names))


def settings_table() -> str:
    """Every setting: its key, default, and meaning; the environment variable follows from the key."""
    return markdown_table(("key", "default", "meaning"), list(_settings(Settings, "")))


def _settings(kind: type[msgspec.Struct], prefix: str) -> Iterable[list[str]]:
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        key, default = f"{prefix}{field.name}", field.default
        if isinstance(default, msgspec.Struct):
            yield from _settings(type(default), f"{key}.")
        else:
            notes = get_args(hints[field.name])[1:] if get_origin(hints[field.name]) is Annotated else ()
            meaning = next((note.description for note in reversed(notes) if getattr(note, "description", None)), "")
            yield [f"`{key}`", f"`{default!r}`", meaning]


def throughput_bench() -> str:
    """The committed output of `triwarn bench throughput --json`."""
    return markdown_table(*throughput_rows(_measured("throughput", Throughput)))


def order_bench() -> str:
    """The committed output of `triwarn bench order --json`."""
    return markdown_table(*order_rows(_measured("order", Order)))


def peers_bench() -> str:
    """The committed output of `triwarn bench peers --json`."""
    return markdown_table(*peer_rows(_measured("peers", Peers)))


def quality_bench() -> str:
    """The committed output of `triwarn bench quality --json`: association, GOSPA, points on the ground."""
    return markdown_table(*quality_rows(_measured("quality", Quality)))


def quality_phases() -> str:
    """The same output: estimates by phase."""
    return markdown_table(*quality_phase_rows(_measured("quality", Quality)))


def seal_bench() -> str:
    """The committed output of `triwarn bench seal --json`."""
    return markdown_table(*seal_rows(_measured("seal", SealCost)))


Measured = TypeVar("Measured")


def _measured(name: str, kind: type[Measured]) -> Measured:
    return msgspec.json.decode((DOCS / "benchmarks" / f"{name}.json").read_bytes(), type=kind)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "columns": column_tables,
    "messages": message_tables,
    "reasons": reason_table,
    "metrics": metric_table,
    "settings": settings_table,
    "throughput": throughput_bench,
    "order": order_bench,
    "peers": peers_bench,
    "quality": quality_bench,
    "quality_phases": quality_phases,
    "seal": seal_bench,
}
_MARKED: Final = re.compile(r"(<!-- made from the code: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def renewed(text: str) -> str:
    """A document with every marked part made anew."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found['name']]()}\n\n{found[3]}", text)


def main() -> None:
    """Renew every document in docs/."""
    for path in sorted(DOCS.glob("*.md")):
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

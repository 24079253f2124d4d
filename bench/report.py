"""The report of an exercise: JSON, CSV, a Markdown page with the timeline and the table, and the table on a terminal. Pure but
for `write_report`, which writes files.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.result import RaidTold, Result, StageTimes, Warned
from bench.score import Held
from bus.metrics import STAGES
from bus.release import NATIONS, Nation

_NEVER = "-"
_WARNED = tuple(field.name for field in msgspec.structs.fields(Warned))


def to_json(result: Result) -> str:
    """One JSON object, keys in a fixed order."""
    return msgspec.json.encode(result).decode()


def to_csv(result: Result) -> str:
    """One row a launch and recipient."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("launch_id", "type", "impact_after_s", "recipient", *_WARNED))
    for launch in result.launches:
        for recipient, warned in launch.recipients.items():
            values = (getattr(warned, name) for name in _WARNED)
            writer.writerow((launch.launch_id, launch.type, launch.impact_after_s, recipient, *values))
    return out.getvalue()


def number(value: float | None, form: str = ".1f") -> str:
    """A figure, or a dash where it never happened; never a negative zero."""
    if value is None:
        return _NEVER
    text = format(value, form)
    return text.replace("-", "+" if "+" in form else "") if float(text) == 0.0 else text


def warning_rows(result: Result) -> list[list[str]]:
    """The warning-time table: a row a launch; for each recipient when warned, when confirmed, lead, and gain from sharing."""
    rows = []
    for launch in result.launches:
        row = [launch.launch_id, launch.type, number(launch.impact_after_s, ".0f")]
        for nation in NATIONS:
            row += _cells(launch.recipients.get(nation, Warned()))
        rows.append(row)
    return rows


def _cells(warned: Warned) -> list[str]:
    only_by_sharing = warned.warned_after_s is not None and warned.national_only_after_s is None
    return [
        number(warned.warned_after_s),
        number(warned.confirmed_after_s),
        number(warned.lead_s, ".0f"),
        "shared" if only_by_sharing else number(warned.gain_s, "+.1f"),
    ]


def median_row(result: Result) -> list[str]:
    """The medians over all launches, in the shape of a row of the table."""
    row = ["median", "", number(_median(launch.impact_after_s for launch in result.launches), ".0f")]
    for nation in NATIONS:
        each = [launch.recipients[nation] for launch in result.launches if nation in launch.recipients]
        row += [
            number(_median(w.warned_after_s for w in each)),
            number(_median(w.confirmed_after_s for w in each)),
            number(_median(w.lead_s for w in each), ".0f"),
            number(_median(w.gain_s for w in each), "+.1f"),
        ]
    return row


def sharing_headings(result: Result) -> list[str]:
    """Of the table of what sharing adds."""
    names = list(result.launches[0].sharing or ())
    return ["recipient", "", *names, *(f"over {name}" for name in names if name != "run")]


def sharing_rows(result: Result) -> list[list[str]]:
    """What sharing adds, medians over the launches: for each recipient a row a figure, by arrangement, and what the run gained
    over each. Of how many launches, where not of all.
    """
    rows = []
    for nation in result.launches[0].recipients:
        for title, name in _TOLD.items():
            figures: dict[str, list[float | None]] = defaultdict(list)
            for launch in result.launches:
                for arrangement, told in (launch.sharing or {}).items():
                    figures[arrangement].append(getattr(told[nation], name))
            gains = [
                [_less(*pair) for pair in zip(each, figures["run"], strict=True)]
                for arrangement, each in figures.items()
                if arrangement != "run"
            ]
            medians = [_median_of(each, ".1f") for each in figures.values()] + [_median_of(each, "+.1f") for each in gains]
            rows.append([nation, title, *medians])
    return rows


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _median_of(values: list[float | None], form: str) -> str:
    known = sum(value is not None for value in values)
    return number(_median(values), form) + (f" ({known}/{len(values)})" if 0 < known < len(values) else "")


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def summary_lines(result: Result) -> list[str]:
    """What the exercise came to, in a few sentences."""
    alerts, tracks, bus = result.alerts, result.tracks, result.bus
    ended = "" if result.complete or result.lost else " (stopped early)"
    if bus.published is None:
        counts = "Bus: counted by the processes themselves; see their metrics."
    else:
        counts = f"Bus: {bus.published} published, {bus.received} received, {bus.gaps} gaps, {bus.duplicates} duplicates."
    if result.audit:
        counts += f" Audit: {len(result.audit)} logs of {sum(each.entries for each in result.audit)} entries."
    return [
        *([f"NOT COMPLETE: ended before their time: {', '.join(result.lost)}."] if result.lost else []),
        f"{result.scenario}, seed {result.seed}, speed {result.speed}, over {result.broker}: "
        f"{result.scenario_s:.0f} s of scenario in {result.wall_s:.1f} s{ended}.",
        f"Alerts: {alerts.confirmed} confirmed, {alerts.false} false, {alerts.missed} missed, {alerts.retracted} retracted, "
        f"{alerts.standing} left standing.",
        f"Picture: {tracks.system_tracks} system tracks from {tracks.reports} reports; "
        f"correct association {number(tracks.correct_association, '.3f')}, ANEES {number(tracks.anees, '.2f')}, "
        f"GOSPA {number(tracks.gospa_m, '.0f')} m.",
        f"Class by energy, told (right): {'; '.join(_classes(result, nation) for nation in NATIONS)}.",
        "Raid count, told of true (% of seconds in the 90 % interval): "
        f"{'; '.join(_raid(*each) for each in result.raids.items())}.",
        counts,
    ]


def _classes(result: Result, recipient: Nation) -> str:
    told = [(launch.classes.get(recipient, "unknown"), launch.range_class) for launch in result.launches]
    known = [each for each in told if each[0] != "unknown"]
    return f"{recipient} {len(known)} of {len(told)} ({sum(one == true for one, true in known)})"


def _raid(recipient: Nation, raid: RaidTold) -> str:
    inside = None if raid.inside is None else 100.0 * raid.inside
    return f"{recipient} {number(raid.largest)} of {raid.true} ({number(inside, '.0f')})"


def _stage(result: Result, name: str) -> StageTimes:
    stage: StageTimes = getattr(result.stages, f"{name}_ms")
    return stage


def stage_rows(result: Result) -> list[list[str]]:
    """Where the machine's milliseconds went: a row a stage."""
    rows = []
    for name in STAGES:
        stage = _stage(result, name)
        rows.append([name, number(stage.p50, ".2f"), number(stage.p99, ".2f"), number(stage.budget, ".0f"), str(stage.over or 0)])
    return rows


_TIMELINE_HEADINGS = ("T+ s", "recipient", "alert", "state", "launch", "why")
STAGE_HEADINGS = ("stage", "p50 ms", "p99 ms", "budget ms", "over")
COLUMN_HEADINGS = ("warned s", "confirmed s", "lead s", "gain s")


_CAPTION = (
    "seconds after launch to the first and to the confirmed alert; gain: seconds that sharing bought "
    "over the recipient's own feed alone (shared: alone it had no warning)"
)


_SHARING = "What sharing adds"
_SHARING_CAPTION = (
    "medians over the launches, and what the run gained: seconds after launch to the first alert, to the confirmed one, to the "
    "first predicted impact; its 95 % half-axis halfway. Bilateral: Japan and the ROK each share with the US alone"
)
_TOLD = {
    "first, s": "warned_after_s",
    "confirmed, s": "confirmed_after_s",
    "impact, s": "predicted_after_s",
    "impact, km": "halfway_km",
}


def for_terminal(result: Result) -> RenderableType:
    """The warning-time table, the stages and the summary, for a rich console of 80 columns or more."""
    table = Table(
        title=f"Warning time by launch and recipient: {result.scenario}",
        caption=_CAPTION,
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for heading in ("launch", "impact\ns"):
        table.add_column(heading, justify="right", no_wrap=True)
    for nation in NATIONS:
        for heading in ("warn", "conf", "gain"):
            table.add_column(f"{nation}\n{heading}", justify="right", no_wrap=True)
    for launch, row in zip(result.launches, warning_rows(result), strict=True):
        table.add_row(launch.launch_id, *_narrow(row))
    if len(result.launches) > 1:
        table.add_section()
        table.add_row("median", *_narrow(median_row(result)), style="bold")
    parts: list[RenderableType] = [table] if result.launches else [Text("No launch in this scenario.\n")]
    if any(launch.sharing for launch in result.launches):
        shared = Table(title=_SHARING, caption=_SHARING_CAPTION, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for heading in sharing_headings(result):
            shared.add_column(heading, justify="left" if heading in ("recipient", "") else "right", no_wrap=True)
        for row in sharing_rows(result):
            shared.add_row(*row)
        parts.append(shared)
    if result.stages.total_ms.p50 is not None:
        stages = Table(title="Where the machine's milliseconds went", box=SIMPLE_HEAD, pad_edge=False)
        for heading in STAGE_HEADINGS:
            stages.add_column(heading, justify="left" if heading == "stage" else "right")
        for row in stage_rows(result):
            stages.add_row(*row)
        parts.append(stages)
    return Group(*parts, *(Text(line) for line in summary_lines(result)))


def _narrow(row: list[str]) -> list[str]:
    """A row of the wide table without launch, type and lead times, which the impact column implies."""
    return [row[2], *(row[3 + 4 * nation + column] for nation in range(len(NATIONS)) for column in (0, 1, 3))]


def to_markdown(result: Result, held: dict[Nation, list[Held]], start_ns: int) -> str:
    """The page: summary, table, stages, and the timeline of every alert message."""
    headings = ["launch", "type", "impact s", *(f"{nation} {heading}" for nation in NATIONS for heading in COLUMN_HEADINGS)]
    rows = warning_rows(result) + ([median_row(result)] if len(result.launches) > 1 else [])
    sections = [f"# Exercise: {result.scenario}", "\n".join(f"- {line}" for line in summary_lines(result))]
    sections += [
        "## Warning time",
        "Seconds after launch; lead is to impact; gain is what sharing bought.",
        markdown_table(headings, rows),
    ]
    if any(launch.sharing for launch in result.launches):
        caption = f"{_SHARING_CAPTION[0].upper()}{_SHARING_CAPTION[1:]}."
        sections += [f"## {_SHARING}", caption, markdown_table(sharing_headings(result), sharing_rows(result))]
    if result.stages.total_ms.p50 is not None:
        sections += ["## Where the machine's milliseconds went", markdown_table(STAGE_HEADINGS, stage_rows(result))]
    sections += [
        "## Timeline",
        markdown_table(("T+ s", "recipient", "alert", "state", "launch", "why"), timeline(held, start_ns)),
    ]
    return "\n\n".join(sections) + "\n"


def timeline(held: dict[Nation, list[Held]], start_ns: int) -> list[list[str]]:
    """Every alert message in the order of arrival, scenario seconds since the start."""
    rows = sorted(
        (each.entry.scenario_ns, nation, order, each) for nation, alerts in held.items() for order, each in enumerate(alerts)
    )
    return [
        [f"{(at_ns - start_ns) / 1e9:.1f}", nation, each.alert.id, each.alert.state, each.launch_id or _NEVER, each.alert.reason]
        for at_ns, nation, _, each in rows
    ]


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars inside a cell are escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def write_report(directory: Path, result: Result, held: dict[Nation, list[Held]], start_ns: int) -> list[Path]:
    """Write result.json, result.csv and report.md; the paths written."""
    directory.mkdir(parents=True, exist_ok=True)
    pages = {
        "result.json": to_json(result) + "\n",
        "result.csv": to_csv(result),
        "report.md": to_markdown(result, held, start_ns),
    }
    for name, text in pages.items():
        (directory / name).write_text(text, encoding="utf-8")
    return [directory / name for name in pages]

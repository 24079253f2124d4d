"""The live progress of an exercise, on standard error: a bar of scenario time, and each recipient's alerts by state.

On a terminal a picture that moves; elsewhere (a log, a pipe) a line now and then. It reads the watch and changes nothing.
"""

from __future__ import annotations

from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench.live import Watch
from bus.messages import Alert, AlertState
from bus.release import NATIONS
from sensors.truth import Truth

_LINES_A_RUN = 10
_COLUMNS: Final[dict[str, tuple[AlertState, ...]]] = {
    "quick": ("quick",),
    "confirmed": ("confirmed", "updated"),
    "closed": ("closed",),
    "retracted": ("retracted",),
}


class Display:
    """One exercise's progress."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("T+{task.completed:.0f} s"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[reports]:,} reports"),
            console=console,
        )
        self._task = self._progress.add_task("", reports=0)
        self._watch: Watch | None = None
        self._span = (0, 1)
        self._lines = 0
        self._live = Live(console=console, transient=True, refresh_per_second=8, get_renderable=self._picture)

    def say(self, what: str) -> None:
        """Say what is being done now."""
        self._line(f"[dim]- {what}[/dim]")

    def follow(self, watch: Watch, truth: Truth, speed: float) -> None:
        """Follow this watch once the exercise runs."""
        self._watch = watch
        self._span = (truth.start_ns, truth.end_ns)
        watch.first = self._first_alert
        watch.moved = self.update
        launches, seconds = len(truth.launches), (truth.end_ns - truth.start_ns) / 1e9
        self._progress.update(self._task, total=seconds)
        plural = "" if launches == 1 else "es"
        self._line(f"{launches} launch{plural}, {seconds:.0f} s of scenario at speed {speed:g}: about {seconds / speed:.0f} s")

    def update(self) -> None:
        """Show where the exercise stands."""
        if self._watch is None:
            return
        at_s, total_s = max(0.0, self._since_start_s(self._watch.clock.now_ns())), self._since_start_s(self._span[1])
        self._progress.update(self._task, completed=min(at_s, total_s), reports=self._watch.reports)
        if self._console.is_terminal:
            self._live.start()
        elif at_s >= total_s * self._lines / _LINES_A_RUN:
            self._lines += 1
            alerts = ", ".join(f"{nation} {'/'.join(self._counts(nation))}" for nation in NATIONS)
            self._line(f"  T+{at_s:.0f} s: {self._watch.reports} reports, alerts {'/'.join(_COLUMNS)}: {alerts}")

    def close(self) -> None:
        """Stop moving; what is said from now on is said below."""
        self._live.stop()

    def _picture(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("  alerts")
        for heading in _COLUMNS:
            table.add_column(heading, justify="right")
        for nation in NATIONS:
            table.add_row(f"  {nation}", *self._counts(nation))
        return Group(self._progress, table)

    def _counts(self, nation: str) -> list[str]:
        counts = self._watch.counts(nation) if self._watch else {}
        return [str(sum(counts.get(state, 0) for state in states)) for states in _COLUMNS.values()]

    def _first_alert(self, alert: Alert) -> None:
        at_s = self._since_start_s(alert.times.released_ns)
        self._line(f"  T+{at_s:.1f} s: first alert at {alert.recipient}: {alert.state}, {alert.reason}")

    def _since_start_s(self, at_ns: int) -> float:
        return (at_ns - self._span[0]) / 1e9

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

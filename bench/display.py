"""The live progress of an exercise, on standard error: a bar of scenario time, what was received, and what is being done.

On a terminal a bar that moves; elsewhere (a log, a pipe) a line now and then. It reads the conductor's watch and changes nothing.
"""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn

from bench.live import Watch
from bus.messages import Alert
from bus.release import NATIONS
from sensors.truth import Truth

_LINES_A_RUN = 10


class Display:
    """One exercise's progress."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._watch: Watch | None = None
        self._span = (0, 1)
        self._lines = 0

    def say(self, what: str) -> None:
        """Say what is being done now."""
        if self._watch is not None and what == "running":
            self._begin()
        else:
            self._console.print(f"[dim]- {what}[/dim]", highlight=False, soft_wrap=True)

    def follow(self, watch: Watch, truth: Truth, speed: float) -> None:
        """Follow this watch once the exercise runs."""
        self._watch = watch
        self._span = (truth.start_ns, truth.end_ns)
        watch.first = self._first_alert
        watch.moved = self.update
        launches = len(truth.launches)
        seconds = (truth.end_ns - truth.start_ns) / 1e9
        self._console.print(
            f"{launches} launch{'es' if launches != 1 else ''}, {seconds:.0f} s of scenario at speed {speed:g}: "
            f"about {seconds / speed:.0f} s",
            highlight=False,
        )

    def _begin(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("T+{task.completed:.0f} s"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[counts]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=(self._span[1] - self._span[0]) / 1e9, counts="")
        self._progress.start()

    def update(self) -> None:
        """Show where the exercise stands."""
        if self._watch is None or self._progress is None or self._task is None:
            return
        at_s = max(0.0, (self._watch.clock.now_ns() - self._span[0]) / 1e9)
        counts = "  ".join(f"{nation} {self._alerts(nation)}" for nation in NATIONS)
        counts = f"{self._watch.reports} reports, alerts quick/confirmed/closed: {counts}"
        self._progress.update(self._task, completed=at_s, counts=counts)
        total_s = (self._span[1] - self._span[0]) / 1e9
        if not self._console.is_terminal and at_s >= total_s * self._lines / _LINES_A_RUN:
            self._lines += 1
            self._console.print(f"  T+{at_s:.0f} s: {counts}", highlight=False)

    def _alerts(self, nation: str) -> str:
        assert self._watch is not None
        counts = self._watch.counts(nation)
        return "/".join(str(n) for n in (counts["quick"], counts["confirmed"] + counts["updated"], counts["closed"]))

    def _first_alert(self, alert: Alert) -> None:
        at_s = (alert.times.released_ns - self._span[0]) / 1e9
        self._console.print(f"  T+{at_s:.1f} s: first alert at {alert.recipient}: {alert.state}, {alert.reason}", highlight=False)

    def close(self) -> None:
        """Stop moving."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

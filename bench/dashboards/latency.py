"""Where the milliseconds between a report's release and the alert held go, stage by stage, against each stage's budget."""

from __future__ import annotations

from typing import Final

from bench.dashboards.choices import ANY_IS_BAD, ANY_IS_ODD, ONE_IS_BAD, PURPOSE, SERVICE, THOSE
from bench.dashboards.panels import Colour, Dashboard, Limits, Panel, Query, Row
from bus.metrics import STAGES, Stage

_TAKEN: Final = Limits("grey", ((0.0, "blue"),))  # budgets are settings: what is held against them is asked as a share
_COLOURS: Final[dict[Stage, Colour]] = {
    "publish": "blue",
    "transit": "purple",
    "fuse": "green",
    "alert": "orange",
    "total": "grey",
}
_MEANING: Final[dict[Stage, str]] = {
    "publish": "from when a report was due until its frame left the feed",
    "transit": "from the feed over the broker to the fusion worker",
    "fuse": "from a frame's arrival until its alerts are decided",
    "alert": "from the decision over the broker until the receiver holds the alert",
    "total": "from when the report was due until the receiver holds the alert",
}
_BY_STAGE: Final = tuple(_COLOURS.items())


def _grown(part: str, window: str, labels: str = "stage", only: str = "") -> str:
    return f"sum by ({labels}) (increase(triwarn_stage_seconds_{part}{{{THOSE}{only}}}[{window}]))"


def _quantile(share: float, window: str, only: str = "") -> str:
    return f"histogram_quantile({share}, {_grown('bucket', window, 'stage, le', only)})"


def _mean(window: str, only: str = "") -> str:
    return f"{_grown('sum', window, only=only)} / {_grown('count', window, only=only)}"


def _only(stage: Stage) -> str:
    return f', stage="{stage}"'


_TOTAL: Final = _only("total")
_PARTS: Final = ', stage!="total"'
_BUDGETS: Final = "max by (stage) (triwarn_stage_budget_seconds)"
_OVER: Final = f"sum by (stage) (increase(triwarn_stage_over_budget_total{{{THOSE}}}[%s]))"

_SUMMARY: Final = Row(
    "From a report's release to the alert held",
    (
        Panel(
            title="Total, half of the alerts",
            kind="stat",
            about=f"The median of {_MEANING['total']}, over the time shown.",
            unit="s",
            decimals=1,
            limits=_TAKEN,
            queries=(Query(_quantile(0.5, "$__range", _TOTAL), "p50"),),
            width=4,
            height=4,
        ),
        Panel(
            title="Total, 99 of 100",
            kind="stat",
            about=f"The 99th percentile of {_MEANING['total']}, over the time shown."
            " The panel below holds it against the budget.",
            unit="s",
            decimals=1,
            limits=_TAKEN,
            queries=(Query(_quantile(0.99, "$__range", _TOTAL), "p99"),),
            width=4,
            height=4,
        ),
        Panel(
            title="Times over budget",
            kind="stat",
            about="How often any stage took longer than its budget, over the time shown.",
            unit="short",
            decimals=0,
            limits=ONE_IS_BAD,
            queries=(Query(f"sum (increase(triwarn_stage_over_budget_total{{{THOSE}}}[$__range]))", "over"),),
            width=4,
            height=4,
        ),
        Panel(
            title="Fusion sheds work",
            kind="stat",
            about="Whether a fusion worker puts off picture work because it is late. Alerts are never put off.",
            unit="none",
            limits=ONE_IS_BAD,
            names=((0.0, "no", "green"), (1.0, "SHEDDING", "red")),
            queries=(Query("max (triwarn_shedding)", "sheds"),),
            width=4,
            height=4,
        ),
        Panel(
            title="The machine's share of the time to warn",
            kind="stat",
            about="Mean machine time of an alert, of the mean time to warn: the rest is physics and policy (until a "
            "sensor sees, a tracker is sure, a nation releases). Small by design: to warn sooner, look there.",
            unit="percentunit",
            decimals=3,
            limits=Limits("green", ((0.01, "yellow"), (0.05, "red"))),
            queries=(
                Query(
                    'sum (increase(triwarn_stage_seconds_sum{stage="total"}[$__range])) / '
                    'sum (increase(triwarn_stage_seconds_count{stage="total"}[$__range])) / '
                    '(sum (increase(triwarn_warning_time_seconds_sum{purpose=~"$purpose"}[$__range])) / '
                    'sum (increase(triwarn_warning_time_seconds_count{purpose=~"$purpose"}[$__range])))',
                    "machine",
                ),
            ),
            width=8,
            height=4,
        ),
        Panel(
            title="99 of 100, as a share of the budget",
            kind="bars",
            about="The 99th percentile of each stage over the time shown, divided by that stage's budget. Over 100 "
            "percent the budget is broken by more than one in a hundred.",
            unit="percentunit",
            decimals=0,
            lowest=0.0,
            highest=1.5,
            limits=Limits("green", ((0.5, "yellow"), (1.0, "red"))),
            queries=tuple(
                Query(f"{_quantile(0.99, '$__range', _only(stage))} / on (stage) {_BUDGETS}", "{{stage}}") for stage in STAGES
            ),
        ),
        Panel(
            title="Stage by stage",
            kind="table",
            about="Every stage over the time shown, beside its budget: " + "; ".join(f"{s}: {_MEANING[s]}" for s in STAGES) + ".",
            unit="s",
            limits=Limits("grey"),
            columns=(
                ("stage", "stage", ""),
                ("count", "measured", "short"),
                ("mean", "mean", ""),
                ("p50", "p50", ""),
                ("p99", "p99", ""),
                ("budget", "budget", ""),
                ("over", "over budget", "short"),
            ),
            queries=(
                Query(_grown("count", "$__range"), "count"),
                Query(_mean("$__range"), "mean"),
                Query(_quantile(0.5, "$__range"), "p50"),
                Query(_quantile(0.99, "$__range"), "p99"),
                Query(_BUDGETS, "budget"),
                Query(_OVER % "$__range", "over"),
            ),
            width=16,
        ),
    ),
)

_WHERE: Final = Row(
    "Where the milliseconds go",
    (
        Panel(
            title="Mean of each stage, one upon the other",
            kind="lines",
            about="Publish, transit, fuse and alert make the whole way: the height is the mean total, the colours tell "
            "where it went. Transit and fuse are of all frames, alert of those that raised one.",
            unit="s",
            lowest=0.0,
            limits=_TAKEN,
            stacked=True,
            colours=_BY_STAGE,
            queries=(Query(_mean("$__rate_interval", _PARTS), "{{stage}}"),),
            width=12,
            height=8,
        ),
        Panel(
            title="Total: half, and 99 of 100",
            kind="lines",
            about=f"{_MEANING['total'].capitalize()}; the dashed line is the budget.",
            unit="s",
            lowest=0.0,
            limits=_TAKEN,
            dashed="budget",
            queries=(
                Query(_quantile(0.5, "$__rate_interval", _TOTAL), "p50"),
                Query(_quantile(0.99, "$__rate_interval", _TOTAL), "p99"),
                Query('max(triwarn_stage_budget_seconds{stage="total"})', "budget"),
            ),
            width=12,
            height=8,
        ),
        Panel(
            title="99 of 100, by stage",
            kind="lines",
            about="The 99th percentile of each stage. The budgets are in the table above, stage by stage.",
            unit="s",
            lowest=0.0,
            limits=_TAKEN,
            colours=_BY_STAGE,
            queries=(Query(_quantile(0.99, "$__rate_interval"), "{{stage}}"),),
            width=12,
            height=8,
        ),
        Panel(
            title="99 of 100, by process",
            kind="lines",
            about="The 99th percentile of what each process measures: feeds their publishing, the fusion worker "
            "transit and fusing, receivers the alert's way and the total.",
            unit="s",
            lowest=0.0,
            limits=_TAKEN,
            queries=(
                Query(
                    f"histogram_quantile(0.99, {_grown('bucket', '$__rate_interval', 'service, stage, le')}) >= 0",
                    "{{service}} {{stage}}",
                ),
            ),
            width=12,
            height=8,
        ),
    ),
)


def _heat(stage: Stage, width: int) -> Panel:
    return Panel(
        title=f"{stage.capitalize()}: how often how long",
        kind="heatmap",
        about=f"How often {_MEANING[stage]} took how long, bucket by bucket of the histogram. Every budget is a bucket's upper "
        "edge: what lies above the one in the table, stage by stage, is over it.",
        unit="s",
        limits=_TAKEN,
        queries=(Query(_grown("bucket", "$__rate_interval", "le", _only(stage)), "{{le}}"),),
        width=width,
        height=8,
    )


_SPREAD: Final = Row("How they are spread", tuple(_heat(stage, 12 if stage in ("alert", "total") else 8) for stage in STAGES))

_OVERRUNS: Final = Row(
    "Over budget, and what fusion does about it",
    (
        Panel(
            title="Times over budget in a minute, by stage",
            kind="columns",
            about="How often a stage took longer than its budget. Those of transit and fuse are deadlines to the "
            "fusion worker: after three in a row it sheds picture work.",
            unit="short",
            decimals=0,
            lowest=0.0,
            limits=ANY_IS_BAD,
            stacked=True,
            colours=_BY_STAGE,
            queries=(Query(_OVER % "1m", "{{stage}}"),),
        ),
        Panel(
            title="Shedding",
            kind="states",
            about="When a fusion worker put off picture work because it was late.",
            unit="none",
            limits=ONE_IS_BAD,
            names=((0.0, "in time", "green"), (1.0, "SHEDDING", "red")),
            queries=(Query(f'max by (service) (triwarn_shedding{{{THOSE}, role="fusion"}})', "{{service}}"),),
        ),
        Panel(
            title="Work put off in a minute",
            kind="columns",
            about="Picture work put off under load: pictures gathered for a second, looks for pairs, impact "
            "predictions that no alert needs, putting right what came out of order.",
            unit="short",
            decimals=0,
            lowest=0.0,
            limits=ANY_IS_ODD,
            stacked=True,
            queries=(Query(f"sum by (work) (increase(triwarn_shed_total{{{THOSE}}}[1m]))", "{{work}}"),),
        ),
    ),
)

LATENCY: Final = Dashboard(
    uid="triwarn-latency",
    title="triwarn: Latency budget",
    about="Where the machine's milliseconds go, stage by stage, from a report's release to the alert held, against "
    "each stage's budget. Wall time only: warning times are on the Warning dashboard.",
    variables=(SERVICE, PURPOSE),
    rows=(_SUMMARY, _WHERE, _SPREAD, _OVERRUNS),
)

"""The watch officer's dashboard: who was warned how soon, what sharing bought, what stands now, whether feeds are heard."""

from __future__ import annotations

from typing import Final

from bench.dashboards.choices import (
    ANY_IS_BAD,
    FLOWS,
    OBJECTIVE_SHARE,
    ONE_IS_BAD,
    OURS,
    OURS_FOR,
    PURPOSE,
    RECIPIENT,
)
from bench.dashboards.panels import Dashboard, Limits, Panel, Query, Row
from bench.warning import OBJECTIVE_S

_STANDING: Final = 'state=~"quick|confirmed|updated"'
_LATE: Final = Limits("green", ((0.75 * OBJECTIVE_S, "yellow"), (OBJECTIVE_S, "red")))
_KEPT: Final = Limits("red", ((OBJECTIVE_SHARE - 0.05, "orange"), (OBJECTIVE_SHARE, "green")))
_FIRING: Final = 'ALERTS{alertstate="firing"}'
_RECORDED: Final = "recipient:warning_time_seconds:ratio_within_objective"  # docker/prometheus/rules/objective.yaml
_STALE: Final = "feed:stream_stale:min"  # docker/prometheus/rules/parties.yaml
_SPEAKS: Final = "(sum by (nation) (feed:frames_out:rate_15s) > bool 0)"
_BOUGHT: Final = Limits("grey", ((1.0, "green"),))
_WARNED: Final = Limits("green", ((1.0, "orange"),))


def _over(part: str, window: str, labels: str = "recipient", only: str = "") -> str:
    """How much a part of the histogram of warning times grew in a window, by labels."""
    return f"sum by ({labels}) (increase(triwarn_warning_time_seconds_{part}{{{OURS_FOR}{only}}}[{window}]))"


def _within(window: str) -> str:
    """The share of launches that were warned of within the objective; those that were missed were not."""
    in_time = f', le="{OBJECTIVE_S}"'
    missed = f"sum by (recipient) (increase(triwarn_missed_launches_total{{{OURS_FOR}}}[{window}]))"
    return f"{_over('bucket', window, only=in_time)} / ({_over('count', window)} + {missed})"


_NOW: Final = Row(
    "Now",
    (
        Panel(
            title="What runs",
            kind="stat",
            about="Everything here is simulated. An exercise is one that somebody started; the canary is a synthetic "
            "launch that runs by itself, only to show that warnings still come, and is never counted with "
            "exercises.",
            unit="none",
            limits=Limits("grey", ((1.0, "blue"), (2.0, "purple"))),
            names=((0.0, "nothing", "grey"), (1.0, "EXERCISE", "blue"), (2.0, "CANARY (synthetic)", "purple")),
            queries=(Query("max(triwarn_exercise_running) + max(triwarn_canary)", "runs"),),
            width=5,
            height=4,
        ),
        Panel(
            title="Missiles in flight, as each picture counts",
            kind="stat",
            about="The raid count of each recipient's picture, as expected. It lags while a raid rises, and while it comes down.",
            unit="short",
            decimals=0,
            limits=_WARNED,
            queries=(Query(f"max by (recipient) (triwarn_raid_count{{{OURS}}})", "{{recipient}}"),),
            width=6,
            height=4,
        ),
        Panel(
            title="Warnings that stand",
            kind="stat",
            about="Alerts of each recipient that are neither closed nor retracted, of exercises. The canary's are never here.",
            unit="short",
            decimals=0,
            limits=_WARNED,
            queries=(Query(f"sum by (recipient) (triwarn_alerts{{{OURS}, {_STANDING}}})", "{{recipient}}"),),
            width=6,
            height=4,
        ),
        Panel(
            title="The last canary",
            kind="stat",
            about="Whether the synthetic launch that runs by itself was warned of the last time. MISSED: a real one might be, "
            "too.",
            unit="none",
            limits=ONE_IS_BAD,
            names=((0.0, "warned", "green"), (1.0, "MISSED", "red")),
            queries=(Query(f"max by (recipient) (triwarn_canary_missed{{{OURS}}})", "{{recipient}}"),),
            width=4,
            height=4,
        ),
        Panel(
            title="Alarms of the system",
            kind="stat",
            about="How many alarms of Prometheus fire; the table at the end names them, and docs/runbook.md says what to do.",
            unit="short",
            decimals=0,
            limits=ONE_IS_BAD,
            queries=(Query(f"count(count by (alertname) ({_FIRING})) or vector(0)", "firing"),),
            width=3,
            height=4,
        ),
    ),
)

_TIME_TO_WARN: Final = Row(
    f"Time to warn: the objective is {OBJECTIVE_SHARE:.0%} of launches within {OBJECTIVE_S:.0f} s",
    (
        Panel(
            title="Time to warn, mean",
            kind="stat",
            about=f"Scenario seconds from a launch to the recipient holding its first alert, over the time shown. Red from "
            f"{OBJECTIVE_S:.0f} s on, the objective.",
            unit="s",
            decimals=1,
            limits=_LATE,
            queries=(Query(f"{_over('sum', '$__range')} / {_over('count', '$__range')}", "{{recipient}}"),),
            width=6,
            height=5,
        ),
        Panel(
            title=f"Warned within {OBJECTIVE_S:.0f} s",
            kind="gauge",
            about=f"The share of launches whose first alert the recipient held within {OBJECTIVE_S:.0f} s, over the time shown; "
            f"those missed were not. Wanted are {OBJECTIVE_SHARE:.0%}.",
            unit="percentunit",
            decimals=0,
            lowest=0.0,
            highest=1.0,
            limits=_KEPT,
            queries=(Query(_within("$__range"), "{{recipient}}"),),
            width=6,
            height=5,
        ),
        Panel(
            title="Gain from sharing, mean",
            kind="stat",
            about="Seconds by which a recipient's first alerts came sooner than its own feed alone would have raised "
            "them, over the launches of the exercise that runs or ran last. Never of the canary.",
            unit="s",
            decimals=1,
            limits=_BOUGHT,
            queries=(Query(f"max by (recipient) (triwarn_sharing_gain_seconds{{{OURS}}})", "{{recipient}}"),),
            width=6,
            height=5,
        ),
        Panel(
            title="Told by partners only",
            kind="stat",
            about="Launches that a recipient was warned of, and would not have been by its own feed alone, of the exercise "
            "that runs or ran last.",
            unit="short",
            decimals=0,
            limits=_BOUGHT,
            queries=(Query(f"max by (recipient) (triwarn_launches_only_shared{{{OURS}}})", "{{recipient}}"),),
            width=3,
            height=5,
        ),
        Panel(
            title="Launches missed",
            kind="stat",
            about="Launches that were down by the end of an exercise without any warning, over the time shown.",
            unit="short",
            decimals=0,
            limits=ONE_IS_BAD,
            queries=(
                Query(
                    f"sum by (recipient) (increase(triwarn_missed_launches_total{{{OURS_FOR}}}[$__range]))",
                    "{{recipient}}",
                ),
            ),
            width=3,
            height=5,
        ),
        Panel(
            title="Time to warn, mean of five minutes",
            kind="lines",
            about=f"The mean time to warn of the launches of the five minutes before, by recipient; the line is the objective, "
            f"{OBJECTIVE_S:.0f} s.",
            unit="s",
            lowest=0.0,
            limits=_LATE,
            marked=True,
            queries=(Query(f"{_over('sum', '5m')} / {_over('count', '5m')}", "{{recipient}}"),),
            width=6,
        ),
        Panel(
            title="How fast the objective's budget burns",
            kind="lines",
            about="How many times as many launches were warned of too late, in the hour and the five minutes before, as may be, "
            f"{1 - OBJECTIVE_SHARE:.0%}. At 1 the budget just lasts. Alarms begin at 1 over days, 6 over hours, 14.4 over one.",
            unit="none",
            lowest=0.0,
            limits=Limits("green", ((1.0, "yellow"), (6.0, "orange"), (14.4, "red"))),
            marked=True,
            queries=tuple(
                Query(f"(1 - {_RECORDED}_{window}{{{OURS_FOR}}}) / {1 - OBJECTIVE_SHARE:.2f}", f"{{{{recipient}}}} {window}")
                for window in ("1h", "5m")
            ),
            width=6,
        ),
        Panel(
            title="Gain from sharing, as the exercise goes",
            kind="lines",
            about="The mean gain over the launches warned of so far, by recipient: what the first alerts were sooner "
            "than the own feed alone. Near 0 for whom the others tell nothing sooner.",
            unit="s",
            limits=_BOUGHT,
            queries=(Query(f"max by (recipient) (triwarn_sharing_gain_seconds{{{OURS}}})", "{{recipient}}"),),
            width=6,
        ),
        Panel(
            title="Lead time at the first predicted impact, median of five minutes",
            kind="lines",
            about="Scenario seconds from holding an alert's first impact prediction to that impact: what is left to "
            "act on. Red below a minute.",
            unit="s",
            lowest=0.0,
            limits=Limits("red", ((60.0, "yellow"), (120.0, "green"))),
            marked=True,
            queries=(
                Query(
                    "histogram_quantile(0.5, sum by (recipient, le) (increase("
                    f"triwarn_lead_time_seconds_bucket{{{OURS_FOR}}}[5m])))",
                    "{{recipient}}",
                ),
            ),
            width=6,
        ),
    ),
)

_ALERTS: Final = Row(
    "Current alerts",
    (
        Panel(
            title="Alerts by recipient and state",
            kind="table",
            about="Every alert of the exercise that runs, by its present state: quick (one kind of sensor), confirmed (two, or "
            "two nations), updated (told again), closed (over), retracted (another speaks of the same launch, or nothing flew).",
            unit="short",
            decimals=0,
            limits=Limits("grey", ((1.0, "blue"),)),
            matrix=("recipient", "state"),
            queries=(Query(f"sum by (recipient, state) (triwarn_alerts{{{OURS}}})"),),
        ),
        Panel(
            title="Warnings that stood",
            kind="lines",
            about="Alerts that are neither closed nor retracted, by recipient, of exercises. Shaded is what ran: an exercise "
            "blue, the canary purple.",
            unit="short",
            decimals=0,
            lowest=0.0,
            limits=_WARNED,
            queries=(Query(f"sum by (recipient) (triwarn_alerts{{{OURS}, {_STANDING}}})", "{{recipient}}"),),
        ),
        Panel(
            title="Missiles in flight, with one sigma",
            kind="lines",
            about="The raid count of each recipient's picture as expected (whole lines), and one sigma more and less (dashed).",
            unit="short",
            lowest=0.0,
            limits=_WARNED,
            dashed=".* [+-] sigma",
            queries=(
                Query(f"max by (recipient) (triwarn_raid_count{{{OURS}}})", "{{recipient}}"),
                Query(
                    f"max by (recipient) (triwarn_raid_count{{{OURS}}} + triwarn_raid_count_sigma{{{OURS}}})",
                    "{{recipient}} + sigma",
                ),
                Query(
                    f"max by (recipient) (triwarn_raid_count{{{OURS}}} - triwarn_raid_count_sigma{{{OURS}}})",
                    "{{recipient}} - sigma",
                ),
            ),
        ),
    ),
)

_FEEDS: Final = Row(
    "Health of the feeds, and of what is behind them",
    (
        Panel(
            title="Feeds as fusion hears them, pictures as their recipients do",
            kind="states",
            about="Heard lately, or quiet: a feed that sees nothing says nothing, and no picture changes then. NOT HEARD is "
            "a feed that speaks, and fusion hears none of it.",
            unit="none",
            limits=Limits("red", ((0.0, "grey"), (1.0, "green"))),
            names=((-1.0, "NOT HEARD", "red"), (0.0, "quiet", "grey"), (1.0, "heard", "green")),
            queries=(
                Query(f"1 - {_STALE} - {_STALE} * on (nation) {_SPEAKS} or 1 - {_STALE}", "feed {{nation}}"),
                Query('1 - max by (stream) (triwarn_stream_stale{stream=~".* picture"})', "{{stream}}"),
            ),
            width=12,
        ),
        Panel(
            title="Processes",
            kind="states",
            about="Whether Prometheus reaches each process, and it is connected and warm: ready to warn.",
            unit="none",
            limits=Limits("red", ((1.0, "yellow"), (2.0, "green"))),
            names=((0.0, "DOWN", "red"), (1.0, "not ready", "yellow"), (2.0, "ready", "green")),
            queries=(
                Query(
                    'max by (service) (up{job="triwarn"}) + (max by (service) (triwarn_ready) or 0 * max by (service) (up))',
                    "{{service}}",
                ),
            ),
            width=12,
        ),
        Panel(
            title="Reports of the feeds",
            kind="lines",
            about="Track reports a second that each nation's feed releases. None while nothing is seen.",
            unit="cps",
            lowest=0.0,
            limits=FLOWS,
            queries=(
                Query(
                    'sum by (nation) (rate(triwarn_reports_total{role="feed", direction="out"}[$__rate_interval]))', "{{nation}}"
                ),
            ),
        ),
        Panel(
            title="Reports that did not come",
            kind="lines",
            about="Numbers that are missing from the streams of the feeds and of the pictures: messages lost, or late.",
            unit="short",
            decimals=0,
            lowest=0.0,
            limits=ANY_IS_BAD,
            queries=(Query('max by (stream) (triwarn_sequence_gaps{stream=~".*(tracks|picture).*"})', "{{stream}}"),),
        ),
        Panel(
            title="Alarms that fire",
            kind="table",
            about="The alert rules of Prometheus that fire now, and of which process or recipient. What each means and what "
            "to do: docs/runbook.md.",
            unit="short",
            limits=ONE_IS_BAD,
            columns=(
                ("alertname", "alarm", ""),
                ("severity", "severity", ""),
                ("service", "process", ""),
                ("recipient", "recipient", ""),
                ("purpose", "of", ""),
            ),
            queries=(
                Query(
                    f"max by (alertname, severity, service, recipient, purpose) ({_FIRING}) or "
                    f'(label_replace(vector(0), "alertname", "none fires", "", "") unless on () {_FIRING})'
                ),
            ),
        ),
    ),
)

WARNING: Final = Dashboard(
    uid="triwarn-warning",
    title="triwarn: Warning",
    about="For the watch officer: time to warn by recipient against the objective, what sharing bought, the alerts "
    "that stand, and whether the feeds are heard. Everything is simulated.",
    variables=(RECIPIENT, PURPOSE),
    rows=(_NOW, _TIME_TO_WARN, _ALERTS, _FEEDS),
)

"""The engineer's dashboard: throughput, queues, what is missing or refused, biases between feeds, consistency, processes."""

from __future__ import annotations

from typing import Final

from bench.dashboards.choices import (
    ANY_IS_BAD,
    ANY_IS_ODD,
    FLOWS,
    NOTHING,
    OURS,
    RECIPIENT,
    SERVICE,
    THOSE,
    ZERO_IS_BAD,
)
from bench.dashboards.panels import Dashboard, Limits, Panel, Query, Row

_MIB: Final = float(1 << 20)
_DAY_S: Final = 86_400.0


def _rate(counter: str, labels: str) -> str:
    return f"sum by ({labels}) (rate({counter}{{{THOSE}}}[$__rate_interval]))"


def _rate_or_0(counter: str) -> str:
    """By process, 0 where it has counted nothing yet."""
    return f"sum by (service) (rate({counter}{{{THOSE}}}[$__rate_interval]) or {NOTHING})"


def _pairs(metric: str) -> str:
    return f"max by (feed, other) ({metric}{{{OURS}}})"


_THROUGHPUT: Final = Row(
    "Throughput",
    (
        Panel(
            title="Track reports",
            kind="lines",
            about="Track reports a second, by process and direction: feeds send, fusion takes, receivers take system tracks.",
            unit="cps",
            lowest=0.0,
            limits=FLOWS,
            queries=(Query(_rate("triwarn_reports_total", "service, direction"), "{{service}} {{direction}}"),),
        ),
        Panel(
            title="Messages, by kind",
            kind="lines",
            about="Messages a second over the bus, by kind and direction: what is sent once is received by each who may see it.",
            unit="cps",
            lowest=0.0,
            limits=FLOWS,
            queries=(Query(_rate("triwarn_frames_total", "kind, direction"), "{{kind}} {{direction}}"),),
        ),
        Panel(
            title="Payload",
            kind="lines",
            about="Payload bytes a second, by process and direction; what the broker and TLS add is not in it.",
            unit="Bps",
            lowest=0.0,
            limits=FLOWS,
            queries=(Query(_rate("triwarn_bytes_total", "service, direction"), "{{service}} {{direction}}"),),
        ),
    ),
)

_QUEUES: Final = Row(
    "Queues and links",
    (
        Panel(
            title="Waiting in queues",
            kind="lines",
            about="Messages that wait in a link's bounded queues. What stays above 0 is a broker or a process that "
            "does not keep up.",
            unit="short",
            decimals=0,
            lowest=0.0,
            limits=Limits("green", ((100.0, "yellow"), (1000.0, "red"))),
            queries=(Query(f"max by (service, link) (triwarn_queue_depth{{{THOSE}}})", "{{service}} {{link}}"),),
        ),
        Panel(
            title="Sent, and not acknowledged",
            kind="lines",
            about="QoS 1 messages (alerts, launches, statuses) that the broker has not acknowledged yet.",
            unit="short",
            decimals=0,
            lowest=0.0,
            limits=Limits("green", ((16.0, "yellow"), (64.0, "red"))),
            queries=(Query(f"max by (service, link) (triwarn_in_flight{{{THOSE}}})", "{{service}} {{link}}"),),
        ),
        Panel(
            title="Links up",
            kind="states",
            about="Whether each process has both of its connections to the broker: bulk for frames and pictures, "
            "urgent for the rest.",
            unit="none",
            limits=Limits("red", ((1.0, "green"),)),
            names=((0.0, "DOWN", "red"), (1.0, "up", "green")),
            queries=(Query(f"min by (service) (triwarn_connected{{{THOSE}}})", "{{service}}"),),
        ),
        Panel(
            title="Dropped by links in a minute, by reason",
            kind="columns",
            about="Messages that a link dropped: tracks while the broker was away (the next supersedes them), or what "
            "did not fit.",
            unit="short",
            lowest=0.0,
            limits=ANY_IS_BAD,
            stacked=True,
            queries=(Query(f"sum by (reason) (increase(triwarn_dropped_total{{{THOSE}}}[1m]))", "{{reason}}"),),
        ),
        Panel(
            title="Reconnects and errors of links in a minute",
            kind="columns",
            about="Connections made again after a loss, broken packets, and handlers that failed.",
            unit="short",
            lowest=0.0,
            limits=ANY_IS_BAD,
            stacked=True,
            queries=(
                Query(f"sum by (service) (increase(triwarn_reconnects_total{{{THOSE}}}[1m]))", "{{service}} again"),
                Query(f"sum by (kind) (increase(triwarn_link_errors_total{{{THOSE}}}[1m]))", "{{kind}} error"),
            ),
        ),
        Panel(
            title="Skew of wall clocks",
            kind="lines",
            about="How far another process's wall clock seems ahead of one's own, at least. Latencies between machines are "
            "wrong by as much. Below 0 it is behind, or messages took so long.",
            unit="s",
            limits=Limits("green", ((0.02, "yellow"), (0.1, "red"))),
            queries=(Query(f"max by (party) (triwarn_clock_skew_seconds{{{THOSE}}})", "{{party}}"),),
        ),
    ),
)

_MISSING: Final = Row(
    "Missing, double, refused",
    (
        Panel(
            title="Gaps",
            kind="lines",
            about="Numbers that are missing from a stream now. One that comes late lowers it again: lost and late differ.",
            unit="short",
            decimals=0,
            lowest=0.0,
            limits=ANY_IS_BAD,
            queries=(Query(f"max by (stream) (triwarn_sequence_gaps{{{THOSE}}})", "{{stream}}"),),
        ),
        Panel(
            title="Messages that came twice",
            kind="lines",
            about="A second, by process. QoS 1 is at least once: some after a reconnect are expected, and harmless.",
            unit="cps",
            lowest=0.0,
            limits=ANY_IS_ODD,
            queries=(Query(_rate_or_0("triwarn_duplicates_total"), "{{service}}"),),
        ),
        Panel(
            title="Rejected in a minute, by reason",
            kind="columns",
            about="Messages or rows that were not taken, by reason: docs/wire.md says what each means. False alarms of "
            "national trackers that grew old (late) are no fault.",
            unit="short",
            lowest=0.0,
            limits=ANY_IS_ODD,
            stacked=True,
            queries=(Query(f"sum by (reason) (increase(triwarn_rejected_total{{{THOSE}}}[1m]))", "{{reason}}"),),
        ),
        Panel(
            title="Security events in a minute",
            kind="columns",
            about="Messages that are not what they claim to be: forged, altered, relabelled, replayed, unsealed. Any "
            "one wants a look.",
            unit="short",
            lowest=0.0,
            limits=ANY_IS_BAD,
            stacked=True,
            queries=(Query(f"sum by (reason) (increase(triwarn_security_events_total{{{THOSE}}}[1m]))", "{{reason}}"),),
        ),
        Panel(
            title="Failures of the audit log in a minute",
            kind="columns",
            about="Times that a process could not write its audit log (a full disk, say). Alerts go on; what was "
            "decided is not on record.",
            unit="short",
            lowest=0.0,
            limits=ANY_IS_BAD,
            queries=(Query(f"sum by (service) (increase(triwarn_audit_failures_total{{{THOSE}}}[1m]))", "{{service}}"),),
        ),
        Panel(
            title="Certificates",
            kind="bars",
            about="Time until the first certificate of each process (its own, or its authority's) expires. Nothing without "
            "TLS. An alarm fires with less than 14 days left, and a critical one with less than one.",
            unit="s",
            lowest=0.0,
            limits=Limits("red", ((1.0 * _DAY_S, "yellow"), (14.0 * _DAY_S, "green"))),
            queries=(
                Query(f"min by (service) (triwarn_certificate_expiry_timestamp_seconds{{{THOSE}}}) - time()", "{{service}}"),
            ),
            empty="no TLS",
        ),
    ),
)

_BIASES: Final = Row(
    "Biases between feeds",
    (
        Panel(
            title="Displacement between feeds, with one sigma",
            kind="lines",
            about="How far a feed's reports are displaced against another's beyond what they claim, as put right in the chosen "
            "recipients' pictures (whole lines; 0 where nothing is), and one sigma of it (dashed): where nothing is put right, "
            "how far apart they may be all the same. No sigma where they see too little in common.",
            unit="lengthm",
            lowest=0.0,
            limits=Limits("green", ((500.0, "yellow"), (5000.0, "red"))),
            dashed=".* sigma",
            queries=(
                Query(_pairs("triwarn_feed_offset_metres"), "{{feed}} - {{other}}"),
                Query(_pairs("triwarn_feed_offset_sigma_metres"), "{{feed}} - {{other}} sigma"),
            ),
            width=12,
        ),
        Panel(
            title="Clocks of feeds, with one sigma",
            kind="lines",
            about="By how much a feed's clock is slow against another's, as put right in the chosen recipients' "
            "pictures (whole lines; 0 where nothing is), and one sigma of it (dashed): where nothing is put right, how far apart "
            "they may be all the same. No sigma where feeds see too little in common.",
            unit="s",
            limits=Limits("green", ((0.1, "yellow"), (1.0, "red"))),
            dashed=".* sigma",
            queries=(
                Query(_pairs("triwarn_feed_clock_offset_seconds"), "{{feed}} - {{other}}"),
                Query(_pairs("triwarn_feed_clock_offset_sigma_seconds"), "{{feed}} - {{other}} sigma"),
            ),
            width=12,
        ),
    ),
)

_FUSION: Final = Row(
    "The fused picture",
    (
        Panel(
            title="ANEES against truth, by phase",
            kind="lines",
            about="Normalised errors of each recipient's picture against the truth, in exercises only: 1 where errors "
            "are as claimed, below it the picture is more careful than it need be, above it too sure of itself.",
            unit="none",
            decimals=2,
            lowest=0.0,
            limits=Limits("yellow", ((0.5, "green"), (1.3, "red"))),
            marked=True,
            queries=(Query(f"max by (recipient, phase) (triwarn_anees{{{OURS}}})", "{{recipient}} {{phase}}"),),
        ),
        Panel(
            title="System tracks",
            kind="lines",
            about="Objects in each recipient's picture. More than fly: false tracks, or one object held as two.",
            unit="short",
            decimals=0,
            lowest=0.0,
            limits=FLOWS,
            queries=(Query(f'max by (recipient) (triwarn_system_tracks{{{OURS}, role="fusion"}})', "{{recipient}}"),),
        ),
        Panel(
            title="Association gap",
            kind="lines",
            about="How far the last look for pairs may be from the best one, as a share of the bound: 0 where it is proven best.",
            unit="percentunit",
            lowest=0.0,
            limits=Limits("green", ((0.01, "yellow"), (0.05, "red"))),
            queries=(Query(f"max by (recipient) (triwarn_association_gap{{{OURS}}})", "{{recipient}}"),),
        ),
        Panel(
            title="Pairs kept apart by an operator",
            kind="lines",
            about="Pairs of national tracks that a recipient's picture keeps apart by an operator's word.",
            unit="short",
            decimals=0,
            lowest=0.0,
            limits=Limits("grey", ((1.0, "blue"),)),
            queries=(Query(f"max by (recipient) (triwarn_decorrelations{{{OURS}}})", "{{recipient}}"),),
        ),
        Panel(
            title="Alert messages in a minute, by state",
            kind="columns",
            about="Alert messages that the receivers took, by state, of exercises and of the canary apart.",
            unit="short",
            lowest=0.0,
            limits=FLOWS,
            stacked=True,
            queries=(
                Query(
                    f"sum by (state, purpose) (increase(triwarn_alerts_received_total{{{OURS}}}[1m]))",
                    "{{state}} ({{purpose}})",
                ),
            ),
        ),
        Panel(
            title="Shed work in a minute",
            kind="columns",
            about="Picture work that the fusion worker put off under load: pictures, looks for pairs, impact "
            "predictions, putting right what came out of order. Alerts are never put off.",
            unit="short",
            lowest=0.0,
            limits=ANY_IS_ODD,
            stacked=True,
            queries=(Query(f"sum by (work) (increase(triwarn_shed_total{{{THOSE}}}[1m]))", "{{work}}"),),
        ),
    ),
)

_PROCESSES: Final = Row(
    "Processes",
    (
        Panel(
            title="Memory",
            kind="lines",
            about="Resident memory of each process. It grows while kernels load, and is flat from then on. Red is what a "
            "container may have (docker/common.yaml).",
            unit="bytes",
            lowest=0.0,
            limits=Limits("green", ((640.0 * _MIB, "yellow"), (768.0 * _MIB, "red"))),
            queries=(Query(f"max by (service) (process_resident_memory_bytes{{{THOSE}}})", "{{service}}"),),
        ),
        Panel(
            title="Processor",
            kind="lines",
            about="Cores that each process keeps busy. One that nears 1 is late soon: each does its work on one.",
            unit="percentunit",
            lowest=0.0,
            limits=Limits("green", ((0.7, "yellow"), (0.95, "red"))),
            queries=(Query(_rate("process_cpu_seconds_total", "service"), "{{service}}"),),
        ),
        Panel(
            title="Up for",
            kind="lines",
            about="Seconds since each process began: a line that falls to 0 is a restart.",
            unit="s",
            lowest=0.0,
            limits=Limits("yellow", ((60.0, "green"),)),
            queries=(Query(f"time() - max by (service) (process_start_time_seconds{{{THOSE}}})", "{{service}}"),),
        ),
        Panel(
            title="Ready",
            kind="states",
            about="Whether each process is connected and warm.",
            unit="none",
            limits=ZERO_IS_BAD,
            names=((0.0, "no", "red"), (1.0, "ready", "green")),
            queries=(Query(f"max by (service) (triwarn_ready{{{THOSE}}})", "{{service}}"),),
        ),
        Panel(
            title="Open files",
            kind="lines",
            about="File descriptors that each process holds: connections, logs. What climbs is a leak.",
            unit="short",
            decimals=0,
            lowest=0.0,
            limits=Limits("green", ((256.0, "yellow"), (900.0, "red"))),
            queries=(Query(f"max by (service) (process_open_fds{{{THOSE}}})", "{{service}}"),),
        ),
        Panel(
            title="Scrapes",
            kind="lines",
            about="How long Prometheus waited for each process's metrics: long ones are processes without a moment to answer.",
            unit="s",
            lowest=0.0,
            limits=Limits("green", ((0.1, "yellow"), (1.0, "red"))),
            queries=(Query(f"max by (service) (scrape_duration_seconds{{{THOSE}}})", "{{service}}"),),
        ),
    ),
)

ENGINEERING: Final = Dashboard(
    uid="triwarn-engineering",
    title="triwarn: Engineering",
    about="Throughput, queues, gaps, biases between feeds with their sigma, ANEES in exercises, shed work, memory.",
    variables=(SERVICE, RECIPIENT),
    rows=(_THROUGHPUT, _QUEUES, _MISSING, _BIASES, _FUSION, _PROCESSES),
)

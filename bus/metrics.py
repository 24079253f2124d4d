"""Every metric of the program, on an injected registry, and the endpoint that serves them.

Each machine stage is measured by exactly one kind of process (feeds: publish; fusion: transit, fuse; receivers: alert, total),
so summing over processes never counts a stage twice. Every budget is an exact bucket boundary of the histogram. No
label ever holds a track number or an alert id.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Final, Literal, get_args
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from msgspec import Meta, Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from bus.errors import REJECT_REASONS, SECURITY_REASONS, BadInput
from bus.transport import Transport

Stage = Literal["publish", "transit", "fuse", "alert", "total"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)

Work = Literal["pictures", "looks", "impacts", "order"]
WORKS: Final[tuple[Work, ...]] = get_args(Work)

Certificate = Literal["own", "authority"]

Milliseconds = Annotated[float, Meta(gt=0.0, le=60_000.0, description="milliseconds of wall time, above 0, at most 60000")]

_STAGE_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_WARNING_BUCKETS: Final = (10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0, 600.0, 1200.0)
_LEAD_BUCKETS: Final = (0.0, 30.0, 60.0, 120.0, 180.0, 240.0, 300.0, 600.0, 1200.0, 2400.0, 4800.0)


class Budgets(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The machine's share of the warning time, by stage, in wall-clock milliseconds.

    The defaults add up to a tenth of the second between two radar updates: the machine may never cost an update. Those of transit
    and fuse are deadlines to the fusion worker: over them it sheds picture work.
    """

    publish_ms: Milliseconds = 20.0
    transit_ms: Milliseconds = 20.0
    fuse_ms: Milliseconds = 40.0
    alert_ms: Milliseconds = 20.0
    total_ms: Milliseconds = 100.0

    def seconds(self, stage: Stage) -> float:
        """The budget of one stage, s."""
        budget: float = getattr(self, f"{stage}_ms")
        return budget / 1e3


class Metrics:
    """The metrics of one process. Labels are bounded: nations, stages, states, reasons, stream names."""

    def __init__(self, registry: CollectorRegistry, budgets: Budgets) -> None:
        self.registry = registry
        self.budgets = budgets
        self.warning_time = Histogram(
            "triwarn_warning_time_seconds",
            "Scenario seconds from a launch to the recipient holding its first alert, the machine's part in wall time",
            ["recipient", "purpose"],
            buckets=_WARNING_BUCKETS,
            registry=registry,
        )
        self.lead_time = Histogram(
            "triwarn_lead_time_seconds",
            "Scenario seconds from the recipient holding the alert to the predicted impact, at the first prediction",
            ["recipient", "purpose"],
            buckets=_LEAD_BUCKETS,
            registry=registry,
        )
        self.missed_launches = Counter(
            "triwarn_missed_launches",
            "Launches that were down by the end of an exercise and that the recipient was not warned of",
            ["recipient", "purpose"],
            registry=registry,
        )
        self.anees = Gauge(
            "triwarn_anees",
            "ANEES of a recipient's picture against truth, of the exercise that runs or ran last: 1 where errors are as claimed",
            ["recipient", "phase"],
            registry=registry,
        )
        self.gain = Gauge(
            "triwarn_sharing_gain_seconds",
            "Mean seconds that a recipient was warned sooner than by its own feed alone, of the exercise that runs or ran last",
            ["recipient"],
            registry=registry,
        )
        self.only_shared = Gauge(
            "triwarn_launches_only_shared",
            "Launches that a recipient was warned of and would not have been by its own feed alone, of the same exercise",
            ["recipient"],
            registry=registry,
        )
        self.exercise_running = Gauge("triwarn_exercise_running", "1 while an exercise or the canary runs", registry=registry)
        self.canary = Gauge("triwarn_canary", "1 while what runs is the canary", registry=registry)
        self.canary_rounds = Counter(
            "triwarn_canary_rounds",
            "Canaries played to the end, by whether the recipient was warned; told by the canary",
            ["recipient", "outcome"],
            registry=registry,
        )
        self.canary_missed = Gauge(
            "triwarn_canary_missed",
            "1 where the recipient was not warned of the last canary; told by the canary",
            ["recipient"],
            registry=registry,
        )
        self._stages = Histogram(
            "triwarn_stage_seconds",
            "Wall seconds a stage of the machine took; every budget is a bucket boundary",
            ["stage"],
            buckets=sorted({*_STAGE_BUCKETS, *(budgets.seconds(stage) for stage in STAGES)}),
            registry=registry,
        )
        budget = Gauge(
            "triwarn_stage_budget_seconds", "Wall seconds that a stage may take, by the settings", ["stage"], registry=registry
        )
        for stage in STAGES:
            budget.labels(stage).set(budgets.seconds(stage))
        self._over_budget = Counter(
            "triwarn_stage_over_budget", "Times a stage took longer than its budget", ["stage"], registry=registry
        )
        self.reports = Counter("triwarn_reports", "Track reports by direction", ["direction"], registry=registry)
        self.gaps = Gauge("triwarn_sequence_gaps", "Messages missing from a stream so far", ["stream"], registry=registry)
        self.duplicates = Counter("triwarn_duplicates", "Messages that came twice", ["stream"], registry=registry)
        self.stale = Gauge(
            "triwarn_stream_stale",
            "1 while a stream of tracks or pictures is silent in an exercise",
            ["stream"],
            registry=registry,
        )
        self.rejected = Counter("triwarn_rejected", "Messages or rows dropped, by reason", ["reason"], registry=registry)
        self.audit_failures = Counter("triwarn_audit_failures", "Times the audit log could not be written", registry=registry)
        self.security_events = Counter(
            "triwarn_security_events",
            "Messages dropped because they are not what they claim to be, by reason; only where messages are sealed",
            ["reason"],
            registry=registry,
        )
        self.system_tracks = Gauge(
            "triwarn_system_tracks", "System tracks in a recipient's picture", ["recipient"], registry=registry
        )
        self.decorrelations = Gauge(
            "triwarn_decorrelations",
            "Pairs of national tracks that a recipient's picture keeps apart by an operator's word",
            ["recipient"],
            registry=registry,
        )
        self.association_gap = Gauge(
            "triwarn_association_gap",
            "Largest duality gap of the last look for pairs, as a share of the bound; 0 where the answer is proven best",
            ["recipient"],
            registry=registry,
        )
        feeds = ["recipient", "feed", "other"]
        self.offset_m = Gauge(
            "triwarn_feed_offset_metres",
            "How far a feed's reports are displaced against another's in a recipient's picture, put right; 0 where nothing is",
            feeds,
            registry=registry,
        )
        self.offset_sigma_m = Gauge(
            "triwarn_feed_offset_sigma_metres",
            "One sigma of that; where it is 0, how far apart they may be all the same; NaN where nobody can tell",
            feeds,
            registry=registry,
        )
        self.offset_s = Gauge(
            "triwarn_feed_clock_offset_seconds",
            "By how much a feed's clock is slow against another's in a recipient's picture, put right; 0 where nothing is",
            feeds,
            registry=registry,
        )
        self.offset_sigma_s = Gauge(
            "triwarn_feed_clock_offset_sigma_seconds",
            "One sigma of that; where it is 0, how far apart they may be all the same; NaN where nobody can tell",
            feeds,
            registry=registry,
        )
        self.raid_count = Gauge(
            "triwarn_raid_count",
            "Missiles in flight that a recipient's picture counts, as expected",
            ["recipient"],
            registry=registry,
        )
        self.raid_count_sigma = Gauge(
            "triwarn_raid_count_sigma", "One sigma of the missiles counted in flight", ["recipient"], registry=registry
        )
        self.alerts = Gauge("triwarn_alerts", "Alerts by recipient and present state", ["recipient", "state"], registry=registry)
        self.alerts_received = Counter(
            "triwarn_alerts_received",
            "Alert messages a receiver took, by state",
            ["recipient", "state", "purpose"],
            registry=registry,
        )
        self.shed = Counter(
            "triwarn_shed",
            "Times that picture work was put off, or left undone: gathered pictures, looks for pairs, impact predictions, order",
            ["work"],
            registry=registry,
        )
        self.redone = Counter(
            "triwarn_pictures_redone",
            "Times that a picture was put right after reports that came out of order",
            ["recipient"],
            registry=registry,
        )
        self.shedding = Gauge("triwarn_shedding", "1 while picture work is shed", registry=registry)
        for work in WORKS:
            self.shed.labels(work)
        for reason in REJECT_REASONS:  # there from the start, so that a rate over them is a number
            self.rejected.labels(reason)
        for reason in SECURITY_REASONS:
            self.security_events.labels(reason)
        for stage in STAGES:
            self._over_budget.labels(stage)
        self._certificate_expiry = Gauge(
            "triwarn_certificate_expiry_timestamp_seconds",
            "When this process's certificate, and its authority's, expires, s since the epoch; absent without TLS",
            ["certificate"],
            registry=registry,
        )
        self.ready = Gauge("triwarn_ready", "1 once the process is connected and warm", registry=registry)

        self._meters = {stage: (self._stages.labels(stage), budgets.seconds(stage)) for stage in STAGES}

    def stage(self, stage: Stage, seconds: float) -> None:
        """Record one stage's duration, and the overrun if it is one."""
        meter, budget_s = self._meters[stage]
        meter.observe(seconds)
        if seconds > budget_s:
            self._over_budget.labels(stage).inc()

    def certificate_expires(self, certificate: Certificate, at_s: float) -> None:
        """Export until when one's own certificate, or the authority's, is valid."""
        self._certificate_expiry.labels(certificate).set(at_s)

    def over_budget(self, stage: Stage) -> int:
        """How often the stage has run over so far."""
        value = self.registry.get_sample_value("triwarn_stage_over_budget_total", {"stage": stage})
        return int(value or 0)

    def watch(
        self,
        links: Mapping[str, Transport],
        messages: Mapping[str, Mapping[str, int]],
        skew_s: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """Export what these transports count, messages by direction and kind, and the skew of others' clocks, s, by party; all
        read at each scrape: free on the hot path.
        """
        self.registry.register(_LinkCollector(links, messages, skew_s))


class _LinkCollector(Collector):
    """Turns the counters that the transports keep, and what was heard, into metrics when scraped."""

    def __init__(
        self,
        links: Mapping[str, Transport],
        messages: Mapping[str, Mapping[str, int]],
        skew_s: Callable[[], Mapping[str, float]],
    ) -> None:
        self._links, self._messages, self._skew_s = links, messages, skew_s

    def collect(self) -> Iterable[Metric]:
        reconnects = CounterMetricFamily("triwarn_reconnects", "Connections made again after a loss", labels=["link"])
        dropped = CounterMetricFamily("triwarn_dropped", "Messages the link dropped, by reason", labels=["link", "reason"])
        depth = GaugeMetricFamily("triwarn_queue_depth", "Messages waiting in the link's queues", labels=["link"])
        in_flight = GaugeMetricFamily("triwarn_in_flight", "QoS 1 messages not yet acknowledged", labels=["link"])
        connected = GaugeMetricFamily("triwarn_connected", "1 while the link is up", labels=["link"])
        errors = CounterMetricFamily("triwarn_link_errors", "Broken packets and failed handlers", labels=["link", "kind"])
        octets = CounterMetricFamily("triwarn_bytes", "Payload bytes by direction", labels=["link", "direction"])
        for name, link in self._links.items():
            stats = link.stats
            reconnects.add_metric([name], stats.reconnects)
            for reason, count in stats.dropped.items():
                dropped.add_metric([name, reason], count)
            depth.add_metric([name], stats.queue_depth)
            in_flight.add_metric([name], stats.in_flight)
            connected.add_metric([name], float(link.connected))
            errors.add_metric([name, "malformed"], stats.malformed)
            errors.add_metric([name, "handler"], stats.handler_errors)
            octets.add_metric([name, "out"], stats.bytes_out)
            octets.add_metric([name, "in"], stats.bytes_in)
        frames = CounterMetricFamily("triwarn_frames", "Messages by direction and kind", labels=["direction", "kind"])
        for direction, kinds in self._messages.items():
            for kind, count in sorted(kinds.items()):
                frames.add_metric([direction, kind], count)
        skew = GaugeMetricFamily(
            "triwarn_clock_skew_seconds",
            "How far a party's wall clock seems ahead of ours, at least; below 0 it is behind, or messages took so long",
            labels=["party"],
        )
        for party, ahead_s in self._skew_s().items():
            skew.add_metric([party], ahead_s)
        return [skew, frames, reconnects, dropped, depth, in_flight, connected, errors, octets]


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are counted by the scraper, not logged."""


class Endpoint:
    """Serves `/metrics`, `/ready` (200 once ready, else 503) and `/live` over HTTP from a thread of its own."""

    def __init__(self, registry: CollectorRegistry, is_ready: Callable[[], bool], host: str, port: int) -> None:
        metrics_app = make_wsgi_app(registry)

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "/")
            if path == "/metrics":
                page: Iterable[bytes] = metrics_app(environ, start_response)
                return page
            ready = is_ready()
            status, body = {
                "/ready": ("200 OK", b"ready\n") if ready else ("503 Service Unavailable", b"not ready\n"),
                "/live": ("200 OK", b"live\n"),
            }.get(path, ("404 Not Found", b"/metrics, /ready, /live\n"))
            start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
            return [body]

        try:
            self._server = make_server(host, port, app, ThreadingWSGIServer, handler_class=_QuietHandler)
        except OSError as error:
            raise BadInput("settings", "endpoint.port", f"cannot listen on {host}:{port}: {error.strerror}") from None
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="metrics")
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

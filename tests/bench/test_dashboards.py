"""The dashboards: what is committed is what the tables make, and every panel asks for what there is and says what it shows."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import combinations
from typing import Final, NamedTuple

import pytest
from grafana_foundation_sdk.models import units
from prometheus_client import CollectorRegistry, ProcessCollector

from bench.dashboards.ask import Question, questions, values
from bench.dashboards.choices import OBJECTIVE_SHARE, SCRAPED_EVERY
from bench.dashboards.grafana import DASHBOARDS, FOLDER, SOURCE, made
from bench.dashboards.panels import COLUMNS, Dashboard, Panel, placed
from bench.reference import metric_table
from bench.warning import OBJECTIVE_S
from bus.metrics import Budgets, Metrics

EACH = pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.uid)

# What Prometheus says by itself, and what its scrape configuration adds to every series of ours.
ITS_OWN: Final = {
    "up": set[str](),
    "scrape_duration_seconds": set[str](),
    "ALERTS": {"alertname", "alertstate", "severity", "recipient", "purpose"},
}
TARGET: Final = {"job", "service", "role", "nation"}
WORDS: Final = {"by", "on", "or", "unless", "group_left", "and", "bool"}

PROMETHEUS: Final = FOLDER.parent / "prometheus"
RULES: Final = "".join(path.read_text(encoding="utf-8") for path in sorted((PROMETHEUS / "rules").glob("*.yaml")))

_LABELS_OF: Final = re.compile(r"\b(?:by|on|group_left) \(([^)]*)\)")
_SELECTOR: Final = re.compile(r'"[^"]*"|\b([a-zA-Z_][\w:]*)\b(?!\s*\()(?:\{([^}]*)\})?')
_MATCHER: Final = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


class Asked(NamedTuple):
    """One metric that a query names: its labels in braces, and those that the query is by."""

    metric: str
    matched: dict[str, str]
    grouped: set[str]


def asked(expr: str) -> Iterator[Asked]:
    """Every metric of a query. Quoted words, functions, windows and lists of labels are none."""
    grouped = {label.strip() for found in _LABELS_OF.findall(expr) for label in found.split(",") if label.strip()}
    bare = re.sub(r"\[[^\]]*\]", "", _LABELS_OF.sub("", expr))
    for name, matchers in _SELECTOR.findall(bare):
        if name and name not in WORDS:
            yield Asked(name, {label: value for label, _, value in _MATCHER.findall(matchers)}, grouped)


def metrics() -> dict[str, set[str]]:
    """Every series that there is, with its labels."""
    known = {name: set(labels) for name, labels in ITS_OWN.items()}
    for row in metric_table().splitlines()[2:]:
        name, kind, labels, _ = (cell.strip().strip("`") for cell in row.strip("|").split(" | ", 3))
        own = {label.strip() for label in labels.split(",") if label.strip()}
        parts = {"histogram": {"_bucket": own | {"le"}, "_sum": own, "_count": own}}.get(kind, {"": own})
        known |= {name + part: each for part, each in parts.items()}
    for rule in re.findall(r"- record: (.+?)(?=\n +- |\Z)", RULES, re.DOTALL):
        known[rule.split()[0]] = {label.strip() for found in _LABELS_OF.findall(rule) for label in found.split(",")}
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return known | {sample.name: set[str]() for family in registry.collect() for sample in family.samples}


def panels(board: Dashboard) -> list[Panel]:
    return [panel for row in board.rows for panel in row.panels]


@EACH
def test_the_committed_dashboard_is_what_its_table_makes(board: Dashboard) -> None:
    assert (FOLDER / "dashboards" / f"{board.uid}.json").read_text(encoding="utf-8") == made(board)


def test_no_other_dashboard_lies_in_the_folder() -> None:
    assert {path.stem for path in (FOLDER / "dashboards").iterdir()} == {board.uid for board in DASHBOARDS}


@EACH
def test_every_metric_and_label_of_a_query_exists(board: Dashboard) -> None:
    known = metrics()
    for panel in panels(board):
        for query in panel.queries:
            found = list(asked(query.expr))
            assert found, panel.title
            for metric, matched, _ in found:
                assert metric in known, f"{panel.title}: {metric}"
                assert set(matched) <= known[metric] | TARGET, f"{panel.title}: {metric}"
            labels = set[str]().union(*(known[each.metric] for each in found)) | TARGET
            assert found[0].grouped <= labels, panel.title
            assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= (found[0].grouped or labels), (
                f"{panel.title}: {query.legend}"
            )


def test_metrics_are_found_in_a_query_and_nothing_else_is() -> None:
    expr = (
        'sum by (a, le) (rate(x_sum{b="f(c)", d=~"$e"}[$__range])) / on (a) group_left () max(y:z) or label_replace(v, "k", "w")'
    )
    assert [(each.metric, each.matched) for each in asked(expr)] == [("x_sum", {"b": "f(c)", "d": "$e"}), ("y:z", {}), ("v", {})]
    assert next(asked(expr)).grouped == {"a", "le"}


@EACH
def test_exercises_and_the_canary_are_never_in_one_figure(board: Dashboard) -> None:
    known = metrics()
    for panel in panels(board):
        for query in panel.queries:
            for metric, matched, grouped in asked(query.expr):
                apart = "purpose" in matched or "purpose" in grouped
                assert apart or metric in ITS_OWN or "purpose" not in known[metric], panel.title


@EACH
def test_every_panel_has_a_unit_of_grafanas_a_description_and_limits(board: Dashboard) -> None:
    names = {value for value in vars(units).values() if isinstance(value, str)}
    for panel in panels(board):
        assert panel.unit in names, panel.title
        assert len(panel.about) > 30, panel.title
        assert panel.about.endswith("."), panel.title
        values = [value for value, _ in panel.limits.steps]
        assert values == sorted(set(values)), panel.title
        assert values or panel.kind == "table", panel.title
    assert len({panel.title for panel in panels(board)}) == len(panels(board))


@EACH
def test_panels_are_numbered_apart_fill_their_lines_and_do_not_overlap(board: Dashboard) -> None:
    places = list(placed(board))
    assert len({place.number for place in places}) == len(places)
    for one, other in combinations(places, 2):
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y
    for y in {place.y for place in places}:
        line = [place for place in places if place.y == y]
        assert sum(place.width for place in line) == COLUMNS, [place.item.title for place in line]
        assert len({place.height for place in line}) == 1


@EACH
def test_a_choice_is_offered_where_it_is_used_and_the_others_are_a_click_away(board: Dashboard) -> None:
    used = {name for panel in panels(board) for query in panel.queries for name in re.findall(r"\$([a-z]\w*)", query.expr)}
    assert used == {variable.name for variable in board.variables}
    links = {link["url"].removeprefix("/d/") for link in json.loads(made(board))["links"]}
    assert links == {other.uid for other in DASHBOARDS} - {board.uid}


def test_grafana_reads_where_the_dashboards_ask_and_finds_them() -> None:
    source = (FOLDER / "provisioning" / "datasources" / "prometheus.yaml").read_text(encoding="utf-8")
    assert f"uid: {SOURCE.uid}\n" in source
    assert f"timeInterval: {SCRAPED_EVERY} " in source
    assert "path: /etc/grafana/dashboards\n" in (FOLDER / "provisioning" / "dashboards" / "triwarn.yaml").read_text(
        encoding="utf-8"
    )


def test_the_objective_and_the_scrapes_are_those_of_the_rules() -> None:
    within, share = (
        re.findall(r'bucket\{le="([\d.]+)"', RULES),
        re.findall(r"ratio_within_objective_\w+ > [\d.]+ \* ([\d.]+)", RULES),
    )
    assert set(map(float, within)) == {OBJECTIVE_S}
    assert {round(1.0 - float(each), 6) for each in share} == {OBJECTIVE_SHARE}
    scraped = (PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8")
    assert f"scrape_interval: {SCRAPED_EVERY} " in scraped
    assert set(re.findall(r"(\w+): [\w-]+[,}]", "".join(re.findall(r"labels: (\{.*?\})", scraped)))) == TARGET - {"job"}


def test_everything_is_asked_with_nothing_left_to_choose() -> None:
    asked_of = list(questions())
    assert len(asked_of) == sum(len(panel.queries) for board in DASHBOARDS for panel in panels(board))
    assert not [question for question in asked_of if "$" in question.expr]
    assert {question.newest for question in asked_of if "[900s]" in question.expr} == {True}


class Prometheus(BaseHTTPRequestHandler):
    """Answers any query with a number, a NaN, and another series' number."""

    def do_POST(self) -> None:
        single = self.path == "/api/v1/query"
        given = [["1.5"], ["NaN"], ["2"]]
        series = [{"value": [0, *each]} if single else {"values": [[0, *each], [5, *each]]} for each in given]
        body = json.dumps({"data": {"result": series}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


def test_what_is_no_number_is_no_data() -> None:
    server = HTTPServer(("127.0.0.1", 0), Prometheus)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        assert values(url, Question("board", "panel", "up", newest=True), 0.0) == [1.5, 2.0]
        assert values(url, Question("board", "panel", "up", newest=False), 0.0) == [1.5, 1.5, 2.0, 2.0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_objective_is_a_bucket_boundary() -> None:
    registry = CollectorRegistry()
    Metrics(registry, Budgets()).warning_time.labels("jpn", "exercise").observe(1.0)
    edges = {sample.labels.get("le") for family in registry.collect() for sample in family.samples}
    assert str(OBJECTIVE_S) in edges

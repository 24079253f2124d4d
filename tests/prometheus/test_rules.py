"""What Prometheus is to do: its configuration and rules by promtool, with their unit tests; and that they fit code and runbook.

What each rule does is tested in docker/prometheus/tests. Here: that all of them are, and that none can drift from the metrics
that the program serves, or from what the runbook explains.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from ruamel.yaml import YAML

from bench.reference import metric_table
from bus.errors import REJECT_REASONS
from bus.metrics import Budgets, Metrics
from bus.release import NATIONS
from tests.prometheus.promql import named

_ROOT = Path(__file__).parents[2]
_PROMETHEUS = _ROOT / "docker" / "prometheus"
_RUNBOOK = _ROOT / "docs" / "runbook.md"
_TESTS = sorted((_PROMETHEUS / "tests").glob("*.yaml"))
_TARGET_LABELS = {"job", "instance", "service", "role", "nation"}
_PARTS = {"bucket": {"le"}, "count": set[str](), "sum": set[str]()}  # of a histogram
_NOT_OURS = {"up": set[str](), "process_start_time_seconds": set[str]()}  # Prometheus' own, and its client's

_PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(_PROMTOOL is None, reason="promtool is not installed (Debian: apt-get install prometheus)")


def _yaml(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def _rules() -> list[dict[str, Any]]:
    files = sorted((_PROMETHEUS / "rules").glob("*.yaml"))
    return [rule for path in files for group in _yaml(path)["groups"] for rule in group["rules"]]


_RULES = _rules()
_ALERTS = {rule["alert"]: rule for rule in _RULES if "alert" in rule}
_RECORDED = {rule["record"]: rule for rule in _RULES if "record" in rule}
_TRIED = [test for path in _TESTS for test in _yaml(path)["tests"]]


def _promtool(*arguments: str | Path) -> None:
    assert _PROMTOOL is not None
    done = subprocess.run([_PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_configuration_and_rules_are_sound() -> None:
    _promtool("check", "config", _PROMETHEUS / "prometheus.yml")
    _promtool("check", "rules", *(_PROMETHEUS / "rules").glob("*.yaml"))


@needs_promtool
@pytest.mark.parametrize("path", _TESTS, ids=lambda path: path.stem)
def test_rules_do_as_their_tests_say(path: Path) -> None:
    _promtool("test", "rules", path)


def test_every_alert_is_tried_where_it_fires_and_where_it_is_quiet() -> None:
    tried = [case for test in _TRIED for case in test.get("alert_rule_test", ())]
    assert {case["alertname"] for case in tried if case.get("exp_alerts")} == set(_ALERTS)
    assert {case["alertname"] for case in tried if not case.get("exp_alerts")} == set(_ALERTS)


def test_every_recorded_value_is_tried() -> None:
    tried = [case for test in _TRIED for case in test.get("promql_expr_test", ()) if case.get("exp_samples")]
    assert set(chain.from_iterable(named(case["expr"]).metrics for case in tried)) == set(_RECORDED)


@pytest.mark.parametrize("alert", _ALERTS)
def test_alert_says_how_bad_it_is_what_it_is_and_what_to_do(alert: str) -> None:
    rule = _ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"{_RUNBOOK.relative_to(_ROOT)}#{alert.lower()}"


def test_runbook_has_an_entry_of_every_alert_and_no_other() -> None:
    _, *entries = re.split(r"^## ", _RUNBOOK.read_text(), flags=re.MULTILINE)
    told = {entry.partition("\n")[0]: entry.partition("\n")[2].strip() for entry in entries}
    assert set(told) == set(_ALERTS)
    assert all(told.values())


def _served() -> dict[str, set[str]]:
    """Every metric of the program by the names that it is scraped under, with its labels."""
    rows = [[cell.strip(" `") for cell in line.split("|")[1:4]] for line in metric_table().splitlines()[2:]]
    labels = {name: {each for each in of.split(", ") if each} for name, _, of in rows}
    histograms = {name for name, kind, _ in rows if kind == "histogram"}
    parts = {f"{name}_{part}": labels[name] | extra for name in histograms for part, extra in _PARTS.items()}
    return {name: of for name, of in labels.items() if name not in histograms} | parts | _NOT_OURS


def _labels(metric: str, served: dict[str, set[str]]) -> set[str]:
    """The labels that a metric, served or recorded, may have."""
    if metric in served:
        return served[metric] | _TARGET_LABELS
    rule = _RECORDED[metric]
    found = named(rule["expr"])
    return found.labels.union(rule.get("labels", {}), *(_labels(each, served) for each in found.metrics))


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_ask_for_metrics_that_the_program_serves_with_labels_that_they_have(rule: dict[str, Any]) -> None:
    served, found = _served(), named(rule["expr"])
    assert set(found.metrics) <= set(served) | set(_RECORDED)
    has = {metric: _labels(metric, served) for metric in found.metrics}
    assert found.labels <= set[str]().union(*has.values())
    for metric, matchers in found.metrics.items():
        assert {label for label, _ in matchers} <= has[metric]


def test_rules_leave_out_reasons_that_there_are() -> None:
    for matchers in named(_ALERTS["MessagesRejected"]["expr"]).metrics.values():
        for label, value in matchers:
            assert label == "reason"
            assert set(value.split("|")) <= set(REJECT_REASONS)


def test_objective_is_a_boundary_of_the_histogram() -> None:
    metrics = Metrics(CollectorRegistry(), Budgets())
    metrics.warning_time.labels("jpn", "exercise")
    boundaries = {sample.labels["le"] for sample in next(iter(metrics.warning_time.collect())).samples if "le" in sample.labels}
    asked = [matcher for rule in _RULES for of in named(rule["expr"]).metrics.values() for matcher in of if matcher[0] == "le"]
    assert {value for _, value in asked} == {"60.0"}
    assert boundaries >= {"60.0"}


def test_targets_say_what_they_are() -> None:
    job = next(job for job in _yaml(_PROMETHEUS / "prometheus.yml")["scrape_configs"] if job["job_name"] == "triwarn")
    told = {target: target_set["labels"] for target_set in job["static_configs"] for target in target_set["targets"]}
    roles = {"feed": "feed", "receive": "receiver"}  # by how their commands, and services, are called
    national = [(f"{command}-{nation}", role, nation) for command, role in roles.items() for nation in NATIONS]
    wanted = {service: {"service": service, "role": role, "nation": nation} for service, role, nation in national}
    wanted |= {service: {"service": service, "role": service} for service in ("fusion", "canary")}
    assert told == {f"{service}:9464": labels for service, labels in wanted.items()}

"""Metrics: budgets are bucket boundaries, overruns are counted, and the endpoint tells readiness from life."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bus.errors import BadInput
from bus.memory import MemoryBus
from bus.metrics import STAGES, Budgets, Endpoint, Metrics


def scraped(registry: CollectorRegistry) -> dict[str, list[tuple[str, dict[str, str], float]]]:
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {family.name: [(s.name, s.labels, s.value) for s in family.samples] for family in families}


def test_every_budget_is_an_exact_bucket_boundary() -> None:
    registry = CollectorRegistry()
    budgets = Budgets(publish_ms=13.7, total_ms=333.0)
    metrics = Metrics(registry, budgets)
    for stage in STAGES:
        metrics.stage(stage, 0.001)
    buckets = {labels["le"] for name, labels, _ in scraped(registry)["triwarn_stage_seconds"] if name.endswith("_bucket")}
    for stage in STAGES:
        assert str(budgets.seconds(stage)) in buckets


def test_the_budgets_are_told_beside_what_they_bound() -> None:
    registry = CollectorRegistry()
    Metrics(registry, Budgets(fuse_ms=5.0))
    told = {labels["stage"]: value for _, labels, value in scraped(registry)["triwarn_stage_budget_seconds"]}
    assert told == {"publish": 0.02, "transit": 0.02, "fuse": 0.005, "alert": 0.02, "total": 0.1}


def test_an_overrun_is_counted_by_its_stage() -> None:
    metrics = Metrics(CollectorRegistry(), Budgets(fuse_ms=5.0))
    metrics.stage("fuse", 0.005)
    metrics.stage("fuse", 0.0051)
    assert metrics.over_budget("fuse") == 1
    assert metrics.over_budget("total") == 0


def test_the_links_counters_are_read_when_scraped() -> None:
    registry = CollectorRegistry()
    link = MemoryBus().transport("one", None)
    Metrics(registry, Budgets()).watch({"bulk": link}, {"out": {"tracks": 3}})
    link.connect_nowait()
    link.publish("a/b", b"12345")
    found = scraped(registry)
    assert ("triwarn_bytes_total", {"link": "bulk", "direction": "out"}, 5.0) in found["triwarn_bytes"]
    assert ("triwarn_frames_total", {"direction": "out", "kind": "tracks"}, 3.0) in found["triwarn_frames"]
    assert ("triwarn_connected", {"link": "bulk"}, 1.0) in found["triwarn_connected"]


def get(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5.0) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_endpoint_serves_metrics_and_tells_ready_from_live() -> None:
    registry, ready = CollectorRegistry(), [False]
    Metrics(registry, Budgets())
    endpoint = Endpoint(registry, lambda: ready[0], "127.0.0.1", 0)
    try:
        assert get(endpoint.port, "/live") == (200, b"live\n")
        assert get(endpoint.port, "/ready")[0] == 503
        ready[0] = True
        assert get(endpoint.port, "/ready") == (200, b"ready\n")
        assert b"triwarn_ready" in get(endpoint.port, "/metrics")[1]
        assert get(endpoint.port, "/elsewhere")[0] == 404
        with pytest.raises(BadInput, match=r"endpoint.port: cannot listen on 127.0.0.1"):
            Endpoint(registry, lambda: True, "127.0.0.1", endpoint.port)
    finally:
        endpoint.close()

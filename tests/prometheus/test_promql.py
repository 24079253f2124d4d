"""What an expression names, as the tests of the rules take it."""

from __future__ import annotations

from tests.prometheus.promql import named


def test_functions_words_of_the_language_and_strings_are_no_metrics() -> None:
    found = named('histogram_quantile(0.5, sum by (le, stage) (rate(some_bucket[5m]))) >= 0 or "no{such}" == 1 # nor_this')
    assert found.metrics == {"some_bucket": []}
    assert found.labels == {"le", "stage"}


def test_matchers_belong_to_the_metric_before_them() -> None:
    found = named('max(level:one:max{kind="a", way!~"b|c"}) - two offset 5m unless on (kind) (two{kind="}"} or three)')
    assert found.metrics == {"level:one:max": [("kind", "a"), ("way", "b|c")], "two": [("kind", "}")], "three": []}
    assert found.labels == {"kind"}


def test_what_is_grouped_by_may_stand_behind() -> None:
    assert named("sum(one) by (service) / ignoring (nation) group_left (role) two").labels == {"service", "nation", "role"}

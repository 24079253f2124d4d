"""Classes by range: told where it is sure, and never taken back."""

from __future__ import annotations

import math

from bus.classes import class_between, higher


def test_a_class_is_told_where_both_ends_are_of_it() -> None:
    assert class_between(900e3, 1000e3) == "short-range"
    assert class_between(900e3, 1000.1e3) == "unknown"
    assert class_between(5501e3, math.inf) == "intercontinental"
    assert class_between(math.nan, 900e3) == "unknown"


def test_of_two_classes_the_one_that_reaches_further_stays() -> None:
    assert higher("unknown", "short-range") == "short-range"
    assert higher("medium-range", "short-range") == "medium-range"
    assert higher("medium-range", "intercontinental") == "intercontinental"
    assert higher("medium-range", "unknown") == "medium-range"
    assert higher("gliding", "short-range") == "short-range"

"""What a PromQL expression names: the metrics it asks for, with their labels. A scan of words, not a parser.

A word is a metric unless it is a function (a bracket follows) or one of the language's own; what stands in braces is a metric's
labels and their values, what follows `by`, `on` and their like is labels alone. Strings are skipped but for those values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\d+(?:\.\d+)?[smhdw]?|[A-Za-z_:][\w:]*|=~|!~|!=|[=<>]=|\S')
_WORD = re.compile(r"[A-Za-z_:]")
_OWN_WORDS = frozenset({"and", "or", "unless", "offset", "bool"})
_OF_LABELS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})


@dataclass(slots=True)
class Named:
    """The metrics of an expression, each with its matchers (label, value), and the labels that are grouped or joined by."""

    metrics: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)


def named(expression: str) -> Named:
    """All that an expression names."""
    tokens = _TOKEN.findall(re.sub(r"#.*", "", expression))
    found, stream = Named(), iter(enumerate(tokens))
    for at, token in stream:
        if token in _OF_LABELS:
            found.labels.update(each for each in _until(stream, ")") if each not in "(,")
        elif token == "{":
            found.metrics[tokens[at - 1]] += _matchers(list(_until(stream, "}")))
        elif _WORD.match(token) and token not in _OWN_WORDS and not _is_called(tokens[at + 1 :]):
            found.metrics.setdefault(token, [])
    return found


def _is_called(following: list[str]) -> bool:
    """Functions and aggregations: a bracket follows, perhaps behind the labels that are grouped by."""
    return bool(following) and following[0] in {"(", "by", "without"}


def _until(stream: Iterator[tuple[int, str]], end: str) -> Iterator[str]:
    for _, token in stream:
        if token == end:
            return
        yield token


def _matchers(tokens: list[str]) -> list[tuple[str, str]]:
    """`a="b", c=~"d"` in tokens as pairs of label and value."""
    return [(tokens[at], tokens[at + 2].strip('"')) for at in range(0, len(tokens), 4)]

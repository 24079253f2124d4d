"""Asks a Prometheus all that the dashboards ask, as Grafana would: which panels are empty? `python -m bench.dashboards.ask URL`

It reads the committed files, so that it needs no library of Grafana's, and takes every choice as All, or as it comes first.
"""

from __future__ import annotations

import json
import math
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER: Final = Path(__file__).parent.parent.parent / "docker" / "grafana" / "dashboards"
RANGE_S: Final = 900  # what a dashboard shows at first
_STEP_S: Final = 5
_RATE_S: Final = 20  # four scrapes: what Grafana makes of $__rate_interval
_TIMEOUT_S: Final = 30.0


class Question(NamedTuple):
    """One query of one panel, with everything filled in; of `newest` only the value at the end is shown."""

    dashboard: str
    panel: str
    expr: str
    newest: bool


def questions(folder: Path = FOLDER) -> Iterator[Question]:
    """Every query of every panel of every dashboard."""
    for path in sorted(folder.glob("*.json")):
        board: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield Question(board["title"], panel["title"], _filled(target["expr"], board), target["instant"])


def _filled(expr: str, board: dict[str, Any]) -> str:
    filled = expr.replace("$__rate_interval", f"{_RATE_S}s").replace("$__range", f"{RANGE_S}s")
    for variable in board["templating"]["list"]:
        chosen = variable["current"]["value"]
        filled = filled.replace(f"${variable['name']}", variable["allValue"] if chosen == "$__all" else chosen)
    return filled


def values(url: str, question: Question, now_s: float, range_s: float = RANGE_S) -> list[float]:
    """The numbers that a panel would show of a query, those that are none (0 of 0) left out. Raises OSError, ValueError."""
    times = {"time": now_s} if question.newest else {"start": now_s - range_s, "end": now_s, "step": _STEP_S}
    path = "query" if question.newest else "query_range"
    body = urllib.parse.urlencode({"query": question.expr, **times}).encode()
    with urllib.request.urlopen(f"{url}/api/v1/{path}", body, timeout=_TIMEOUT_S) as answer:
        result = json.load(answer)["data"]["result"]
    samples = [sample for series in result for sample in ([series["value"]] if question.newest else series["values"])]
    return [number for _, text in samples if math.isfinite(number := float(text))]


def main() -> None:
    """Print how many numbers each query gives, and end with 1 where one gives none, or nothing could be asked."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bench.dashboards.ask URL (of a Prometheus, such as http://127.0.0.1:9090)")
    url, now_s, told = sys.argv[1].rstrip("/"), time.time(), list(questions())
    if not told:
        sys.exit(f"no dashboards in {FOLDER}")
    empty = 0
    for question in told:
        try:
            found = len(values(url, question, now_s))
        except (OSError, ValueError) as error:
            sys.exit(f"{question.dashboard}: {question.panel}: cannot ask {url}: {error}")
        empty += not found
        print(f"{found:6d}  {question.dashboard}: {question.panel}" + ("" if found else f"  EMPTY: {question.expr}"))
    print(f"{len(told)} queries, {empty} without data")
    sys.exit(empty > 0)


if __name__ == "__main__":
    main()

"""What the dashboards have in common: what a reader may choose, the limits that several panels share, and parts of queries."""

from __future__ import annotations

from typing import Final

from bench.dashboards.panels import Limits, Variable
from bus.release import NATIONS

RECIPIENT: Final = Variable("recipient", "Recipient", "Whose warnings and pictures.", NATIONS)
SERVICE: Final = Variable("service", "Service", "Which processes.", query="label_values(triwarn_ready, service)")
PURPOSE: Final = Variable(
    "purpose",
    "Warnings of",
    "Exercises that somebody runs, or the synthetic canary: never both in one figure.",
    ("exercise", "canary"),
    several=False,
)

SCRAPED_EVERY: Final = "5s"  # as docker/prometheus has it: Grafana makes the shortest window of a rate of it
OBJECTIVE_SHARE: Final = 0.95  # of the launches

CANARY: Final = "(max(triwarn_canary) or vector(0))"  # 1 while what runs is the canary
OURS: Final = 'recipient=~"$recipient"'
OURS_FOR: Final = 'recipient=~"$recipient", purpose=~"$purpose"'
THOSE: Final = 'service=~"$service"'
NOTHING: Final = f"0 * triwarn_ready{{{THOSE}}}"  # behind `or`: a 0 for each process where a counter has not begun

FLOWS: Final = Limits("grey", ((0.001, "green"),))  # grey while nothing flows
ONE_IS_BAD: Final = Limits("green", ((1.0, "red"),))
ANY_IS_BAD: Final = Limits("green", ((0.001, "red"),))
ANY_IS_ODD: Final = Limits("green", ((0.001, "yellow"), (10.0, "red")))
ZERO_IS_BAD: Final = Limits("red", ((1.0, "green"),))

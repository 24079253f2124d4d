"""Slow, obvious twins of the bus's clever parts."""

from __future__ import annotations

from bus.session import Verdict


class SlowTracker:
    """The sequence tracker with every number remembered for ever in sets, and gaps counted from nothing each time."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.arrived: dict[tuple[str, int], list[int]] = {}
        self.duplicates = self.late = 0

    def observe(self, source: str, session: int, seq: int) -> Verdict:
        before = self.arrived.setdefault((source, session), [])
        verdict: Verdict
        if not before:
            verdict = "new_session"
        elif seq > max(before):
            verdict = "next" if seq == max(before) + 1 else "gap"
        elif max(before) - seq >= self.window:
            verdict = "late"
        else:
            verdict = "duplicate" if seq in before else "late"
        if not (verdict == "late" and max(before) - seq >= self.window):
            before.append(seq)
        self.duplicates += verdict == "duplicate"
        self.late += verdict == "late"
        return verdict

    @property
    def gaps(self) -> int:
        return sum(len(set(range(seen[0], max(seen) + 1)) - set(seen)) for seen in self.arrived.values())


def slow_matches(topic_filter: str, topic: str) -> bool:
    """MQTT's filter rules, level by level, by recursion."""
    if topic.startswith("$") and topic_filter[0] in "+#":
        return False

    def rest(wanted: list[str], levels: list[str]) -> bool:
        if wanted == ["#"]:
            return True
        if not wanted or not levels:
            return wanted == levels
        return wanted[0] in ("+", levels[0]) and rest(wanted[1:], levels[1:])

    return rest(topic_filter.split("/"), topic.split("/"))

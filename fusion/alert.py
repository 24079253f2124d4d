"""Alerts: a table of states and events, and the case that each system track keeps. Pure.

    state      corroborated  predicted  landed   lost     false       merged
    (none)     confirmed     -          -        -        -           -          raised: quick
    quick      confirmed     quick      closed   closed   retracted   retracted
    confirmed  -             updated    closed   closed   closed      retracted
    updated    -             updated    closed   closed   closed      retracted

Closed and retracted are final. A quick alert that carries a prediction stays quick: one nation's one kind of sensor does not
become trustworthy by predicting. Each sending raises the revision by one. An alert's id is made of its founding report, so that
it does not depend on anything but the reports that its recipient may see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from bus.classes import RangeClass
from bus.messages import Alert, AlertState, AlertTimes, Member, Place
from bus.release import Nation
from fusion.assess import BOOSTING, sigmas_apart
from fusion.settings import Alerting

Float = NDArray[np.float64]
Event = Literal["raised", "corroborated", "predicted", "landed", "lost", "false", "merged"]

TRANSITIONS: Final[dict[tuple[AlertState | None, Event], AlertState]] = {
    (None, "raised"): "quick",
    (None, "corroborated"): "confirmed",
    ("quick", "corroborated"): "confirmed",
    ("quick", "predicted"): "quick",
    ("quick", "landed"): "closed",
    ("quick", "lost"): "closed",
    ("quick", "false"): "retracted",
    ("quick", "merged"): "retracted",
    ("confirmed", "predicted"): "updated",
    ("confirmed", "landed"): "closed",
    ("confirmed", "lost"): "closed",
    ("confirmed", "false"): "closed",
    ("confirmed", "merged"): "retracted",
    ("updated", "predicted"): "updated",
    ("updated", "landed"): "closed",
    ("updated", "lost"): "closed",
    ("updated", "false"): "closed",
    ("updated", "merged"): "retracted",
}
_OF_THE_ALERT: Final = (
    "anchor",
    "raised_ns",
    "waits_ns",
    "instead",
    "instead_at",
    "told_class",
    "told_impact",
    "told_ns",
    "state",
    "revision",
    "sent",
)
_SAME_AS: Final = "same object as {recipient}-"
FINAL: Final[frozenset[AlertState]] = frozenset(("closed", "retracted"))


@dataclass
class Case:
    """What is known of one system track beyond its estimate: its founder, its places, and where its alert stands.

    `anchor` is the alert's id less the recipient; `seeks_launch`: its founder told too little for a launch point.
    """

    anchor: str
    first_ns: int
    raised_ns: int = 2**63 - 1
    waits_ns: int = 0  # no alert is raised before, but of one that is held and another nation sees too
    instead: int = 0  # held: until then it may be another report of this system track (number), which has been warned of
    instead_at: int = -1  # the row of that
    warned: bool = False  # it was warned of as a part of another, and is to be, whatever its own sensors' word is worth
    apogee_m: float | None = None  # of its path as it was before re-entry
    launch: Place | None = None
    seeks_launch: bool = False
    impact: Place | None = None
    range_class: RangeClass = "unknown"  # the furthest that it has shown
    told_class: RangeClass = "unknown"
    told_impact: Place | None = None
    told_ns: int = 0
    state: AlertState | None = None
    revision: int = 0
    sent: Alert | None = None  # as last sent, without recipient

    def __deepcopy__(self, _: object) -> Case:
        twin = object.__new__(Case)
        vars(twin).update(vars(self))  # none of what it holds ever changes
        return twin

    def go_on_from(self, told: Case) -> None:
        """Be told as another has been."""
        for name in _OF_THE_ALERT:
            setattr(self, name, getattr(told, name))

    @property
    def standing(self) -> bool:
        return self.state is not None and self.state not in FINAL

    @property
    def to_be_told(self) -> bool:
        """Whether its alert stands, or will once it has waited."""
        return self.standing or (self.state is None and (self.warned or self.instead != 0))

    def held(self, now_ns: int) -> bool:
        """Whether it needs no alert now, for it may be what has been warned of."""
        return self.instead != 0 and self.state is None and now_ns < self.waits_ns

    @property
    def was_confirmed(self) -> bool:
        return self.state in ("confirmed", "updated")


def anchor_id(nation: Nation, track: int, detected_ns: int) -> str:
    """An alert's id less the recipient: its founding member and when that was first detected, whole seconds."""
    return f"{nation}-{track}-{max(detected_ns, 0) // 1_000_000_000}"


def id_of(recipient: Nation, anchor: str) -> str:
    """The id of an alert to one recipient."""
    return f"{recipient}-{anchor}"


def same_as(anchor: str) -> str:
    """Why the alert of one that was merged ends."""
    return _SAME_AS + anchor


def merged_into(reason: str) -> str | None:
    """The alert (less the recipient) as part of which one goes on that ended for this reason; None where it ended otherwise."""
    return reason.removeprefix(_SAME_AS) if reason.startswith(_SAME_AS) else None


def plausible(boosts: bool, speed_m_s: float, quality: int, settings: Alerting) -> bool:
    """Whether one nation's one kind of sensor is reason enough for a quick alert."""
    if boosts:
        return quality >= settings.boost_quality
    return speed_m_s >= settings.speed_m_s and quality >= settings.quality


def may_be_plausible(phase: Float, state: Float, whole: NDArray[np.bool_], settings: Alerting) -> NDArray[np.bool_]:
    """Which system tracks are `plausible` by their motion, were only the quality enough: phases (n, 3), states (n, 6), (n,).

    Of one that tells a part of its state a partner may tell the velocity.
    """
    boosts = (phase[:, 0] >= BOOSTING) | (phase.sum(axis=1) <= 0.0)
    fast = (state[:, 3:] ** 2).sum(axis=1) >= settings.speed_m_s**2
    return np.asarray(boosts | fast | ~whole, np.bool_)


def news_of(case: Case, settings: Alerting, at_ns: int) -> str | None:
    """What is worth telling of the impact prediction: the first, or one that moved, widened or became much surer, or with which
    the class is told, not too soon after the last. None where nothing is.

    Moved is by sigmas of the surer of the two, along its ellipse's own axes: a narrow ellipse is soon beside the point. Below
    `sure_m` it is sure enough, and what happens inside of that is no news. Twice as wide and half as wide are news, so that none
    brings the other.
    """
    told, fresh = case.told_impact, case.impact
    if fresh is None or not case.standing:
        return None
    if told is None:
        return "impact predicted"
    if at_ns - case.told_ns < settings.update_every_s * 1e9:
        return None
    if case.range_class != case.told_class:
        return f"{case.range_class} by its energy"
    if fresh.semi_major_m > settings.widened * max(told.semi_major_m, settings.sure_m):
        return "impact prediction widened"
    if max(fresh.semi_major_m, settings.sure_m) < settings.surer * told.semi_major_m:
        return "impact prediction surer"
    if sigmas_apart(told, fresh, settings.sure_m) > settings.moved_sigma:
        return "impact prediction moved"
    return None


def needs_impact(case: Case, settings: Alerting, at_ns: int) -> bool:
    """Whether a standing alert needs a prediction now: it has none, may be told another, or is soon closed by it."""
    if not case.standing or case.impact is None:
        return case.standing
    every_ns = settings.update_every_s * 1e9
    return at_ns - case.told_ns >= every_ns or case.impact.time_ns - at_ns <= every_ns


def move(
    case: Case,
    event: Event,
    *,
    at_ns: int,
    system: int,
    members: list[Member],
    phenomenology: int,
    times: AlertTimes,
    reason: str,
    heading_deg: float,
) -> bool:
    """Move the case by the table; True where there is something to send (`case.sent`). An event not in it changes nothing."""
    state = TRANSITIONS.get((case.state, event))
    if state is None:
        return False
    case.state = state
    case.revision += 1
    case.told_impact, case.told_class, case.told_ns = case.impact, case.range_class, at_ns
    case.sent = Alert(
        session=0,
        seq=0,
        id=case.anchor,
        recipient="jpn",  # replaced for each recipient
        state=state,
        revision=case.revision,
        system=system,
        members=members,
        phenomenology=phenomenology,
        reason=reason,
        times=times,
        heading_deg=heading_deg,
        launch=case.launch,
        impact=case.impact,
        range_class=case.range_class,
    )
    return True


def addressed(sent: Alert, recipient: Nation) -> Alert:
    """The alert as it goes to one recipient."""
    return Alert(
        session=0,
        seq=0,
        id=id_of(recipient, sent.id),
        recipient=recipient,
        state=sent.state,
        revision=sent.revision,
        system=sent.system,
        members=sent.members,
        phenomenology=sent.phenomenology,
        reason=sent.reason.replace("{recipient}", recipient),
        times=sent.times,
        heading_deg=sent.heading_deg,
        launch=sent.launch,
        impact=sent.impact,
        range_class=sent.range_class,
    )

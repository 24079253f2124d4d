"""How a running exercise stands against its truth, for the one process that has time to compute it: the canary.

It tells the ANEES of the pictures, and what sharing bought: by how much alerts came sooner than by a recipient's own feed alone.
Truth, what each national track follows, and when each would have been warned alone are computed in a thread that gives way to
everything else on the machine; pictures and alerts that come before that is done wait for it. What it tells is of the exercise
that runs, or ran last; of a canary it tells nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import threading
from collections import deque
from functools import partial
from typing import Final, NamedTuple

from bench.anees import Anees
from bench.gain import Gain, alone
from bench.world import play_out
from bus.errors import BadInput, Rejected
from bus.messages import Alert, AnyMessage, ExerciseClock, PictureFrame
from bus.party import Party
from bus.topics import Address
from bus.transport import Delivery
from fusion.settings import FusionSettings
from sensors.scenario import parse_scenario

log = logging.getLogger(__name__)

_LEAST_PRIORITY: Final = 19
_MOST_WAITING: Final = 4096  # pictures and alerts that wait until the truth is known


class Heard(NamedTuple):
    """A picture or an alert, and when it came."""

    message: PictureFrame | Alert
    wall_ns: int
    scenario_ns: int


class Standing(NamedTuple):
    """What holds an exercise against its truth."""

    anees: Anees
    gain: Gain


class Observer:
    """Holds every recipient's pictures and alerts against the truth, for a party that hands it what it hears."""

    def __init__(self, party: Party, fusion: FusionSettings) -> None:
        self._party, self._fusion = party, fusion
        self._exercise = ""
        self._standing: Standing | None = None
        self._waiting: deque[Heard] = deque(maxlen=_MOST_WAITING)
        party.on_exercise(self._begin)

    def take(self, address: Address, message: AnyMessage, delivery: Delivery) -> None:
        """A picture or an alert of anybody's; what the broker has kept is not news."""
        if not self._exercise or delivery.retained:
            return
        if isinstance(message, PictureFrame | Alert) and message.purpose == "exercise":
            self._waiting.append(Heard(message, self._party.clock.wall_ns(), self._party.clock.now_ns()))
            self._score()

    def export(self) -> None:
        """Set the metrics to what is known by now."""
        if self._standing is None:
            return
        metrics = self._party.metrics
        for key, anees in self._standing.anees.told().items():
            metrics.anees.labels(*key).set(anees)
        for recipient, bought in self._standing.gain.told().items():
            metrics.only_shared.labels(recipient).set(bought.only_shared)
            if bought.gain_s is not None:
                metrics.gain.labels(recipient).set(bought.gain_s)

    def stop(self) -> None:
        """Compute no further."""
        self._exercise = ""

    def _begin(self, exercise: ExerciseClock) -> None:
        if (exercise.purpose, exercise.state) != ("exercise", "running"):
            return
        self._exercise, self._standing = exercise.exercise, None
        self._waiting.clear()
        for gauge in (self._party.metrics.anees, self._party.metrics.gain, self._party.metrics.only_shared):
            gauge.clear()
        aside = partial(self._compute, exercise, asyncio.get_running_loop())
        threading.Thread(target=aside, daemon=True, name="truth").start()  # a process that ends does not wait for it

    def _is_over(self, exercise: str) -> bool:
        return self._exercise != exercise

    def _compute(self, exercise: ExerciseClock, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread of its own."""
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, _LEAST_PRIORITY)  # of this thread alone
        over = partial(self._is_over, exercise.exercise)
        found: Standing | BadInput
        try:
            world = play_out(parse_scenario(exercise.scenario, "the exercise's scenario"), exercise.seed, stopped=over)
            found = Standing(Anees(world), Gain(world, alone(world, self._fusion, over)))
        except BadInput as error:
            found = error
        gc.collect()  # what was played refers to itself all round, and would stay until many exercises later
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._know, exercise.exercise, found)

    def _know(self, exercise: str, found: Standing | BadInput) -> None:
        if self._is_over(exercise):
            return
        if isinstance(found, BadInput):
            self._party.reject("scenario")
            log.error("the truth of exercise %s cannot be computed: %s", exercise, found)
            return
        self._standing = found
        self._score()

    def _score(self) -> None:
        while self._standing is not None and self._waiting:
            message, wall_ns, scenario_ns = self._waiting.popleft()
            if isinstance(message, Alert):
                self._standing.gain.take(message, wall_ns, scenario_ns)
                continue
            try:
                self._standing.anees.take(message)
            except Rejected as rejected:
                self._party.reject(rejected.reason)

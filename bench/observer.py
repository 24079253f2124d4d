"""How the pictures of a running exercise stand against its truth, for the one process that has time to compute it: the canary.

Truth and what each national track follows are computed in a thread that gives way to everything else on the machine; pictures
that come before that is done wait for it. What it tells is of the exercise that runs, or ran last; of a canary it tells nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections import deque
from functools import partial
from typing import Final

from bench.anees import Anees
from bench.world import World, follow
from bus.errors import BadInput, Rejected
from bus.messages import AnyMessage, ExerciseClock, PictureFrame
from bus.party import Party
from bus.topics import Address
from bus.transport import Delivery
from sensors.scenario import parse_scenario

log = logging.getLogger(__name__)

_LEAST_PRIORITY: Final = 19
_MOST_FRAMES: Final = 4096  # pictures that wait until the truth is known


class Observer:
    """Holds every recipient's pictures against the truth, for a party that hands it what it hears."""

    def __init__(self, party: Party) -> None:
        self._party = party
        self._exercise = ""
        self._anees: Anees | None = None
        self._frames: deque[PictureFrame] = deque(maxlen=_MOST_FRAMES)
        party.on_exercise(self._begin)

    def take(self, address: Address, message: AnyMessage, delivery: Delivery) -> None:
        """A picture of anybody's."""
        if self._exercise and isinstance(message, PictureFrame) and message.purpose == "exercise":
            self._frames.append(message)
            self._score()

    def export(self) -> None:
        """Set the metrics to what is known by now."""
        if self._anees is not None:
            for key, anees in self._anees.told().items():
                self._party.metrics.anees.labels(*key).set(anees)

    def stop(self) -> None:
        """Compute no further."""
        self._exercise = ""

    def _begin(self, exercise: ExerciseClock) -> None:
        if (exercise.purpose, exercise.state) != ("exercise", "running"):
            return
        self._exercise, self._anees = exercise.exercise, None
        self._frames.clear()
        self._party.metrics.anees.clear()
        aside = partial(self._compute, exercise, asyncio.get_running_loop())
        threading.Thread(target=aside, daemon=True, name="truth").start()  # a process that ends does not wait for it

    def _is_over(self, exercise: str) -> bool:
        return self._exercise != exercise

    def _compute(self, exercise: ExerciseClock, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread of its own."""
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, _LEAST_PRIORITY)  # of this thread alone
        found: World | BadInput
        try:
            scenario = parse_scenario(exercise.scenario, "the exercise's scenario")
            found = follow(scenario, exercise.seed, partial(self._is_over, exercise.exercise))
        except BadInput as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._know_world, exercise.exercise, found)

    def _know_world(self, exercise: str, found: World | BadInput) -> None:
        if self._is_over(exercise):
            return
        if isinstance(found, BadInput):
            self._party.reject("scenario")
            log.error("the truth of exercise %s cannot be computed: %s", exercise, found)
            return
        self._anees = Anees(found)
        self._score()

    def _score(self) -> None:
        while self._anees is not None and self._frames:
            try:
                self._anees.take(self._frames.popleft())
            except Rejected as rejected:
                self._party.reject(rejected.reason)

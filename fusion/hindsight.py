"""Hindsight: the picture as it is where all has come in the order of its release, though it came in another.

An estimate is a function of its members' latest reports, and does not depend on who came first. Who is a member of what does: of
which looks held the two together, and what was in sight then. So what was taken within the lag window is kept, and copies of the
picture as it was; once something has come that was released before what is in the picture already, the newest copy from before
it takes all since in order. That picture is what the engine goes on with (`fusion.group`), once it has taken over what has been
told (`fusion.takeover`).

In order is by the instant of release; of one instant frames, then drops, then words, each by nation, then as its feed numbers
them, then by track and time. What comes twice counts once. What was released before the window, or further ahead than clocks may
be, counts as released when it came.
"""

from __future__ import annotations

import copy
from bisect import bisect_left, bisect_right
from operator import attrgetter
from typing import Final, NamedTuple

from bus.columns import Reports
from bus.messages import Decorrelation, FeedMessage, LaunchDetected, TrackDropped, TrackFrame
from fusion.lineage import COLUMN_OF
from fusion.picture import Picture
from fusion.settings import FusionSettings

_S: Final = 1_000_000_000
_COPY_EVERY_NS: Final = _S
_THINNED: Final = 0.5  # of its age two copies about one are as far apart
_MOST_ROWS: Final = 500_000  # kept in all: some 170 MB
_A_TICKS_WORK: Final = 10_000  # rows to take again after one tick: some 20 ms, in which no frame is fused
_A_HAPPENING: Final = 150  # what a message or a tick costs, in rows
_A_PAIR: Final = 10  # what each pair does that a look found to ask about
_RANKS: Final[dict[type[FeedMessage], tuple[int, int]]] = {  # of one instant: among all nations', and among a nation's
    LaunchDetected: (0, 0),
    TrackFrame: (0, 1),
    TrackDropped: (1, 0),
    Decorrelation: (2, 0),
}
_FIRST, _LAST = -1, 3  # ranks of a tick: before what comes of its instant, or after what has come


class Key(NamedTuple):
    """Where something belongs in the order of release."""

    at_ns: int
    rank: int = _FIRST
    column: int = 0
    own_rank: int = 0
    session: int = 0
    seq: int = 0
    about: tuple[int, ...] = ()


class Happening(NamedTuple):
    """What a picture took: a message with its sound rows or, without one, a tick of the clock. `counts`: it changes something."""

    key: Key
    message: FeedMessage | None = None
    block: Reports | None = None
    received_ns: int = 0
    counts: bool = True


class _Copy(NamedTuple):
    """A picture with all that counts up to `key` in it, which nobody changes any more; how often it had been put right by then.

    Until it is put right once more it holds the alerts of the last time: they say how what was told ended.
    """

    key: Key
    picture: Picture
    after: int = 0


_KEY: Final = attrgetter("key")


class Hindsight:
    """What one picture has taken lately, in order, and what it was. `wrong`: something came that was released before what it has;
    `missed`, until counted: that will not be put right.

    Of a picture of more than `timing.order_tracks` national tracks nothing is kept, and what is wrong with it stays so (`blind`).
    """

    def __init__(self, settings: FusionSettings) -> None:
        timing = settings.timing
        self._lag_ns, self._ahead_ns = int(timing.lag_s * _S), int(timing.ahead_s * _S)
        self._most_tracks = timing.order_tracks
        self._taken: list[Happening] = []
        self._kept = 0  # rows of it, with what else it costs
        self._newest_ns = 0
        self._begun: dict[int, tuple[int, int]] = {}  # a column: the session of its feed's newest message, and when that began
        self._copies = [_Copy(Key(-1), Picture(settings))]
        self.wrong = self.missed = False
        self._redone = 0

    @property
    def blind(self) -> bool:
        """Whether nothing is kept."""
        return not self._copies

    def branch(self) -> Hindsight:
        """The same for a copy of the picture: what is kept never changes, and is of both."""
        twin = copy.copy(self)
        twin._taken, twin._copies, twin._begun = self._taken.copy(), self._copies.copy(), self._begun.copy()
        return twin

    def has(self, message: FeedMessage, block: Reports | None, now_ns: int) -> bool:
        """Whether just this was taken before, as far as is kept."""
        if self.blind or not self._taken or message.released_ns > self._taken[-1].key.at_ns:
            return False
        key = self._key(message, _about(message, block), now_ns)
        first, after = bisect_left(self._taken, key, key=_KEY), bisect_right(self._taken, key, key=_KEY)
        return any(each.message == message for each in self._taken[first:after])

    def note(
        self,
        picture: Picture,
        message: FeedMessage,
        block: Reports | None,
        received_ns: int,
        now_ns: int,
        *,
        in_part: bool = False,
    ) -> None:
        """The picture has taken a message with these rows or, `in_part`, with those that are neither late nor ahead: the others
        are not taken later either.
        """
        if len(picture.clusters.reports) > self._most_tracks:
            self._forget_all()
        elif self._kept > _MOST_ROWS:
            self._forget_oldest()
        if self.blind:
            self.missed |= message.released_ns < self._newest_ns
            self._newest_ns = max(self._newest_ns, min(message.released_ns, now_ns))
            return
        self._go_by(now_ns)
        if not self.blind:
            self.missed |= now_ns - self._lag_ns <= message.released_ns < self._copies[0].key.at_ns
            key = self._key(message, _about(message, block), now_ns)
            new = Happening(key, message, self._in_time(block, now_ns) if block and in_part else block, received_ns)
            if self._begins(new) or new.block is None or len(new.block):
                self._note(new)

    def _begins(self, new: Happening) -> bool:
        """Whether a message is the first of a feed's session: then it counts, though it is an empty frame."""
        assert new.message is not None
        if isinstance(new.message, Decorrelation):
            return False
        session, at_ns = self._begun.get(new.key.column, (-1, 0))
        first = session != new.message.session or new.key.at_ns < at_ns
        if first:
            self._begun[new.key.column] = new.message.session, new.key.at_ns
        return first

    def _key(self, message: FeedMessage, about: tuple[int, ...], now_ns: int) -> Key:
        oldest_ns = self._copies[0].key.at_ns + 1
        known = max(oldest_ns, now_ns - self._lag_ns) <= message.released_ns <= now_ns + self._ahead_ns
        at_ns = message.released_ns if known else max(oldest_ns, now_ns)
        rank, own_rank = _RANKS[type(message)]
        return Key(at_ns, rank, COLUMN_OF[message.nation], own_rank, message.session, message.seq, about)

    def _note(self, new: Happening) -> None:
        if not self._taken or self._taken[-1].key < new.key:
            self._taken.append(new)
        else:
            self._insert(new, bisect_right(self._taken, new.key, key=_KEY))
        self._kept += _work(new)

    def _in_time(self, block: Reports, now_ns: int) -> Reports:
        return block.take((block.valid_ns >= now_ns - self._lag_ns) & (block.valid_ns <= now_ns + self._ahead_ns))

    def note_tick(self, now_ns: int, *, counts: bool) -> None:
        """The clock has ticked; it `counts` where that did anything, or the upkeep after it looked for pairs."""
        self._go_by(now_ns)
        if not self.blind:
            before = bisect_left(self._taken, Key(now_ns), key=_KEY)
            follows = any(each.message is not None and each.key.at_ns == now_ns for each in self._taken[before:])
            tick = Happening(Key(now_ns, _LAST if follows else _FIRST), counts=counts)
            self._insert(tick, bisect_right(self._taken, tick.key, key=_KEY))

    def _go_by(self, now_ns: int) -> None:
        """Forget the ticks of a clock that was ahead, and has been set back; what counted as released by it does as it says."""
        latest_ns = now_ns + self._ahead_ns
        if self.blind or max(each[-1].key.at_ns for each in (self._copies, self._taken) if each) <= latest_ns:
            return
        if self._copies[0].key.at_ns > latest_ns:
            self._forget_all()
            return
        latest = Key(latest_ns, _LAST + 1)
        at = bisect_right(self._taken, latest, key=_KEY)
        later = self._taken[at:]
        gone = [each for each in later if each.message is None or each.key.at_ns != each.message.released_ns]
        self._taken[at:] = [each for each in later if each.message is not None and each.key.at_ns == each.message.released_ns]
        if any(each.counts for each in gone):
            self.wrong = True
            del self._copies[bisect_right(self._copies, latest, key=_KEY) :]
        for each in gone:
            if each.message is not None:
                self._note(each._replace(key=self._key(each.message, each.key.about, now_ns)))

    def _insert(self, new: Happening, at: int) -> None:
        if new.counts:
            self.wrong |= any(later.counts for later in self._taken[at:])
            del self._copies[max(bisect_left(self._copies, new.key, key=_KEY), 1) :]
        self._taken.insert(at, new)

    def keep(self, picture: Picture, now_ns: int) -> None:
        """After a tick: where all is in order a copy of the picture, if the last is old; what is older than the window goes."""
        if len(picture.clusters.reports) > self._most_tracks:
            self._forget_all()
            return
        if self.blind:
            self._copies.append(_Copy(Key(now_ns), _told(picture)))
        if not self.wrong:
            last = next((each.key for each in reversed(self._taken) if each.counts), self._copies[-1].key)
            if self._is_old(last):
                self._copies.append(_Copy(last, _told(picture), self._redone))
        self._forget(now_ns)

    def redo(self) -> Picture | None:
        """The picture with all that is kept in it, in order; None where that is more than a tick's work: the next goes on."""
        base, work = self._copies[-1], 0
        picture = copy.deepcopy(base.picture)
        if base.after < self._redone:
            picture.hush()
        for i in range(bisect_right(self._taken, base.key, key=_KEY), len(self._taken)):
            each = self._taken[i]
            if each.message is None:
                aged = picture.tick(each.key.at_ns)
                picture.catch_up(each.key.at_ns)
                self._taken[i] = each = each._replace(counts=aged or picture.looked)
            else:
                picture.take(each.message, each.block, each.received_ns, each.key.at_ns)
                picture.catch_up(each.key.at_ns)
            work += _work(each) + _A_PAIR * picture.asked
            if not each.counts:
                continue
            if work > _A_TICKS_WORK and i + 1 < len(self._taken):
                self._copies.append(_Copy(each.key, picture, self._redone))
                return None
            if self._is_old(each.key):
                self._copies.append(_Copy(each.key, copy.deepcopy(picture), self._redone))
        self.wrong = False
        self._redone += 1
        return picture

    def _is_old(self, key: Key) -> bool:
        """Whether the last copy is so old that there is to be one with all that counts up to `key`."""
        return key.at_ns - self._copies[-1].key.at_ns >= _COPY_EVERY_NS

    def _forget_all(self) -> None:
        self.missed |= self.wrong
        self.wrong = False
        self._taken.clear()
        self._copies.clear()
        self._kept = 0

    def _forget_oldest(self) -> None:
        """Forget until what is kept is no more than may be: what comes from before that will not be put right."""
        while self._kept > _MOST_ROWS and len(self._copies) > 1:
            del self._copies[0]
            before = bisect_right(self._taken, self._copies[0].key, key=_KEY)
            self._kept -= sum(map(_work, self._taken[:before]))
            del self._taken[:before]
        if self._kept > _MOST_ROWS:
            self._forget_all()

    def _forget(self, now_ns: int) -> None:
        """What is older than the window, but for the copy before it; and of copies the more, the older they are."""
        before = bisect_right(self._copies, Key(now_ns - self._lag_ns), key=_KEY) - 1
        if before > 0:
            del self._copies[:before]
        del self._taken[: bisect_right(self._taken, self._copies[0].key, key=_KEY)]
        if not self.wrong:  # of a quiet sky there is no copy for long, and ticks that did nothing before the window never will
            old = bisect_left(self._taken, Key(now_ns - self._lag_ns), key=_KEY)
            del self._taken[: next((i for i, each in enumerate(self._taken[:old]) if each.counts), old)]
        self._kept = sum(map(_work, self._taken))
        kept = self._copies[:1]
        for one, following in zip(self._copies[1:], self._copies[2:], strict=False):
            if following.key.at_ns - kept[-1].key.at_ns > _THINNED * (now_ns - following.key.at_ns):
                kept.append(one)
        self._copies = kept + self._copies[1:][-1:]


def _told(picture: Picture) -> Picture:
    """A copy of a picture, of which all is told or being told."""
    twin = copy.deepcopy(picture)
    twin.hush()
    return twin


def _work(each: Happening) -> int:
    return _A_HAPPENING + (0 if each.block is None else len(each.block))


def _about(message: FeedMessage, block: Reports | None) -> tuple[int, ...]:
    """Which tracks a message is about: of a frame the first, and when it was there, tells it from others of its instant."""
    if isinstance(message, TrackDropped):
        return tuple(message.tracks)
    if isinstance(message, Decorrelation):
        return tuple(each.track for each in message.tracks)
    return (int(block.track[0]), int(block.valid_ns[0])) if block else ()

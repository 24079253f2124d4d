"""Who may hear a nation's word on two tracks. Pure.

A word tells of both tracks that they exist: it may reach only whom both were released to. Of another nation's track the speaker
cannot know that for sure, unless that nation's policy lets everything reach the hearer. Fails closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bus.release import Nation, Release
from bus.tracks import NationalTrack
from sensors.policy import Policy, Sets

Told = Callable[[NationalTrack, Nation], bool]


def hearers(policies: Mapping[Nation, Policy], speaker: Nation, pair: Sequence[NationalTrack], told: Told) -> list[Nation]:
    """The nations that may hear `speaker` on a pair of tracks, beside itself.

    Each track has to be their own, of a nation that lets them have everything, or the speaker's and `told` to them before. A word
    on others' tracks alone goes to those that get everything of the speaker's.
    """

    def knows(track: NationalTrack, to: Nation) -> bool:
        return to == track.nation or to in policies[track.nation].always or (track.nation == speaker and told(track, to))

    on_own = any(track.nation == speaker for track in pair)
    return [
        to
        for to in policies[speaker].others
        if all(knows(track, to) for track in pair) and (on_own or to in policies[speaker].always)
    ]


def possible_hearers(policies: Mapping[Nation, Policy], speaker: Nation, pair: Sequence[NationalTrack]) -> list[Nation]:
    """The nations that may hear `speaker` at all, beside itself: those to which some report of its own track may go."""
    return hearers(policies, speaker, pair, lambda track, to: to in policies[speaker].longest_s)


def word_sets(policy: Policy, hearing: Sequence[Nation]) -> Sets:
    """To whom a word goes and when, ns after it is said: as late as the latest of the reports that a hearer may get.

    To each hearer for itself, unless all is plain.
    """
    delays_s = {to: policy.longest_s[to] for to in hearing}
    if policy.plain:
        return policy.sets(delays_s)
    delays_s[policy.nation] = policy.delay_s
    return sorted((round(delay_s * 1e9), policy.alone(to)) for to, delay_s in delays_s.items())


def possible_word_releases(policies: Mapping[Nation, Policy], speaker: Nation, pair: Sequence[NationalTrack]) -> set[Release]:
    """Every release set that a word on a pair of tracks may get."""
    return {to for _, to in word_sets(policies[speaker], possible_hearers(policies, speaker, pair))}

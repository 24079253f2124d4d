"""Who may read and write a topic, topic by topic, as a person would say it: the slow, obvious twin of `bus.access`."""

from __future__ import annotations

from itertools import combinations, permutations

from bus.access import Releases
from bus.release import NATIONS, Nation
from tests.security.conftest import WORKERS

EVERYBODY = {
    "conductor",
    "canary",
    "bridge.hub",
    *(f"{role}.{nation}" for role in ("feed", "receiver", "operator", "bridge") for nation in NATIONS),
    *(f"fusion.{worker}" for worker in WORKERS),
}
HUB = "fusion.fusion-1"
BRIDGES = {"bridge.hub", *(f"bridge.{nation}" for nation in NATIONS)}

SETS = [chosen for n in (1, 2, 3) for chosen in combinations(NATIONS, n)]
POLICIES: dict[str, Releases] = {
    "everything": {nation: [chosen for chosen in SETS if nation in chosen] for nation in NATIONS},
    "to all": {nation: [("jpn", "kor", "usa")] for nation in NATIONS},
    "no link between Japan and Korea": {
        "jpn": [("jpn", "usa")],
        "kor": [("kor", "usa")],
        "usa": [("jpn", "usa"), ("kor", "usa")],
    },
    "Japan to itself": {"jpn": [("jpn",)], "kor": [("jpn", "kor", "usa")], "usa": [("jpn", "usa")]},
    "nothing": {},
}
SPOKES: dict[str, Nation | None] = dict(zip(POLICIES, ("jpn", None, "kor", "usa", "jpn"), strict=True))  # whose broker is asked


def topics() -> list[str]:
    """Every topic of the bus, for these nations and workers, and others that look like one."""
    found = ["mw/v1/exercise/clock", "mw/v1/canary/clock", "mw/v1/canary/canary/status", "mw/v1/canary/jpn/status"]
    for nation in NATIONS:
        found += [f"mw/v1/feed/{nation}/status", f"mw/v1/receiver/{nation}/status"]
        found += [f"mw/v1/picture/{nation}/tracks", f"mw/v1/picture/{nation}/alerts/5-1"]
        found += [f"mw/v1/feed/{nation}/{kind}/{'-'.join(to)}" for kind in ("tracks", "events") for to in SETS]
        found += [f"mw/v1/feed/{nation}/decorrelations/{'-'.join(to)}/jpn-4-usa-7" for to in SETS]
        found += [f"mw/v1/{role}/{nation}/status" for role in ("operator", "bridge", "picture")]
        found += [f"mw/v1/feed/{nation}/tracks", f"mw/v1/feed/{nation}", f"mw/v1/picture/{nation}/alerts"]
        found += [f"mw/v1/picture/{nation}/alerts/5-1/more", f"mw/v1/feed/{nation}/tracks/jpn-kor-usa/more"]
    found += [f"mw/v1/fusion/{worker}/status" for worker in (*WORKERS, "fusion-2")]
    found += [f"mw/v1/feed/jpn/tracks/{'-'.join(to)}" for to in permutations(NATIONS) if to != NATIONS]
    found += [
        "mw/v1",
        "mw/v1/exercise",
        "mw/v1/exercise/clock/more",
        "mw/v1/canary/canary/clock",
        "mw/v1/conductor/clock",
        "mw/v2/exercise/clock",
        "mw",
        "test",
        "/",
        "mw/v1/feed//status",
    ]
    return found


def released(nation: str, to: str, policy: Releases) -> bool:
    """Whether the nation's policy lets it say something to exactly these."""
    readers = to.split("-")
    wide_enough = [
        allowed for owner, sets in policy.items() for allowed in sets if owner == nation and set(readers) <= set(allowed)
    ]
    return nation in readers and readers == sorted(set(readers)) and bool(wide_enough)


def readers(topic: str, policy: Releases) -> set[str]:
    """Who may read it."""
    match topic.split("/"):
        case ["mw", "v1", "exercise" | "canary", "clock"] | ["mw", "v1", "feed" | "receiver" | "fusion" | "canary", _, "status"]:
            return EVERYBODY - BRIDGES
        case ["mw", "v1", "feed", nation, "tracks" | "events", to] | ["mw", "v1", "feed", nation, "decorrelations", to, _] if (
            released(nation, to, policy)
        ):
            return {"conductor", HUB} | {each for reader in to.split("-") for each in _who_look_for(reader, "fusion")}
        case ["mw", "v1", "picture", nation, "tracks"] | ["mw", "v1", "picture", nation, "alerts", _] if nation in NATIONS:
            return {"conductor", "canary", *_who_look_for(nation)}
        case ["mw", "v1", *_]:
            return {"conductor"}
    return set()


def _who_look_for(nation: str, *others: str) -> set[str]:
    return {f"{role}.{nation}" for role in ("receiver", "operator", *others)}


def writers(topic: str, policy: Releases, spoke: Nation | None = None) -> set[str]:
    """Who may write it at a nation's broker that is bridged to a hub, or at one that is not."""
    return _speakers(topic, policy) | ({"bridge.hub"} if spoke and _comes_from_a_hub(topic, spoke) else set())


def _comes_from_a_hub(topic: str, spoke: str) -> bool:
    match topic.split("/"):
        case ["mw", "v1", "exercise" | "canary", "clock"] | ["mw", "v1", "fusion", _, "status"]:
            return True
        case ["mw", "v1", "feed", nation, "status"]:
            return nation in NATIONS and nation != spoke
        case ["mw", "v1", "picture", nation, "tracks"] | ["mw", "v1", "picture", nation, "alerts", _]:
            return nation == spoke
    return False


def _speakers(topic: str, policy: Releases) -> set[str]:
    match topic.split("/"):
        case ["mw", "v1", "exercise", "clock"]:
            return {"conductor"}
        case ["mw", "v1", "canary", "clock"] | ["mw", "v1", "canary", "canary", "status"]:
            return {"canary"}
        case ["mw", "v1", "feed" | "receiver" as role, nation, "status"] if nation in NATIONS:
            return {f"{role}.{nation}", f"bridge.{nation}"}
        case ["mw", "v1", "fusion", worker, "status"] if worker in WORKERS:
            return {f"fusion.{worker}"}
        case ["mw", "v1", "feed", nation, "tracks", to] if released(nation, to, policy):
            return {f"feed.{nation}", f"bridge.{nation}"}
        case ["mw", "v1", "feed", nation, "events", to] if released(nation, to, policy):
            return {f"feed.{nation}", f"bridge.{nation}"}
        case ["mw", "v1", "feed", nation, "decorrelations", to, _] if released(nation, to, policy):
            return {f"feed.{nation}", f"bridge.{nation}", f"operator.{nation}"}
        case ["mw", "v1", "picture", nation, "tracks"] if nation in NATIONS:
            return {HUB, f"fusion.{nation}"}
        case ["mw", "v1", "picture", nation, "alerts", _] if nation in NATIONS:
            return {HUB, f"fusion.{nation}", "conductor"}
    return set()

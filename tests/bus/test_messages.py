"""The wire: what is encoded comes back, any language can read it, and no bytes whatever break the decoder."""

from __future__ import annotations

import struct
from dataclasses import fields, replace
from pathlib import Path

import msgpack
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.columns import Reports, bad_rows, bytes_per_row, pack_cov, unpack_cov
from bus.errors import REJECT_REASONS, Rejected
from bus.messages import (
    MAX_FRAME_ROWS,
    MAX_PAYLOAD_BYTES,
    PURPOSES,
    Alert,
    AlertTimes,
    Decorrelation,
    ExerciseClock,
    Member,
    PictureFrame,
    Place,
    Purpose,
    Raid,
    Tally,
    TrackFrame,
    TrackName,
    decode,
    encode,
    of_canary,
    reports_of,
)
from bus.topics import Address, parse_topic
from tests.rows import frame, reports

TRACKS = parse_topic("mw/v1/feed/jpn/tracks/jpn-kor-usa")
ADDRESSES = [
    TRACKS,
    parse_topic("mw/v1/feed/jpn/events/jpn-usa"),
    parse_topic("mw/v1/picture/kor/tracks"),
    parse_topic("mw/v1/picture/kor/alerts/a1"),
    parse_topic("mw/v1/feed/jpn/status"),
    parse_topic("mw/v1/exercise/clock"),
    parse_topic("mw/v1/canary/clock"),
    parse_topic("mw/v1/feed/jpn/decorrelations/jpn-usa/jpn-4-usa-7"),
]
GOLDEN = Path(__file__).parent / "golden_frame.hex"
GOLDEN_DECORRELATION = Path(__file__).parent / "golden_decorrelation.hex"
GOLDEN_PICTURE = Path(__file__).parent / "golden_picture.hex"
GOLDEN_CANARY = Path(__file__).parent / "golden_canary.hex"


def alert() -> Alert:
    place = Place(
        lat_deg=39.2, lon_deg=125.7, semi_major_m=900.0, semi_minor_m=400.0, bearing_deg=80.0, time_ns=5, time_sigma_s=2.0
    )
    times = AlertTimes(valid_ns=4, detected_ns=2, tracked_ns=3, released_ns=5)
    return Alert(
        session=7,
        seq=1,
        id="kor-usa-1-17",
        recipient="kor",
        state="quick",
        revision=1,
        system=1,
        members=[Member("usa", 1)],
        phenomenology=2,
        reason="infrared",
        times=times,
        heading_deg=80.0,
        launch=place,
    )


def test_a_frame_comes_back_as_it_was_sent() -> None:
    block = reports(17)
    got, rejected = reports_of(as_frame(decode(TRACKS, encode(frame(block)))))
    assert rejected == {}
    for field in fields(Reports):
        np.testing.assert_array_equal(getattr(got, field.name), getattr(block, field.name))


def as_frame(message: object) -> TrackFrame:
    assert isinstance(message, TrackFrame)
    return message


def test_columns_are_views_of_the_received_bytes() -> None:
    got, _ = reports_of(as_frame(decode(TRACKS, encode(frame(reports(3))))))
    assert not got.state.flags.writeable
    assert not got.state.flags.owndata


def test_the_largest_frame_stays_under_64_kb() -> None:
    assert len(encode(frame(reports(MAX_FRAME_ROWS)))) < 65_536
    assert bytes_per_row(Reports) == 245


def test_plain_msgpack_and_struct_read_a_frame() -> None:
    block = reports(3)
    tree = msgpack.unpackb(encode(frame(block)))
    assert (tree["v"], tree["nation"], tree["n"]) == (1, "jpn", 3)
    assert list(struct.unpack("<3I", tree["columns"]["track"])) == [1, 2, 3]
    assert struct.unpack("<18d", tree["columns"]["state"]) == tuple(block.state.ravel())


def test_the_wire_has_not_changed() -> None:
    assert encode(frame(reports(1))).hex() == GOLDEN.read_text(encoding="ascii").strip()


def test_a_raid_count_comes_back_and_its_wire_has_not_changed() -> None:
    picture = PictureFrame(session=7, seq=1, recipient="kor", released_ns=5, n=0, columns={})
    count = Tally(expected=1.5, sigma=0.5, least=1, most=2)
    told = msgspec.structs.replace(picture, raid=Raid(began_ns=3, in_flight=count, total=count))
    address = parse_topic("mw/v1/picture/kor/tracks")
    assert decode(address, encode(told)) == told
    assert decode(address, encode(picture)) == picture
    assert encode(told).hex() == GOLDEN_PICTURE.read_text(encoding="ascii").strip()


def test_a_picture_frame_without_a_count_is_taken() -> None:
    tree = msgpack.unpackb(encode(PictureFrame(session=7, seq=1, recipient="kor", released_ns=5, n=0, columns={})))
    del tree["raid"]
    assert decode(parse_topic("mw/v1/picture/kor/tracks"), msgpack.packb(tree))


def decorrelation(apart: bool = True) -> Decorrelation:
    tracks = [TrackName(nation="jpn", session=7, track=4), TrackName(nation="usa", session=9, track=7)]
    return Decorrelation(session=3, seq=1, nation="jpn", released_ns=5, tracks=tracks, apart=apart)


@pytest.mark.parametrize("apart", [True, False])
def test_a_decorrelation_comes_back_and_its_wire_has_not_changed(apart: bool) -> None:
    assert decode(ADDRESSES[-1], encode(decorrelation(apart))) == decorrelation(apart)
    assert (encode(decorrelation(apart)).hex() == GOLDEN_DECORRELATION.read_text(encoding="ascii").strip()) == apart


def test_a_decorrelation_that_does_not_say_apart_keeps_apart() -> None:
    tree = msgpack.unpackb(encode(decorrelation(apart=False)))
    del tree["apart"]
    assert decode(ADDRESSES[-1], msgpack.packb(tree)) == decorrelation()


JPN_4 = {"nation": "jpn", "session": 7, "track": 4}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"nation": "usa"}, "attribution"),  # in Japan's name, by its topic
        ({"nation": "kor"}, "attribution"),
        ({"tracks": [JPN_4, {"nation": "usa", "session": 9, "track": 8}]}, "attribution"),  # not the topic's two
        ({"tracks": [JPN_4, {"nation": "kor", "session": 9, "track": 7}]}, "attribution"),
        ({"tracks": [JPN_4]}, "malformed"),
        ({"tracks": [JPN_4, JPN_4]}, "malformed"),
        ({"tracks": [JPN_4, JPN_4 | {"track": 5}]}, "malformed"),  # a nation's own two are two already
        ({"tracks": [JPN_4, JPN_4 | {"nation": "usa"}, JPN_4 | {"nation": "kor"}]}, "malformed"),
        ({"tracks": [JPN_4, {"nation": "usa", "track": 4}]}, "malformed"),
        ({"tracks": [JPN_4, JPN_4 | {"nation": "usa", "track": 0}]}, "malformed"),
        ({"tracks": [JPN_4, JPN_4 | {"nation": "fra"}]}, "malformed"),
        ({"tracks": [JPN_4, JPN_4 | {"nation": "usa", "session": -1}]}, "malformed"),
        ({"apart": None}, "malformed"),
        ({"surprise": 1}, "malformed"),
        ({"v": 2}, "version"),
    ],
)
def test_a_wrong_decorrelation_is_rejected_with_its_reason(change: dict[str, object], reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        decode(ADDRESSES[-1], msgpack.packb(msgpack.unpackb(encode(decorrelation())) | change))
    assert caught.value.reason == reason


def test_an_alert_comes_back_as_it_was_sent() -> None:
    address = parse_topic("mw/v1/picture/kor/alerts/kor-usa-1-17")
    assert decode(address, encode(alert())) == alert()


def test_an_alert_of_the_canary_bears_its_mark_and_its_wire_has_not_changed() -> None:
    marked = msgspec.structs.replace(alert(), purpose="canary")
    assert msgpack.unpackb(encode(marked))["purpose"] == "canary"
    assert encode(marked).hex() == GOLDEN_CANARY.read_text(encoding="ascii").strip()
    assert [of_canary(each) for each in (marked, alert())] == [True, False]


def test_what_does_not_tell_its_purpose_is_of_an_exercise() -> None:
    """A warning is never taken for a canary's by default."""
    for address, message in ((TRACKS, frame(reports(1))), (ADDRESSES[3], msgspec.structs.replace(alert(), id="a1"))):
        tree = msgpack.unpackb(encode(message))
        del tree["purpose"]
        assert decode(address, msgpack.packb(tree)) == message


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_clock_is_of_its_topics_purpose(purpose: Purpose) -> None:
    clock = ExerciseClock(
        session=1, seq=1, exercise="one", scenario="", seed=1, speed=1.0, start_ns=1, start_wall_ns=1, purpose=purpose
    )
    assert decode(parse_topic(f"mw/v1/{purpose}/clock"), encode(clock)) == clock
    with pytest.raises(Rejected, match="attribution"):
        decode(parse_topic(f"mw/v1/{'canary' if purpose == 'exercise' else 'exercise'}/clock"), encode(clock))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": 2}, "version"),
        ({"n": 2}, "columns"),
        ({"nation": "usa"}, "attribution"),
        ({"nation": "fra"}, "malformed"),
        ({"seq": -1}, "malformed"),
        ({"surprise": 1}, "malformed"),
    ],
)
def test_a_wrong_frame_is_rejected_with_its_reason(change: dict[str, object], reason: str) -> None:
    tree = msgpack.unpackb(encode(frame(reports(1)))) | change
    with pytest.raises(Rejected) as caught:
        reports_of(as_frame(decode(TRACKS, msgpack.packb(tree))))
    assert caught.value.reason == reason


def test_an_oversized_payload_is_rejected_unread() -> None:
    with pytest.raises(Rejected) as caught:
        decode(TRACKS, b"\x00" * (MAX_PAYLOAD_BYTES + 1))
    assert caught.value.reason == "oversized"


def test_a_release_that_leaves_out_its_originator_is_a_wrong_attribution() -> None:
    with pytest.raises(Rejected) as caught:
        decode(parse_topic("mw/v1/feed/jpn/tracks/kor-usa"), encode(frame(reports(1))))
    assert caught.value.reason == "attribution"


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [("state", np.nan, "not_finite"), ("cov", np.inf, "not_finite"), ("cov", -1.0, "covariance"), ("state", 1e9, "range")],
)
def test_one_unsound_row_is_left_out_and_the_others_are_kept(column: str, value: float, reason: str) -> None:
    block = reports(5)
    spoiled = getattr(block, column).copy()
    spoiled[2, 0] = value
    got, rejected = reports_of(frame(replace(block, **{column: spoiled})))
    assert got.track.tolist() == [1, 2, 4, 5]
    assert rejected == {reason: 1}


def test_track_number_zero_is_out_of_range() -> None:
    got, rejected = reports_of(frame(reports(2, first_track=0)))
    assert got.track.tolist() == [1]
    assert rejected == {"range": 1}


def test_triangles_and_matrices_are_two_forms_of_the_same() -> None:
    cov = reports(4).cov
    full = unpack_cov(cov)
    np.testing.assert_array_equal(full, full.transpose(0, 2, 1))
    np.testing.assert_array_equal(pack_cov(full), cov)


def outcome(address: Address, payload: bytes) -> str:
    """`decoded`, with every row it gives proven sound, or the reason it was rejected. Any other exception is a failure."""
    try:
        message = decode(address, payload)
        if isinstance(message, TrackFrame):
            got, _ = reports_of(message)
            assert np.isfinite(got.state).all()
            assert bad_rows(got.track, got.valid_ns, got.state, got.cov) == {}
            np.linalg.cholesky(unpack_cov(got.cov))
    except Rejected as rejected:
        return rejected.reason
    return "decoded"


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(ADDRESSES), st.binary(max_size=400))
def test_any_bytes_decode_or_are_rejected(address: Address, payload: bytes) -> None:
    assert outcome(address, payload) in {"decoded", *REJECT_REASONS}


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 10**6))
def test_a_frame_with_a_changed_byte_gives_sound_rows_or_is_rejected(where: int, value: int, cut: int) -> None:
    payload = bytearray(encode(frame(reports(2))))
    payload[where % len(payload)] = value
    whole = bytes(payload) if cut % 3 else bytes(payload[: cut % len(payload)])
    assert outcome(TRACKS, whole) in {"decoded", *REJECT_REASONS}


_tree = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(ADDRESSES), st.dictionaries(st.sampled_from(sorted(Alert.__struct_fields__)) | st.text(max_size=8), _tree))
def test_any_messagepack_map_decodes_or_is_rejected(address: Address, tree: dict[str, object]) -> None:
    assert outcome(address, msgspec.msgpack.encode(tree)) in {"decoded", *REJECT_REASONS}

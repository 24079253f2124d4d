"""Recordings: what was written is read, and a torn end loses only itself."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.recording import Entry, Recorder, read

ENTRIES = st.lists(
    st.builds(Entry, st.integers(0, 2**62), st.integers(0, 2**62), st.text(max_size=20), st.binary(max_size=50)), max_size=6
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ENTRIES, st.integers(0, 40))
def test_everything_before_a_torn_end_is_read(tmp_path: Path, entries: list[Entry], torn: int) -> None:
    path = tmp_path / "x.capture"
    path.unlink(missing_ok=True)
    sizes = [0]
    recorder = Recorder(path)
    for entry in entries:
        recorder.write(entry)
        sizes.append(path.stat().st_size)
    recorder.close()
    whole = path.read_bytes()
    assert list(read(path)) == entries
    path.write_bytes(whole[: max(0, len(whole) - torn)])
    kept = sum(size <= len(whole) - torn for size in sizes[1:])
    assert list(read(path)) == entries[:kept]

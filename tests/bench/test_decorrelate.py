"""`triwarn decorrelate`: what is wrong with the command line is told in one line, with what is allowed, before anything connects.

That it reaches fusion over a real broker: `tests/integration/test_live.py`.
"""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bench.cli import main


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["jpn", "jpn/4", "usa-7"], "argument TRACK: 'usa-7' is not a track (allowed: jpn, kor, usa, then / and a track number"),
        (["jpn", "jpn/4", "usa/0"], "argument TRACK: 'usa/0' is not a track"),
        (["jpn", "jpn/4", "jpn/7"], "argument TRACK: jpn/4 and jpn/7 are not two tracks of two nations (allowed: two tracks of"),
        (
            ["jpn", "jpn/4", "usa/7", "--release", "usa"],
            "flag --release: usa leaves out jpn, which says it (allowed: one with jpn)",
        ),
        (["jpn", "jpn/4", "usa/7", "--release", "usa-jpn"], "flag --release: a release is written sorted and once each: jpn-usa"),
        (["jpn", "jpn/4", "usa/7", "--release", "fra"], "(allowed: jpn, kor, usa, sorted and joined by hyphens)"),
        (["fra", "jpn/4", "usa/7"], "'fra' is not one of 'jpn', 'kor', 'usa'"),
        (["jpn", "jpn/4"], "takes 2 values"),
        (["jpn", "jpn/4", "usa/7", "--broker", "http://x"], "broker.url"),
    ],
)
def test_a_wrong_word_is_refused_with_what_is_allowed(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(main, ["decorrelate", *arguments])
    assert done.exit_code == 2
    assert says in done.output

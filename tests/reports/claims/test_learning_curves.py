"""Learning curves: read from the file beside a checkpoint, drawn with a table of their numbers."""

from __future__ import annotations

import pytest

from evals.errors import InputError
from evals.reports.claims.evidence import learning_curves

CURVE = """\
interactions,split,right,of,rate,low,high
0,environment,0,86,0.0000,0.0000,0.0428
0,validation,0,24,0.0000,0.0000,0.1380
5000,environment,7,86,0.0814,0.0400,0.1586
10000,environment,43,86,0.5000,0.3968,0.6032
10000,validation,3,24,0.1250,0.0434,0.3100
"""


@pytest.fixture
def curve(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text(CURVE)
    return path


def test_a_curve_is_drawn_to_scale_with_all_its_numbers(curve):
    (drawn,) = learning_curves.curves([learning_curves.read(curve, "zero")])
    assert drawn.splits == ("environment", "validation")
    assert drawn.points == (
        ("0", "0.0 % (0.0 to 4.3 %)", "0.0 % (0.0 to 13.8 %)"),
        ("5,000", "8.1 % (4.0 to 15.9 %)", "–"),
        ("10,000", "50.0 % (39.7 to 60.3 %)", "12.5 % (4.3 to 31.0 %)"),
    )
    assert '<circle class="dot" cx="100.00%" cy="50.00%" r="4"/>' in drawn.drawing
    assert '<circle class="dot other" cx="100.00%" cy="87.50%" r="4"/>' in drawn.drawing
    assert drawn.drawing.count("<circle") == 5
    assert drawn.drawing.count('class="dotted other"') == 1  # from one known moment to the next


def test_a_single_point_is_no_curve(curve):
    curve.write_text("".join(CURVE.splitlines(keepends=True)[:3]))
    assert learning_curves.curves([learning_curves.read(curve, "zero")]) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("rate", "share", "lacks rate"), ("0.0814", "?", "line 4"), ("5000,", "5000", "line 4")],
)
def test_a_file_that_is_no_curve_is_named_with_its_line(curve, old, new, words):
    curve.write_text(CURVE.replace(old, new))
    with pytest.raises(InputError, match=f"curve.csv.*{words}"):
        learning_curves.read(curve, "zero")

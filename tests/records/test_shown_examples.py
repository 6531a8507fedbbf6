"""How a benchmark was asked, as manifests say it.

python -m pytest tests/records/test_shown_examples.py
"""

from __future__ import annotations

import msgspec
import pytest
import run_folders

from evals.records.digests import protocol_value
from evals.records.types import Manifest

LOG = {"harness": "lm-eval", "task": "gsm8k", "files": {}, "metrics": {}}


@pytest.mark.parametrize(
    ("stated", "shown", "imported", "value"),
    [
        (None, None, False, 0),
        (None, 5, False, 5),  # the task's own number
        (5, 5, False, 5),
        (0, None, False, 0),
        (None, None, True, None),
        (5, None, True, 5),
    ],
)
def test_shots_are_the_examples_that_were_shown(stated, shown, imported, value):
    values = run_folders.manifest(shots=stated)
    values["data"] |= {} if shown is None else {"shots": shown}
    manifest = msgspec.convert(values | ({"imported": LOG} if imported else {}), Manifest)
    assert protocol_value(manifest, "task.shots") == value

"""The committed tables of the bundled check come from the committed records, byte for byte.

pytest tests/reports/test_baseline.py --renew runs     run the check and write all of it again, README's table too
pytest tests/reports/test_baseline.py --renew text     only write the tables again, from the records
"""

from __future__ import annotations

import re

import pytest
from commands import ROOT

import evals
from evals.reports.claims import archive
from evals.reports.claims.output import tables
from evals.reports.trends import series

BASELINE, README = ROOT / "reports" / "baseline", ROOT / "README.md"


@pytest.fixture(scope="module")
def checked(request):
    """The bundled check as the records have it; made again where that is asked for."""
    if (renew := request.config.getoption("--renew")) is not None:
        found = evals.check(recorded=BASELINE if renew == "text" else None, out=BASELINE, command="--renew runs")
        old = re.search(r"\| verdict \| document a .*?\n\n", README.read_text(), re.DOTALL)
        README.write_text(README.read_text().replace(old[0], f"{front_table(found)}\n\n"))
    return evals.check(recorded=BASELINE)


def front_table(checked):
    return tables.table_formats.markdown(tables.verdicts(checked.assessments))


@pytest.mark.parametrize("format", ["md", "csv", "tex"])
def test_the_tables_come_from_the_records(checked, format):
    written = tables.render(checked, format)
    assert written.encode() == (BASELINE / f"claims.{format}").read_bytes(), "see --renew text"


def test_every_run_has_its_interval_and_every_missing_one_its_reason():
    held = archive.load(BASELINE)
    assert {job.model for job, outcome in held.outcomes.items() if outcome.record} >= {"vl", "r1", "v2", "v3-seq2seq"}
    for job, outcome in held.outcomes.items():
        assert (outcome.record is None) == bool(outcome.why), job
        if job.task == "vqa" and outcome.record is not None:
            assert outcome.blind is not None, job  # a value about images stands beside its control
    quality = [t for t in series.trends([series.read(BASELINE)]) if " on efficiency " not in t.run]
    assert all(t.points[-1].metric is not None and t.points[-1].metric.low is not None for t in quality)


def test_the_front_page_has_its_counts(checked):
    """README's headline table is the baseline's."""
    assert front_table(checked) in README.read_text(), "see --renew text"


def test_no_path_of_a_machine_is_committed():
    for path in BASELINE.rglob("*.json"):
        assert not re.search(r'"(/home|/root|/work|/tmp|/Users)', path.read_text()), path

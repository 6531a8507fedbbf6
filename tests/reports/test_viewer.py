"""The page to look into runs: its index finds what a plain search finds, and its server tells only its own page."""

from __future__ import annotations

import http.client
import json
import re
import threading
from itertools import product
from statistics import fmean

import harness_logs
import pytest
import run_folders
from chromium import axe, browser, dumped, screenshot
from commands import evals, refused
from draws import examples
from hypothesis import given
from hypothesis import strategies as st

from evals import records
from evals.comparison import compare
from evals.errors import InputError
from evals.reports.samples import choose
from evals.reports.samples.choosing import STATES
from evals.reports.viewer import PageServer, RunIndex, write_file
from evals.reports.viewer.index import SORTS, SampleQuery

ROWS = [
    run_folders.row(
        str(n), (0.0, 0.3, 1.0)[n % 3], ("other", "number", "yes/no")[n % 3], output=text, answer=text or None
    )
    for n, text in enumerate(["", "a", "<b>bb</b>", *run_folders.HOSTILE])
]


@pytest.fixture
def index(tmp_path):
    metrics = {"accuracy": run_folders.metric(0.4, len(ROWS))}
    changed = [{**row, "values": {"accuracy": 1.0}} if row["index"] % 2 else row for row in ROWS]
    runs = [run_folders.make(tmp_path / "a", ROWS, metrics), run_folders.make(tmp_path / "b", changed, metrics)]
    index = RunIndex(runs)
    yield index
    index.close()


def found(index, **query):
    page = index.samples(SampleQuery(0, **query))
    assert page["matching"] == len(page["rows"]) <= page["total"] == len(ROWS)
    return [row["id"] for row in page["rows"]]


def test_the_index_finds_what_a_search_of_the_log_finds(index):
    for state, sort in product(["", *STATES], SORTS):
        name = {"-score": "score:desc", "-length": "length:desc"}.get(sort, sort)
        chosen = choose(index.records[0], [state] if state else [], name, None)
        assert found(index, state=state, sort=sort) == [row.id for row in chosen.rows], (state, sort)


def test_labels_texts_and_pages(index):
    assert found(index, label="answer type=number") == [row["id"] for row in ROWS if row["index"] % 3 == 1]
    assert found(index, text="SCRIPT") == [row["id"] for row in ROWS if "script" in row["output"].lower()]
    assert found(index, text="%") == [row["id"] for row in ROWS if "%" in row["output"]], "no pattern, a text"
    page = index.samples(SampleQuery(0, sort="id", offset=3, count=2))
    assert ([row["id"] for row in page["rows"]], page["matching"]) == (["3", "4"], len(ROWS))


def test_flips_are_the_samples_whose_scores_differ(index):
    page = index.samples(SampleQuery(0, other=1, flips=True))
    expected = [row["id"] for row in ROWS if row["index"] % 2 and row["values"]["accuracy"] != 1.0]
    assert [row["id"] for row in page["rows"]] == expected
    assert all(row["other_score"] == 1.0 for row in page["rows"])


def test_a_list_says_how_many_samples_are_in_the_other_run_and_why_compare_refuses_it(tmp_path):
    metrics = {"accuracy": run_folders.metric(0.4, len(ROWS))}
    part = run_folders.make(tmp_path / "b", ROWS[:3], {"accuracy": run_folders.metric(0.4, 3)})
    warm = run_folders.manifest(temperature=0.7)
    runs = [
        run_folders.make(tmp_path / "a", ROWS, metrics),
        part,
        run_folders.make(tmp_path / "c", ROWS, metrics, warm),
    ]
    index = RunIndex(runs)
    assert [index.samples(SampleQuery(0, other=other))["paired"] for other in (1, 2)] == [3, len(ROWS)]
    assert index.samples(SampleQuery(0))["paired"] is None
    assert index.runs()[0]["others"]["1"] == ""
    assert "task.temperature" in index.runs()[0]["others"]["2"]
    index.close()


def test_a_log_that_changed_is_an_error_of_one_line(index):
    for content in (b"", b'{"id": 7}\n', b"\xff" * 5000):
        (index.records[0].folder / "samples.jsonl").write_bytes(content)
        with pytest.raises(InputError, match="has changed since it was read"):
            index.sample(0, "3")
    (index.records[0].folder / "samples.jsonl").unlink()
    with pytest.raises(InputError, match="has changed since it was read"):
        index.sample(0, "3")


def flips(index, run, other):
    """The ids of the samples that the list calls flips; one sample's page shows the same pair."""
    page = index.samples(SampleQuery(run, other=other, flips=True, count=1000))
    assert page["matching"] == len(page["rows"])
    for row in page["rows"][:3]:
        assert index.sample(run, row["id"], other)["beside"]["id"] == row["other_id"]
    return [row["id"] for row in page["rows"]]


def compared(a, b):
    """The number of samples on which one of two runs is better."""
    headline = compare(a, b).metrics[0]
    return headline.wins + headline.losses


@examples(5, 300)
@given(st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=len(ROWS), max_size=len(ROWS)))
def test_flips_are_as_many_as_compare_counts(tmp_path_factory, scores):
    folder = tmp_path_factory.mktemp("runs")
    changed = [{**row, "values": {"accuracy": score}} for row, score in zip(ROWS, scores, strict=True)]
    runs = []
    for name, rows in (("a", ROWS), ("b", changed)):
        mean = fmean(row["values"]["accuracy"] for row in rows)
        runs.append(run_folders.make(folder / name, rows, {"accuracy": run_folders.metric(mean, len(rows))}))
    index = RunIndex(runs)
    assert len(flips(index, 0, 1)) == len(flips(index, 1, 0)) == compared(*runs)
    index.close()


def test_runs_of_other_harnesses_are_paired_by_their_questions(tmp_path):
    """The first log names the problems 0, 1, 2, the second 500, 501, 502, in another order, and one answer is wrong."""
    runs = []
    for name, first in {"plain": 0, "other": 500}.items():
        outputs = ["#### 0", *harness_logs.OUTPUTS[1:]] if first else harness_logs.OUTPUTS
        log = harness_logs.lm_eval_math(tmp_path / name, outputs=outputs)
        (path,) = log.glob("samples*.jsonl")
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            row["doc_id"] += first
        path.write_text("".join(json.dumps(row) + "\n" for row in (rows[::-1] if first else rows)))
        done = evals("import", log, "--out", tmp_path / f"run-{name}")
        assert done.returncode == 0, done.stderr
        runs.append(records.load(tmp_path / f"run-{name}"))
    index = RunIndex(runs)
    assert [run["others"] for run in index.runs()] == [{"1": ""}, {"0": ""}]
    page = index.samples(SampleQuery(0, other=1))
    questions = [index.sample(0, row["id"], 1) for row in page["rows"]]
    assert [whole["question"] for whole in questions] == [whole["beside"]["question"] for whole in questions]
    assert len(questions) == 3
    assert not {row["id"] for row in page["rows"]} & {row["other_id"] for row in page["rows"]}
    assert len(flips(index, 0, 1)) == len(flips(index, 1, 0)) == compared(*runs) == 1
    pairs = index.pairs()
    for row in page["rows"]:
        assert pairs[0][1][row["position"]] == (position(index, 1, row["other_id"]), row["other_score"])
    index.close()


def position(index, run, id):
    return next(row["position"] for row in index.samples(SampleQuery(run))["rows"] if row["id"] == id)


def test_a_sample_has_all_that_was_recorded(index):
    whole = index.sample(0, "3")
    assert (whole["output"], whole["score"], whole["labels"]) == (ROWS[3]["output"], 0.0, {"answer type": "other"})
    assert whole["target"] == json.dumps(ROWS[3]["target"])


@pytest.mark.parametrize(
    "query",
    [
        {"run": 2},
        {"run": 0, "state": "wrng"},
        {"run": 0, "sort": "x; DROP"},
        {"run": 0, "label": "x"},
        {"run": 0, "other": 7},
    ],
)
def test_what_is_not_there_is_refused(index, query):
    with pytest.raises(InputError):
        index.samples(SampleQuery(**query))


def test_the_server_answers_its_own_page_only(index):
    server = PageServer(index)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        page = _get(server, "/")
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert policy in page.body
        assert json.loads(_get(server, "/api/runs").body)[0]["model"] == "vl"
        assert json.loads(_get(server, "/api/samples?run=0&state=wrong").body)["matching"] == 9
        assert json.loads(_get(server, "/api/sample?run=1&id=4").body)["id"] == "4"
        assert _get(server, "/", host="evil.example").status == 403
        assert _get(server, "/api/sample?run=0&id=nobody").status == 400
        assert _get(server, "/api/samples?run=-1").status == 400
        assert _get(server, "/../../etc/passwd").status == 404
    finally:
        server.stop()
        thread.join()


class _Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read().decode()


def _get(server, path, host=None):
    address = server.address.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": host or address})
        return _Answer(connection.getresponse())
    finally:
        connection.close()


def test_a_file_holds_runs_and_samples_as_data_and_runs_its_own_script_only(index, tmp_path):
    assert write_file(index, tmp_path / "view.html", samples=5) == 10
    page = (tmp_path / "view.html").read_text()
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    content = json.loads(data)
    assert [len(listed["rows"]) for listed in content["samples"]] == [5, 5]
    assert content["samples"][0]["total"] == len(ROWS)
    assert "<script>alert" not in page
    assert page.count("<script") == 2
    assert "connect-src" not in page


def test_the_command_writes_a_file_and_refuses_what_it_cannot_do(index, tmp_path):
    finished = evals("view", *(record.folder for record in index.records), "--out", tmp_path / "view.html")
    assert finished.stdout == f"2 runs with {2 * len(ROWS)} samples in {tmp_path / 'view.html'}\n"
    refused(evals("view", cwd=tmp_path), "runs holds no finished run")
    refused(evals("view", index.records[0].folder, "--samples", "3"), "--samples", "--out")
    refused(evals("view", index.records[0].folder, "--port", "99999"), "expected 0 to 65535")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "dark", "query"),
    [(1280, False, "run=a&other=b&id=4"), (390, True, "run=a&state=wrong"), (390, False, "")],
)
def test_the_page_in_a_browser(index, tmp_path, width, dark, query):
    browser()
    write_file(index, tmp_path / "view.html")
    page = tmp_path / "view.html"
    wrong = index.samples(SampleQuery(0, state="wrong"))["matching"]
    if not query:
        text = dumped(page, tmp_path, width, dark=dark)
        assert {">a</a>", ">b</a>"} == {name for name in (">a</a>", ">b</a>") if name in text}, "two runs of one model"
        assert axe(page.read_text(), tmp_path, width, dark=dark)["violations"] == []
        return
    counted = f"{wrong if 'wrong' in query else len(ROWS)} of {len(ROWS)} samples"
    text = dumped(page, tmp_path, width, dark=dark, query=query)
    assert counted in text, "the script of the page finds what the index finds"
    assert "alert(1)" in text
    assert "<script>alert(1)" not in text
    found = axe(page.read_text(), tmp_path, width, dark=dark, query=query)
    assert found["violations"] == []
    assert found["passes"] > 20
    screenshot(page, tmp_path / "view.png", width, 900, dark=dark)

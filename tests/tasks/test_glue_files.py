"""Reading GLUE: every layout holds the same rows, real files are read whole, and bad ones get one clear line."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import numpy as np
import pyarrow
import pytest
import scipy.stats
from commands import evals, refused
from glue_folders import ROWS, hub, official
from golden import FOLDER as GOLDEN
from huggingface_hub import constants
from pyarrow import parquet

from evals import run as evaluate
from evals.errors import InputError
from evals.schema import Options
from evals.tasks import glue
from evals.tasks.formats.glue import BUNDLED, read
from evals.tasks.glue_tasks import TABLE, read_label

FILES = json.loads((GOLDEN / "glue_files.json").read_text())["files"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return official(tmp_path_factory.mktemp("glue"))


def test_all_layouts_hold_the_same(folder, tmp_path):
    copy = hub(folder, tmp_path)
    for task in TABLE.values():
        for split in (*task.sizes, "train"):
            one, two = (read(task, split, place) for place in (folder, copy))
            assert one.rows == two.rows
            assert (one.kind, two.kind) == ("official files", "hub files")
            assert read(task, split, folder / task.folder).rows == read(task, split, copy / task.name).rows == one.rows


def test_bundled_rows_are_read():
    for task in TABLE.values():
        for split in (*task.sizes, "train"):
            if not (BUNDLED / f"{task.name}-{split}.parquet").exists():
                pytest.skip("the bundled rows are not made yet")
            assert len(read(task, split, None).rows) >= 50


@pytest.mark.parametrize("name", FILES)
def test_real_files_are_read_whole(shared_data, name):
    expected, (folder, file) = FILES[name], name.split("/")
    task = next(task for task in TABLE.values() if task.folder == folder)
    split = file.removesuffix(".tsv").replace("dev", "validation")
    rows = read(task, split, shared_data / "glue").rows
    assert len(rows) == task.sizes[split] == expected["rows"]
    texts = [list(row.texts.values()) for row in rows]
    assert (digest(texts[0]), digest(texts[-1]), digest(texts)) == (
        expected["first"], expected["last"], expected["all"],
    )  # fmt: skip
    if task.labels:
        named = {key: read_label(task, key) for key in expected["labels"]}
        assert {named[key]: count for key, count in expected["labels"].items()} == Counter(row.label for row in rows)
    else:
        assert sum(row.label for row in rows) / len(rows) == pytest.approx(expected["labels"]["mean"], abs=1e-6)


def digest(texts):
    return hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", ["cola", "rte", "stsb", "mrpc"])
def test_real_tsv_and_parquet_agree(shared_data, name):
    for split in ("validation", "train"):
        tsv, copy = (read(TABLE[name], split, shared_data / place).rows for place in ("glue", "glue_parquet"))
        labels = [[row.label for row in rows] for rows in (tsv, copy)]
        # the hub's copy has the scores of STS-B in single precision
        assert labels[0] == (pytest.approx(labels[1], abs=1e-6) if name == "stsb" else labels[1])
        if name not in {"mrpc", "stsb"}:  # the hub's copy has spaces around marks
            assert tsv == copy


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["glue", "glue_parquet"])
def test_correlations_of_sts_b_are_those_of_the_scores_in_the_file(shared_data, tmp_path, layout):
    """Against SciPy, with gold scores that this test reads by itself and nobody rounds."""
    if layout == "glue":
        lines = (shared_data / "glue" / "STS-B" / "dev.tsv").read_text().splitlines()
        gold = np.array([float(line.split("\t")[9]) for line in lines[1:]])
    else:
        (path,) = (shared_data / "glue_parquet" / "stsb").glob("validation-*.parquet")
        gold = parquet.read_table(path).column("label").to_numpy().astype(np.float64)
    answers = gold + np.random.default_rng(0).normal(0, 1.3, len(gold))
    rows = "".join(f"{index}\t{answer!r}\n" for index, answer in enumerate(answers.tolist()))
    (tmp_path / "STS-B.tsv").write_text(f"index\tprediction\n{rows}")
    record = evaluate(f"replay:{tmp_path / 'STS-B.tsv'}", "glue/stsb", data=shared_data / layout, out=tmp_path / "run")
    measured = {name: record.result.metrics[name].value for name in ("pearson", "spearman")}
    assert measured["pearson"] == pytest.approx(scipy.stats.pearsonr(gold, answers).statistic, abs=1e-12)
    assert measured["spearman"] == pytest.approx(scipy.stats.spearmanr(gold, answers).statistic, abs=1e-12)
    rounded = scipy.stats.pearsonr(gold.round(3), answers).statistic
    assert abs(measured["pearson"] - rounded) > 1e-10  # the test of the test


def test_a_byte_order_mark_changes_no_row(folder, tmp_path):
    for task in TABLE.values():
        split = next(iter(task.sizes))
        name = f"{split.replace('validation', 'dev')}.tsv"
        content = (folder / task.folder / name).read_bytes().removeprefix(b"\xef\xbb\xbf")
        (tmp_path / task.folder).mkdir()
        (tmp_path / task.folder / name).write_bytes(b"\xef\xbb\xbf" + content)
        assert read(task, split, tmp_path).rows == read(task, split, folder).rows


# What is wrong


@pytest.fixture
def broken(folder, tmp_path):
    """Run `glue/<task>` on recorded outputs after a change to a file, and return the finished process."""

    def run(task, file, change, *more):
        name = TABLE[task].folder
        (tmp_path / name).mkdir()
        for path in (folder / name).iterdir():
            content = path.read_bytes()
            (tmp_path / name / path.name).write_bytes(change(content) if path.name == file else content)
        (tmp_path / "out.tsv").write_text("index\tprediction\n0\t1\n")
        model = f"replay:{tmp_path / 'out.tsv'}"
        return evals("run", "--model", model, "--task", f"glue/{task}", "--data", tmp_path, *more, cwd=tmp_path)

    return run


@pytest.mark.parametrize(
    ("task", "change", "words"),
    [
        ("rte", lambda c: c.replace(b"sentence2\t", b"sentence_b\t", 1), ["no column sentence2", "it has index"]),
        ("rte", lambda c: c.replace(b"not_entailment", b"neutral", 1), ["line 3", "'neutral'", "0 (entailment)"]),
        ("cola", lambda c: c.replace(b"0\t0\t0\t", b"0\t7\t0\t", 1), ["line 1", "'7'", "1 (acceptable)"]),
        ("stsb", lambda c: c.replace(b"4.250", b"6.250", 1), ["line 6", "'6.250'", "from 0 to 5"]),
        ("stsb", lambda c: c.replace(b"4.250", b"nan", 1), ["line 6", "'nan'"]),
        ("sst2", lambda c: b"", ["has no rows"]),
        ("sst2", lambda c: c.split(b"\n")[0], ["has no rows"]),
        ("qnli", lambda c: c.replace(b"\tentailment", b"", 1), ["line 2", "3 columns, expected 4"]),
        ("cola", lambda c: b"sentence\tlabel\n" + c, ["line 1", "2 columns, expected 4", "source, label, star"]),
        ("mrpc", lambda c: c + b"\xff\xfe", ["not UTF-8"]),
        ("mrpc", lambda c: c.replace(b"\t0\n", b'\t"0\n', 1), ["line 2", "the label is '\"0'", "0 (not_equivalent)"]),
    ],
)  # fmt: skip
def test_bad_files_are_named_with_the_line(broken, task, change, words):
    refused(broken(task, "dev.tsv", change), "dev.tsv", *words)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--same-shots"], ["--same-shots", "give --shots too"]),
        (["--shots", ROWS + 1], [f"--shots {ROWS + 1}", f"the {ROWS} rows", "train.tsv"]),
        (["--split", "train"], ["no split", "'train'", "validation"]),
        (["--split", "test"], ["has no RTE/test.tsv and no rte/test-*.parquet"]),
        (["--method", "probe", "--shots", 1], ["--shots 1 is for method choose", "probe has no prompt"]),
    ],
)
def test_options_that_cannot_be(broken, more, words):
    refused(broken("rte", "", bytes, *more), *words)


def test_a_folder_without_the_task_says_where_to_get_it(folder, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"has no WNLI/dev.tsv and no wnli/validation-\*.parquet; GLUE is at"):
        read(TABLE["wnli"], "validation", folder / "RTE")
    with pytest.raises(InputError, match="is not a folder"):
        read(TABLE["wnli"], "validation", tmp_path / "nowhere")
    monkeypatch.setenv("EVALS_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="hf:nyu-mll/glue is not on this machine, and the hub does not provide it"):
        glue.samples(["rte"], Options(scale="full"))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"sentence": ["a"], "label": [2]}, r"row 0: the label is 2, expected one of 0 \(unacceptable\)"),
        ({"sentence": ["a", "b"], "label": [1, -1]}, r"1 of 2 rows have no label \(the first is row 1\); a split has"),
        ({"text": ["a"], "label": [1]}, "has no column sentence"),
        ({"sentence": [], "label": []}, "has no rows"),
    ],
)
def test_bad_parquet_files_are_named(tmp_path, columns, words):
    schema = pyarrow.schema([(next(iter(columns)), pyarrow.string()), ("label", pyarrow.int64())])
    parquet.write_table(pyarrow.table(columns, schema), tmp_path / "validation-0.parquet")
    with pytest.raises(InputError, match=words):
        read(TABLE["cola"], "validation", tmp_path)


def test_broken_lines_of_train_are_left_out(folder, tmp_path):
    (tmp_path / "train.tsv").write_text("id\tquestion1\tquestion2\tis_duplicate\n0\ta\tb\t1\n1\tc\n2\te\tf\t0\n")
    assert [row.label for row in read(TABLE["qqp"], "train", tmp_path).rows] == [1, 0]


# Labels as files store them


def stored(tmp_path, task, labels, kind=None, names=None):
    """Read rows whose labels are stored in a way."""
    columns = {column: ["a"] * len(labels) for column in TABLE[task].columns}
    table = pyarrow.table({**columns, "label": pyarrow.array(labels, kind)})
    if names:
        features = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    split = next(iter(TABLE[task].sizes))
    parquet.write_table(table, tmp_path / f"{split}-0.parquet")
    return [row.label for row in read(TABLE[task], split, tmp_path).rows]


@pytest.mark.parametrize(
    ("task", "labels", "kind", "names", "expected"),
    [
        ("mnli", [0, 2, 1], pyarrow.int8(), None, [0, 2, 1]),
        ("mnli", [0.0, 2.0, 1.0], pyarrow.float32(), None, [0, 2, 1]),
        ("mnli", ["entailment", "Contradiction", "neutral"], None, None, [0, 2, 1]),
        ("mnli", ["0", "2", "1"], None, None, [0, 2, 1]),
        ("mnli", [0, 2, 1], None, ["entailment", "neutral", "contradiction"], [0, 2, 1]),
        ("mnli", [0, 2, 1], None, ["contradiction", "entailment", "neutral"], [2, 1, 0]),
        ("mnli", [0, 2, 1], None, ["0", "1", "2"], [0, 2, 1]),
        ("rte", [-1, -1], None, ["entailment", "not_entailment"], [None, None]),
        ("sst2", [None, None], pyarrow.int64(), None, [None, None]),
        ("stsb", ["3.25", "0"], None, None, [3.25, 0]),
        ("stsb", [-1.0, -1.0], None, None, [None, None]),
    ],
)
def test_labels_are_read_however_they_are_stored(tmp_path, task, labels, kind, names, expected):
    assert stored(tmp_path, task, labels, kind, names) == expected


def test_names_of_other_classes_are_refused(tmp_path):
    with pytest.raises(InputError, match="names its labels bad, good; the task's are negative, positive"):
        stored(tmp_path, "sst2", [0, 1], names=["bad", "good"])


# Splits without labels


def unlabelled(folder, tmp_path):
    """The official test files: a header in all, and no labels."""
    for task in TABLE.values():
        for split in task.sizes:
            rows = read(task, split, folder).rows
            path = tmp_path / "data" / task.folder / f"{split.replace('validation', 'test')}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [[str(index), *row.texts.values()] for index, row in enumerate(rows)]
            names = ["index", *task.columns.values()]
            path.write_text("\n".join("\t".join(line) for line in [names, *lines]) + "\n")
    return tmp_path / "data"


def test_a_split_without_labels_becomes_the_leaderboards_files(folder, tmp_path):
    import checkpoints

    import evals as suite

    data = unlabelled(folder, tmp_path)
    model = checkpoints.classifier(tmp_path / "model", "bert", ("neutral", "contradiction", "entailment"))
    record = suite.run(
        str(model), "glue/mnli", data=data, split="test", long_prompts="truncate-left", out=tmp_path / "run"
    )
    assert record.result.headline == "answered"
    assert record.result.metrics["answered"].value == 1
    assert "nothing is scored" in record.result.metrics["answered"].note
    files = sorted(path.name for path in (record.folder / "submission").iterdir())
    assert files == ["MNLI-m.tsv", "MNLI-mm.tsv"]
    answers = {row.id: row.answer for row in record.samples()}
    header, *lines = (record.folder / "submission" / "MNLI-mm.tsv").read_text().splitlines()
    assert header == "index\tprediction"
    assert lines == [f"{n}\t{answers[f'mismatched/{n}']}" for n in range(ROWS)]
    assert (record.folder / "report.html").is_file()


def test_answers_are_submitted_in_the_leaderboards_form():
    from evals.schema import Score
    from evals.tasks.formats.glue_submission import submission

    def files(task, *answers):
        labels = {"task": task}
        return submission([Score(str(n), answer, None, {}, labels=labels) for n, answer in enumerate(answers)])

    assert files("sst2", "positive", "negative", None) == {"SST-2.tsv": "index\tprediction\n0\t1\n1\t0\n2\t0\n"}
    assert files("rte", "not_entailment") == {"RTE.tsv": "index\tprediction\n0\tnot_entailment\n"}
    assert files("stsb", 3.14159, 7.5, None) == {"STS-B.tsv": "index\tprediction\n0\t3.142\n1\t5.000\n2\t0.000\n"}
    assert submission([Score("0", "positive", "negative", {}, labels={"task": "sst2"})]) == {}


def test_the_official_test_file_of_mrpc_has_labels(shared_data):
    rows = read(TABLE["mrpc"], "test", shared_data / "glue").rows
    assert len(rows) == 1725


@pytest.mark.parametrize(("row", "index"), [(0, "1"), (2, "1"), (2, "02"), (1, "x"), (3, "")])
def test_rows_that_are_not_numbered_in_their_order_are_refused(folder, tmp_path, row, index):
    (tmp_path / "RTE").mkdir()
    lines = (folder / "RTE" / "dev.tsv").read_text().splitlines()
    assert lines[0].startswith("index\t")
    lines[row + 1] = "\t".join([index, *lines[row + 1].split("\t")[1:]])
    (tmp_path / "RTE" / "dev.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=rf"line {row + 2}: index is {index!r}, expected {row}: the rows"):
        read(TABLE["rte"], "validation", tmp_path)

"""Tables of strangers, as the task `custom` reads them: formats, columns, values, and what is refused.

python -m pytest tests/data/row_tables/test_tables.py
"""

from __future__ import annotations

import csv
import io
import json
import logging
import resource
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
from commands import ROOT, environ, evals, refused
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from pyarrow import parquet

from evals import InputError, Options
from evals.data.audio import Waveform, decode, to_wav
from evals.data.row_tables import arrow_files, open_table
from evals.data.row_tables.row_ids import RowNumbers
from evals.data.row_tables.written_fractions import with_written_fractions
from evals.execution import validation
from evals.registry import TASKS
from evals.tasks import custom

datasets.disable_progress_bars()


def png(color: str = "red") -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", (4, 3), color).save(file, "PNG")
    return file.getvalue()


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path, **options):
    return custom.samples(Options(data=path, **options))


def rows(path: Path, **options):
    """Texts and targets, in order."""
    return [
        ([part for part in sample.requests[0].parts if isinstance(part, str)], sample.target)
        for sample in read(path, **options)
    ]


ONE = [(["1 + 1?"], ["2"]), (['a;b, "c"\nd'], ["NA"])]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.csv", '\ufeffQuestion ,ANSWER\r\n1 + 1?,2\r\n\r\n"a;b, ""c""\nd",NA\r\n'),
        ("q.CSV", 'Question;Answer\n1 + 1?;2\n"a;b, ""c""\nd";NA\n;\n'),
        ("pandas.csv", ',question,answer\n0,1 + 1?,2\n1,"a;b, ""c""\nd",NA'),
        (
            "q.jsonl",
            '\ufeff{"question": "1 + 1?", "answer": 2}\r\n\r\n{"question": "a;b, \\"c\\"\\nd", "answer": "NA"}',
        ),
        ("lines.json", '{"question": "1 + 1?", "answer": "2"}\n{"question": "a;b, \\"c\\"\\nd", "answer": "NA"}\n'),
        (
            "list.json",
            '\ufeff [{"question": "1 + 1?", "answer": 2}, {"question": "a;b, \\"c\\"\\nd", "answer": ["NA"]}]',
        ),
        ("data.json", '{"v": [1], "data": [{"q": "1 + 1?", "answer": 2}, {"q": "a;b, \\"c\\"\\nd", "answer": "NA"}]}'),
    ],
)
def test_texts_are_read_as_they_stand(tmp_path, name, content):
    columns = "text=q" if 'q":' in content else None
    assert rows(written(tmp_path, name, content), columns=columns) == ONE


def test_tsv_cells_are_texts_unless_they_are_quoted_as_a_whole(tmp_path):
    path = written(tmp_path, "q.tsv", 'question\tanswer\n"say ""hi"""\t"so" x\n')
    assert rows(path) == [(['say "hi"'], ['"so" x'])]


CELLS = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
        st.text("ab,;\t|\"'\n\r ", min_size=1),
    ),
    min_size=1, max_size=5,
)  # fmt: skip


@given(CELLS)
def test_what_the_csv_module_writes_is_what_is_read(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("cells") / "q.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "target"), *cells])
    table = open_table(path)
    assert [(row["text"], row["target"]) for row in table.rows(["text", "target"])] == cells
    assert table.read(len(cells) - 1, ["target"]) == {"target": cells[-1][1]}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "question,answer\na,\nb,c\n", "row 1: target is missing"),
        ("a.csv", "question,answer\na,b\nc,d,e\n", r"line 3: 3 columns, expected 2 \(question, answer\)"),
        ("a.csv", 'question,answer\n"a,b\nc,d\n', "line 2: a quotation mark that opens a cell is not closed"),
        ("a.csv", "question,question,answer\na,b,c\n", "two columns named 'question'"),
        ("a.csv", "Question,question ,answer\na,b,c\n", "'Question' and 'question', and each could be text"),
        ("a.csv", "question,answer\nä,b\n".encode("latin-1"), "line 2: not UTF-8"),
        ("a.csv", "question,answer\na,b\n".encode("utf-16-le"), "line 1: a NUL character.* UTF-16"),
        ("a.tsv", "question\tanswer\na\tb\0\n", "line 2: a NUL character"),
        ("a.csv", "question,answer\nä,b\n".encode("utf-16"), "UTF-16; save it as UTF-8"),
        ("a.csv", "question,answer\n", "has no rows"),
        ("a.csv", "id,question,answer\n1,a,b\n1,c,d\n", "id 1 comes twice"),
        ("a.csv", "question,reply\na,b\n", "no column for target; its columns are question, reply"),
        ("a.csv", "title,answer\na,b\n", "no column for text, image or audio; its columns are title, answer"),
        ("a.json", '[{"question": "a", "answer": "b",}]', "line 1, column 34: trailing comma"),
        ("a.json", '[{"question": "a", "answer": "b", "answer": "c"}]', "row 1.*'answer' is given twice"),
        ("a.json", '{"question": ["a"], "answer": ["b"]}', "expected a list of rows, an object that holds one"),
        ("a.jsonl", '{"text": "a", "target": "b", "image": "c"}\n{"text": "a", "target": "b", "imgae": "c"}',
         "line 2: 'imgae' is no field; did you mean image"),
        ("a.csv.gz", b"", r"suffix \.gz; unpack it first"),
        ("a.xlsx", b"PK", r"suffix \.xlsx; --data takes CSV"),
        ("a.parquet", b"PAR1", "cannot be read"),
        ("a.arrow", b"ARROW1", "cannot be read"),
        ("a.zip", b"PK", "not a readable zip"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(tmp_path, name, content, words):
    with pytest.raises(InputError, match=words) as refusal:
        read(written(tmp_path, name, content))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("test-00000-of-00002", "test-00001-of-00002"), None),
        (("test-00001-of-00002",), "lacks the shard 00000 of 00002"),
        (("test-00000-of-00003", "test-00002-of-00003"), "lacks the shard 00001 of 00003"),
        (("test-00000-of-00001", "test-00000-of-00002", "test-00001-of-00002"), "shards of several sets"),
        (("test", "test-00000-of-00001"), "shards of several sets"),
        (("test-00000-of-00001", f"test-00000-of-00001-{'a' * 16}"), "shards of several sets"),
    ],
)
def test_a_split_is_all_of_its_shards(tmp_path, names, words):
    for name in names:
        parquet.write_table(pa.table({"question": [name], "answer": ["a"]}), tmp_path / f"{name}.parquet")
    if words is None:
        assert [texts for texts, _ in rows(tmp_path)] == [[name] for name in names]
    else:
        with pytest.raises(InputError, match=words):
            read(tmp_path)


def test_a_missing_id_is_the_number_of_the_row(tmp_path):
    table = pa.table({"id": [7.0, None, float("nan")], "question": ["a", "b", "c"], "answer": ["x", "y", "z"]})
    parquet.write_table(table, tmp_path / "q.parquet")
    assert list(read(tmp_path / "q.parquet").ids) == ["7", "2", "3"]
    assert list(read(written(tmp_path, "q.jsonl", '{"id": "", "question": "a", "answer": "b"}')).ids) == ["1"]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_a_short_fraction_is_the_one_that_was_written(values):
    table = with_written_fractions(pa.table({"a": pa.array([values], pa.list_(pa.float32()))}))
    (read,) = table["a"].to_pylist()
    assert [np.float32(value) for value in read] == values
    assert [float(str(np.float32(value))) for value in values] == read


def test_guessed_columns_are_printed_and_chosen_ones_are_not(tmp_path):
    path = written(tmp_path, "q.csv", "Frage,Answer,category,answers\n1 + 1?,2,easy,x\n2 + 2?,4,hard,y\n")
    outputs = written(tmp_path, "out.jsonl", '{"id": "1", "output": "2"}\n{"id": "2", "output": "5"}')
    arguments = ("run", "--model", f"replay:{outputs}", "--task", "custom", "--data", path, "--out", tmp_path / "run")
    refused(evals(*arguments, "--columns", "txt=Frage"), "no field 'txt'", "did you mean text", "target, id, subset")
    refused(evals(*arguments, "--columns", "text=Frge"), "no column 'Frge'", "Frage, Answer, category", "text, image")
    done = evals(*arguments, "--columns", "text=Frage,subset=category")
    assert "columns text=Frage, target=Answer, subset=category; not used: answers" in done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    values = {name: metric["value"] for name, metric in result["metrics"].items()}
    assert values == {"accuracy": 0.5, "contains": 0.5, "accuracy/easy": 1.0, "accuracy/hard": 0.0}
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["data"]["columns"] == {"text": "Frage", "target": "Answer", "subset": "category"}
    again = evals(*arguments, "--columns", "text=Frage,target=answers")
    refused(again, "data.columns.target")
    refused(evals("run", "--model", "vl", "--task", "vqa", "--columns", "question=q"), "give --data too")


# Through the library


IMAGES = {"image": [Pillow.new("RGB", (4, 3), color) for color in ("red", "blue")], "answer": [0, 1]}
FEATURES = datasets.Features({"image": datasets.Image(), "answer": datasets.ClassLabel(names=["red", "blue"])})


def test_saved_data_sets_and_their_features(tmp_path):
    data_set = datasets.Dataset.from_dict(IMAGES, features=FEATURES)
    datasets.DatasetDict({"train": data_set, "test": data_set.select([1])}).save_to_disk(tmp_path / "splits")
    with pytest.raises(InputError, match="has the splits train, test: choose one with --split"):
        read(tmp_path / "splits")
    (sample,) = read(tmp_path / "splits", split="test")
    assert sample.target == ["blue"], "the name of the class, not its number"
    assert sample.requests[0].parts[0].data.startswith(b"\x89PNG")
    folder = tmp_path / "splits" / "train"
    state = json.loads((folder / "state.json").read_text())
    assert read(folder).facts["fingerprint"] == state["_fingerprint"]
    data_set.to_parquet(tmp_path / "p.parquet")
    assert [sample.target for sample in read(tmp_path / "p.parquet")] == [["red"], ["blue"]]
    state["_data_files"][0]["filename"] = "../test/data-00000-of-00001.arrow"
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match="leaves its folder"):
        read(folder)


def stored(folder: Path, name: str, **columns) -> Path:
    table = pa.table(columns)
    path = folder / name
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        make = pa.ipc.new_file if "file" in name else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as file, make(file, table.schema) as writer:
            writer.write_table(table)
    return path


@pytest.mark.parametrize("name", ["a.parquet", "stream.arrow", "file.arrow"])
def test_values_of_typed_columns(tmp_path, name):
    images = [{"bytes": png(), "path": "x.png"}, {"bytes": None, "path": "here.png"}]
    answers = [{"text": ["a", "b"], "answer_start": [0, 1]}, {"text": ["c"], "answer_start": [0]}]
    path = stored(tmp_path, name, question=["a", "b"], img=images, answers=answers, number=[2.0, 2.5], whole=[2, 3])
    first, second = read(path)
    assert (first.requests[0].parts[0].data, second.requests[0].parts[0].path) == (png(), tmp_path / "here.png")
    assert [first.target, second.target] == [["a", "b"], ["c"]]
    assert [sample.target for sample in read(path, columns="target=number")] == [["2", "2.0"], ["2.5"]]
    assert [sample.target for sample in read(path, columns="target=whole")] == [["2"], ["3"]]
    assert [sample.target for sample in read(path, columns="target=answers.answer_start")] == [["0", "1"], ["0"]]
    escaping = stored(tmp_path, f"x{name}", question=["a"], answer=["b"], img=[{"bytes": None, "path": "../../x.png"}])
    with pytest.raises(InputError, match=r"row 1: the file name '\.\./\.\./x\.png' leaves its folder"):
        read(escaping)


def test_audio_and_several_images(tmp_path):
    wav = to_wav(Waveform(np.zeros(160, np.float32), 16_000))
    path = stored(
        tmp_path, "a.parquet", audio=[{"bytes": wav, "path": None}], images=[[{"bytes": png()}] * 2], label=["x"]
    )
    (sample,) = read(path)
    first, second, clip = sample.requests[0].parts
    assert (first.data, second.data, decode(clip).rate) == (png(), png(), 16_000)


def test_a_large_parquet_file_is_mapped_and_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(arrow_files, "_IN_MEMORY", 0)
    path = stored(tmp_path, "a.parquet", question=[str(n) for n in range(1000)], answer=list(range(1000)))
    for _ in range(2):
        assert read(path)[999].target == ["999"]
    assert len(list((tmp_path / "cache").rglob("*.arrow"))) == 1
    stored(tmp_path, "a.parquet", question=["a"], answer=["b"])
    assert rows(path) == [(["a"], ["b"])], "a file that changed is not read from the old copy"


# Archives


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return path


def test_a_zip_of_images(tmp_path):
    table = b"file_name,question,answer\nimages/1.png,what?,red\n"
    path = zipped(tmp_path / "a.zip", **{"x__metadata.csv": table, "x__images__1.png": png()})
    (sample,) = read(path)
    assert (sample.requests[0].parts[0].data, sample.requests[0].parts[1], sample.target) == (png(), "what?", ["red"])
    folders = zipped(tmp_path / "b.zip", **{"cat__1.png": png(), "dog__2.png": png("blue"), "._x.png": b""})
    assert [(sample.id, sample.target) for sample in read(folders)] == [("cat/1.png", ["cat"]), ("dog/2.png", ["dog"])]
    escaping = zipped(tmp_path / "c.zip", **{"metadata.jsonl": b'{"file_name": "../1.png", "target": "x"}'})
    with pytest.raises(InputError, match=r"has no file '\.\./1\.png'"):
        read(escaping)
    with pytest.raises(InputError, match=r"images and no answers: put a metadata\.csv into it"):
        read(zipped(tmp_path / "d.zip", **{"1.png": png()}))


# Cost


def test_memory_does_not_grow_with_the_rows(tmp_path):
    def peak_after(count: int) -> int:
        with (tmp_path / "q.csv").open("w") as file:
            file.write("question,answer\n")
            file.writelines(f"{'how much is it? ' * 100}{n},{n}\n" for n in range(count))
        assert read(tmp_path / "q.csv")[count - 1].target == [str(count - 1)]
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    before = peak_after(1000)
    assert peak_after(20_000) - before < (tmp_path / "q.csv").stat().st_size // 2


def test_a_row_takes_few_bytes(tmp_path):
    """24 for its place; its id is made when it is needed. `tests/benchmarks/large_tables.py` measures whole runs."""

    def held(count: int) -> int:
        path = written(tmp_path, "q.csv", "question,answer\n" + "".join(f"what is {n}?,{n}\n" for n in range(count)))
        tracemalloc.start()
        samples = read(path)
        assert (samples.ids[count - 1], samples.ids[:2]) == (str(count), ["1", "2"])
        current, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return current

    assert held(4_000) - held(1_000) < 3_000 * 40


def test_many_ids_are_compared_by_their_hashes(monkeypatch):
    monkeypatch.setattr(validation, "_HASHED_IDS", 2)
    task = TASKS.get("custom")
    validation.check_distinct(task, RowNumbers(5, lambda index: index))
    with pytest.raises(InputError, match="two samples with the id '1'"):
        validation.check_distinct(task, ["1", "2", "1"])


@pytest.mark.slow
def test_texts_need_neither_library(tmp_path):
    path = written(tmp_path, "q.csv", "question,answer\n1 + 1?,2\n")
    outputs = written(tmp_path, "out.jsonl", '{"id": "1", "output": "2"}')
    arguments = [
        "run",
        "--model",
        f"replay:{outputs}",
        "--task",
        "custom",
        "--data",
        str(path),
        "--out",
        str(tmp_path / "r"),
    ]
    code = (
        "import sys; from evals.app.cli import main; assert not main(sys.argv[1:]); "
        "print({*sys.modules} & {'datasets', 'evaluate'})"
    )
    command = [sys.executable, "-c", code, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ())
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines()[-1] == "set()"


def test_log_lines_end_with_the_command():
    assert not logging.getLogger("evals.data").handlers

"""The run folder under faults that are really caused: kills, a full disk, torn and damaged files, two processes."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import orjson
import pytest
import run_folders
from commands import ROOT, environ
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evals import RecordError, records, score
from evals.errors import InputError
from evals.records.digests import digest_of_ids, digest_of_result, signature_of
from evals.records.folder import RunFolder, image_name, load
from evals.records.types import (
    CodeEntry,
    Manifest,
    MetricEntry,
    PlanEntry,
    Result,
    SampleRecord,
    TaskEntry,
)


def manifest(count=3, name="toy"):
    """The manifest of a run of so many samples, whose ids are their indices."""
    signed = Manifest(
        signature="",
        task=TaskEntry(name=name, version=1, needs="generate", split="all", scale="mini"),
        data={"samples": count, "ids": digest_of_ids([str(n) for n in range(count)])},
        model={"name": "toy"},
        plan=PlanEntry(budget=None, share=True, window=8, token_budget=8),
        code=CodeEntry(digest="c0de"),
    )
    signed.signature = signature_of(signed.to_dict())
    return signed


MANIFEST = manifest()


def row(number, **changes):
    fields = {
        "id": str(number), "index": number, "prompt": "?", "output": "x" * 50, "answer": "x", "target": "x",
        "values": {"accuracy": 1.0}, "failed": False, "failure": None, "truncated": False, "scores": [()],
        "cluster": "", "labels": {}, "cost": {},
    } | changes  # fmt: skip
    return SampleRecord(**fields)


def result(n=3, signature=MANIFEST.signature):
    accuracy = MetricEntry(value=1.0, low=None, high=None, n=n, unit="fraction")
    return Result(
        task="toy", model="toy", scale="mini", split="all", n=n, failed=0, unparsed=0, truncated=0, signature=signature,
        metrics={"accuracy": accuracy}, headline="accuracy", efficiency={},
    )  # fmt: skip


def importing_tests():
    """The environment of a process that imports this module."""
    folders = (ROOT, ROOT / "tests" / "support", Path(__file__).parent)
    return environ() | {"PYTHONPATH": os.pathsep.join(map(str, folders))}


def write(folder, indices, manifest=MANIFEST):
    with RunFolder(folder, manifest) as run:
        run.append([row(index) for index in indices])


def test_what_was_written_is_there_again_in_the_order_of_the_benchmark(tmp_path):
    write(tmp_path / "run", [2, 0])
    with RunFolder(tmp_path / "run", MANIFEST) as run:
        assert run.finished_ids == {"0", "2"}
        run.append([row(1)])
    assert [sample.id for sample in load(tmp_path / "run").samples()] == ["0", "1", "2"]


@given(cut=st.integers(1, 200))
def test_a_torn_last_line_is_dropped_and_done_again(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("run")
    write(folder, [0, 1, 2])
    log = folder / "samples.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole[:-cut])
    with RunFolder(folder, MANIFEST) as run:
        assert run.finished_ids == {"0", "1"}
        run.append([row(2)])
    assert log.read_bytes() == whole


def test_a_damaged_line_in_the_middle_is_named_and_nothing_is_touched(tmp_path):
    write(tmp_path, [0, 1, 2])
    log = tmp_path / "samples.jsonl"
    damaged = log.read_bytes().replace(b'"index":1', b'"index"1')
    log.write_bytes(damaged)
    with pytest.raises(RecordError, match=r"samples.jsonl, line 2"), RunFolder(tmp_path, MANIFEST):
        pass
    assert log.read_bytes() == damaged


def test_a_folder_of_another_run_is_refused_by_name(tmp_path):
    write(tmp_path, [0])
    other = manifest(name="other")
    with (
        pytest.raises(RecordError, match=rf"holds run {MANIFEST.signature}, not {other.signature}.*task\.name"),
        RunFolder(tmp_path, other),
    ):
        pass
    write(tmp_path, [1])  # the refusal gave the lock back


def test_a_folder_in_use_by_another_process_is_refused(tmp_path):
    code = f"""
        import sys, time
        from pathlib import Path
        from evals.records import RunFolder
        from test_records import MANIFEST
        with RunFolder(Path({str(tmp_path)!r}), MANIFEST):
            print("held", flush=True)
            time.sleep(60)
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, env=importing_tests()
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RecordError, match="in use by another process"), RunFolder(tmp_path, MANIFEST):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    write(tmp_path, [0])  # a killed process holds no lock


def test_a_full_disk_keeps_what_was_finished(tmp_path):
    code = f"""
        import resource, sys
        from pathlib import Path
        from evals.errors import InputError
        from evals.records import RunFolder
        from test_records import MANIFEST, row
        with RunFolder(Path({str(tmp_path)!r}), MANIFEST) as run:
            run.append([row(0)])
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
            try:
                run.append([row(n) for n in range(1, 50)])
            except InputError as error:
                print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, env=importing_tests()
    )
    assert "the samples before it are kept" in done.stdout
    assert done.stderr == ""
    with RunFolder(tmp_path, MANIFEST) as run:
        assert run.finished_ids == {"0"}
        run.append([row(1)])
    assert len(list(load(tmp_path).samples())) == 2


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write in"), RunFolder(tmp_path / "file" / "run", MANIFEST):
        pass


def test_a_result_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "result.json"
    records.write_atomically(path, b"old")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
        with pytest.raises(InputError, match="cannot write"):
            records.write_atomically(path, b"new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_manifest_that_cannot_be_read_is_named(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(RecordError, match=r"manifest\.json"):
        load(tmp_path)


# What the files must agree about


def finished(folder, count=3):
    signed = manifest(count)
    with RunFolder(folder, signed) as run:
        run.append([row(index) for index in range(count)])
        run.finish(result(count, signed.signature))
    return load(folder)


def test_what_is_read_is_what_was_written(tmp_path):
    record = finished(tmp_path)
    assert record.manifest == MANIFEST
    assert record.result == replace(result(), digest=record.result.digest)
    assert list(record.samples()) == [replace(row(index), signature=MANIFEST.signature) for index in range(3)]
    assert [(line.id, line.values) for line in record.values()] == [(str(n), {"accuracy": 1.0}) for n in range(3)]
    assert record.result["metrics"]["accuracy"]["value"] == 1.0  # by key too, as in the file
    with pytest.raises(KeyError):
        _ = record.result["nothing"]


def test_a_line_that_stands_twice_is_refused(tmp_path):
    finished(tmp_path)
    log = tmp_path / "samples.jsonl"
    log.write_bytes(log.read_bytes() + log.read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(RecordError, match=r"samples\.jsonl, line 4: sample '1' has a line already; remove one"):
        list(load(tmp_path).samples())
    with pytest.raises(RecordError, match="has a line already"), RunFolder(tmp_path, MANIFEST):
        pass


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([row(0), row(1)], "holds 2 samples, manifest.json says 3"),
        ([row(0), row(1), row(2), row(3)], "holds 4 samples, manifest.json says 3"),
        ([row(0), row(1), row(2, id="7")], "holds other samples than the manifest says"),
        ([row(0), row(1), row(2, index=1)], "index 1 is another sample's already"),
    ],
)
def test_samples_that_are_not_the_runs_are_refused(tmp_path, lines, message):
    record = finished(tmp_path)
    records.rewrite(record, lines)
    for read in (record.samples, record.values):
        with pytest.raises(RecordError, match=message):
            list(read())


def test_a_line_of_another_run_is_refused(tmp_path):
    """As when the logs of two machines are merged."""
    record, other = finished(tmp_path), manifest(name="other")
    log = tmp_path / "samples.jsonl"
    log.write_text(log.read_text().replace(MANIFEST.signature, other.signature, 1))
    message = rf"line 1: sample '0' is of run {other.signature}, not of {MANIFEST.signature}"
    for read in (record.samples, record.values):
        with pytest.raises(RecordError, match=message):
            list(read())
    with pytest.raises(RecordError, match=message), RunFolder(tmp_path, MANIFEST):
        pass
    log.write_text(log.read_text().replace(f',"signature":"{other.signature}"', "", 1))  # as version 0.1 wrote it
    assert len(list(record.samples())) == 3


def test_values_that_are_too_large_to_add_are_refused(tmp_path):
    record = finished(tmp_path)
    records.rewrite(record, [row(0), row(1, values={"accuracy": 1e308}), row(2)])
    with pytest.raises(RecordError, match=r"the line of sample '1' is damaged: its values are"):
        list(record.values())


@pytest.mark.parametrize(
    ("field", "key", "value"),
    [
        ("task", "split", "test"),
        ("data", "samples", 4),
        ("model", "name", "x"),
        ("model", "n", 10**30),
        ("code", "digest", ""),
    ],
)
def test_a_manifest_that_was_changed_is_refused(tmp_path, field, key, value):
    finished(tmp_path)
    path = tmp_path / "manifest.json"
    changed = json.loads(path.read_text())
    changed[field][key] = value
    path.write_text(json.dumps(changed))
    with pytest.raises(RecordError, match=r"manifest\.json (was changed|is damaged)"):
        load(tmp_path)
    with pytest.raises(RecordError, match=r"manifest\.json (was changed|is damaged)"), RunFolder(tmp_path, MANIFEST):
        pass


@pytest.mark.parametrize(
    "fact", [{"samples_in_split": "9"}, {"source": 1}, {"without": "rte"}, {"samples_in_split": True}]
)
def test_a_fact_of_another_type_is_refused_by_name(tmp_path, fact):
    finished(tmp_path)
    stated = json.loads((tmp_path / "manifest.json").read_text())
    stated["data"] |= fact
    stated["signature"] = signature_of(stated)
    (tmp_path / "manifest.json").write_text(json.dumps(stated))
    with pytest.raises(RecordError, match=rf"manifest\.json is not a run's, or damaged: `data\.{next(iter(fact))}` is"):
        load(tmp_path)


def test_a_manifest_may_say_more_than_is_known(tmp_path):
    finished(tmp_path)
    path = tmp_path / "manifest.json"
    later = json.loads(path.read_text())
    later["task"]["later"] = 1
    later["signature"] = signature_of(later)
    path.write_text(json.dumps(later))
    (tmp_path / "result.json").unlink()
    assert load(tmp_path).manifest.signature == later["signature"]


@pytest.mark.parametrize("name", ["manifest.json", "result.json"])
def test_a_field_that_is_not_known_must_be_readable_too(tmp_path, name):
    finished(tmp_path)
    path = tmp_path / name
    path.write_bytes(b'{"later": "\xf0\x28", ' + path.read_bytes().lstrip(b"{"))
    with pytest.raises(RecordError, match=rf"{name} cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("field", ["signature", "task", "model", "scale", "split"])
def test_the_result_of_another_run_is_refused(tmp_path, field):
    finished(tmp_path)
    path = tmp_path / "result.json"
    other = json.loads(path.read_text()) | {field: "other"}
    path.write_text(json.dumps(other | {"digest": digest_of_result(other)}))
    with pytest.raises(RecordError, match=rf"result\.json is of another run: its {field} is 'other'"):
        load(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"failed": 4},
        {"failed": 2, "unparsed": 2},
        {"truncated": 4},
        {"n": -1},
        {"n": 10**30},
        {"metrics": {"accuracy": [0.9, 0.1]}},
    ],
)
def test_a_result_that_cannot_be_is_refused(tmp_path, changes):
    finished(tmp_path)
    path = tmp_path / "result.json"
    whole = json.loads(path.read_text())
    if "metrics" in changes:
        low, high = changes["metrics"]["accuracy"]
        changes = {"metrics": {"accuracy": whole["metrics"]["accuracy"] | {"low": low, "high": high}}}
    path.write_text(json.dumps(whole | changes))
    with pytest.raises(RecordError, match=r"result\.json is not a run's, or damaged"):
        load(tmp_path)


def test_a_result_that_was_changed_is_refused_whatever_was_changed(tmp_path):
    finished(tmp_path)
    path = tmp_path / "result.json"
    whole = json.loads(path.read_text())
    assert whole["digest"] == digest_of_result(whole)
    accuracy = whole["metrics"]["accuracy"]
    for value in (2.0, -1.0, 1e308, 0.999999, 1):  # 1 for 1.0: a number that is written otherwise was written by others
        path.write_text(json.dumps(whole | {"metrics": {"accuracy": accuracy | {"value": value}}}))
        with pytest.raises(RecordError, match=r"changed after the run: .* score the run again \(python -m evals score"):
            load(tmp_path)
    for changes in ({"failed": 3}, {"unparsed": 1}, {"headline": "accuracy", "later": 1}):
        path.write_text(json.dumps(whole | changes))
        with pytest.raises(RecordError, match=r"result\.json was changed after the run"):
            load(tmp_path)
    path.write_text(json.dumps(whole | {"efficiency": {"peak_memory_bytes": 5}}))  # what a run cost is not its result
    load(tmp_path)
    older = {name: value for name, value in whole.items() if name != "digest"}
    path.write_text(json.dumps(older))
    assert load(tmp_path).result.metrics["accuracy"].value == 1.0
    path.write_text(json.dumps(older | {"n": 999}))
    with pytest.raises(RecordError, match=r"result\.json is damaged: it says 999 samples, .*manifest\.json 3; score"):
        load(tmp_path)
    path.write_text(json.dumps(whole | {"efficiency": {"seconds": 6.0, "samples_per_second": 0.6}}))
    with pytest.raises(RecordError, match=r"3 samples in 6 s and 0\.6 samples per second"):
        load(tmp_path)


def test_the_samples_of_another_run_are_refused(tmp_path):
    record = finished(tmp_path)
    took = replace(record.result, efficiency={"seconds": 6.0})
    (tmp_path / "result.json").write_bytes(records.dumps(took.to_dict()))
    records.rewrite(record, [row(index, cost={"seconds": 2.0}) for index in range(3)])
    assert len(list(load(tmp_path).samples())) == 3
    records.rewrite(record, [row(index, cost={"seconds": 2.5 if index else 2.0}) for index in range(3)])
    for read in (load(tmp_path).samples, load(tmp_path).values):
        with pytest.raises(RecordError, match=r"samples\.jsonl and the result are not of one run"):
            list(read())


@pytest.mark.parametrize("name", ["manifest.json", "result.json", "samples.jsonl"])
@pytest.mark.parametrize("kind", ["folder", "loop"])
def test_what_is_no_file_is_refused_by_name(tmp_path, name, kind):
    finished(tmp_path)
    (tmp_path / name).unlink()
    if kind == "folder":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).symlink_to(name)
    assert complaint_about(tmp_path)
    if name == "samples.jsonl":
        with pytest.raises(RecordError, match="cannot be read"), RunFolder(tmp_path, MANIFEST):
            pass


def test_a_run_whose_log_was_cut_is_not_finished(tmp_path):
    record = finished(tmp_path)
    with RunFolder(tmp_path, MANIFEST) as run:
        assert run.finished
    records.rewrite(record, [row(0), row(2)])
    with RunFolder(tmp_path, MANIFEST) as run:
        assert not run.finished


@pytest.mark.parametrize("changes", [{"target": None}, {"target": [7]}, {"scores": []}, {"labels": {}}])
def test_samples_that_the_task_cannot_score_are_refused_and_kept(tmp_path, changes):
    record = run_folders.make(tmp_path)
    log = tmp_path / "samples.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines[0] |= {"scores": [[]]} | changes
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = log.read_bytes()
    with pytest.raises(RecordError, match=r"samples\.jsonl cannot be scored by task 'vqa', version \d"):
        score(record.folder)
    assert log.read_bytes() == before


def test_costs_of_over_64_bits_are_added_all_the_same(tmp_path):
    """A damaged record must not keep a run from its result."""
    record = run_folders.make(tmp_path)
    log = tmp_path / "samples.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        line |= {"scores": [[]], "labels": {"answer type": "other", "question type": "what"}}
        line["cost"] |= {"prompt_tokens": 2**62, "charge": 2**62}
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    stored = json.loads((tmp_path / "result.json").read_text())
    stored["efficiency"]["peak_memory_bytes"] = 1e300
    (tmp_path / "result.json").write_text(json.dumps(stored))
    efficiency = score(record.folder).result.efficiency
    assert efficiency["prompt_tokens"] == efficiency["charge"] == float(4 * 2**62)
    assert efficiency["peak_memory_bytes"] is None


@pytest.mark.parametrize("folder", [None, 3, True])
def test_what_is_no_path_is_no_run_folder(folder):
    with pytest.raises(RecordError, match="expected a path"):
        load(folder)


def test_a_foreign_sample_stops_a_run_that_goes_on(tmp_path):
    write(tmp_path, [0, 1])
    with RunFolder(tmp_path, MANIFEST) as run:
        run.check_ids(["0", "1", "2"])
        with pytest.raises(RecordError, match=r"sample '1' is not in the split; remove its line"):
            run.check_ids(["0", "2"])
        with pytest.raises(RecordError, match="holds 2 of 3 samples: start its run again"):
            run.check_complete()


def damages(value, path=()):
    """Every way to damage one place of a JSON value: leave it out, or put something else there."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {k: v for k, v in value.items() if k != key}
            for other in damages(inner, (*path, key)):
                yield {**value, key: other}
    for other in (None, "x", 17, -1.5, True, [], [[]], {"x": 1}):
        if type(other) is not type(value):
            yield other


def complaint_about(folder):
    """What is said of a run folder that is read as a whole; empty if it is in order."""
    try:
        record = load(folder)
        list(record.samples())
        record.finished()
    except RecordError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", ["manifest.json", "result.json", "samples.jsonl"])
def test_a_damaged_file_is_read_rightly_or_refused_in_one_line(tmp_path, name):
    record = finished(tmp_path)
    whole = (tmp_path / name).read_bytes()
    first, *rest = whole.splitlines(keepends=True) if name == "samples.jsonl" else [whole]
    cases = [orjson.dumps(value) + b"\n" for value in damages(orjson.loads(first))]
    cases += [whole[:cut] for cut in range(0, len(first), 7)] + [b"\xff\xfe" + whole, whole.replace(b"{", b"[", 1)]
    refused = 0
    for case in cases:
        (tmp_path / name).write_bytes(b"".join([case, *rest]) if name == "samples.jsonl" else case)
        complaint = complaint_about(tmp_path)
        refused += complaint != ""
        assert "\n" not in complaint
        assert not complaint or ".json" in complaint or "finished" in complaint
    assert refused > len(cases) / 2
    assert record.folder == tmp_path


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RecordError, match="is not a run folder"):
        load(tmp_path)
    for name in "dbca":
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").touch()
    with pytest.raises(RecordError, match=r"it holds a, b, c and 1 more: name them, as .*/[*]"):
        load(tmp_path)


@given(st.text())
def test_image_names_are_file_names_and_tell_ids_apart(sample_id):
    name = image_name(sample_id)
    assert Path(name).name == name
    assert name not in {".", ".."}
    assert image_name(sample_id + "x") != name


def test_json_is_written_for_people():
    assert orjson.loads(records.dumps({"a": 1})) == {"a": 1}
    assert records.dumps({"a": 1}) == b'{\n  "a": 1\n}\n'


def test_the_archive_of_a_check_says_what_it_is(tmp_path):
    finished(tmp_path)
    kept = [{"id": str(n), "index": n, "cluster": "", "values": {"accuracy": 1.0}} for n in range(3)]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    assert len(list(load(tmp_path).values())) == 3
    with pytest.raises(
        RecordError, match=r"holds only the values of its samples.* run it again: --model toy --task toy"
    ):
        list(load(tmp_path).samples())

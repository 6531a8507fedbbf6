"""The run folder under faults that are really caused: kills, a full disk, torn and damaged files, two processes."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals import RecordError, records
from evals.errors import InputError
from evals.records.folder import RunFolder, load, picture_name

MANIFEST = {"signature": "a1", "task": {"name": "toy"}, "data": {}, "model": {}, "plan": {"token_budget": 8}}


def row(index):
    return {"id": str(index), "index": index, "output": "x" * 50}


def write(folder, indices, manifest=MANIFEST):
    with RunFolder(folder, manifest) as run:
        run.append([row(index) for index in indices])


def test_what_was_written_is_there_again_in_the_order_of_the_benchmark(tmp_path):
    write(tmp_path / "run", [2, 0])
    with RunFolder(tmp_path / "run", MANIFEST) as run:
        assert run.done == {"0", "2"}
        run.append([row(1)])
    assert [sample["id"] for sample in load(tmp_path / "run").samples()] == ["0", "1", "2"]


@given(cut=st.integers(1, 70))
def test_a_torn_last_line_is_dropped_and_done_again(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("run")
    write(folder, [0, 1, 2])
    log = folder / "samples.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole[:-cut])
    with RunFolder(folder, MANIFEST) as run:
        assert run.done == {"0", "1"}
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
    other = {**MANIFEST, "signature": "b2", "task": {"name": "other"}}
    with pytest.raises(RecordError, match=r"holds run a1, not b2.*task\.name"), RunFolder(tmp_path, other):
        pass
    write(tmp_path, [1])  # the refusal gave the lock back


def test_a_folder_in_use_by_another_process_is_refused(tmp_path):
    code = f"""
        import sys, time
        from pathlib import Path
        from evals.records import RunFolder
        with RunFolder(Path({str(tmp_path)!r}), {MANIFEST!r}):
            print("held", flush=True)
            time.sleep(60)
    """
    holder = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
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
        with RunFolder(Path({str(tmp_path)!r}), {MANIFEST!r}) as run:
            run.append([{{"id": "0", "index": 0}}])
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
            try:
                run.append([{{"id": str(n), "index": n, "output": "x" * 100}} for n in range(1, 50)])
            except InputError as error:
                print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert "what was finished is kept" in done.stdout
    assert done.stderr == ""
    with RunFolder(tmp_path, MANIFEST) as run:
        assert run.done == {"0"}
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


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RecordError, match="is no run folder"):
        load(tmp_path)


@given(st.text())
def test_picture_names_are_file_names_and_tell_ids_apart(sample_id):
    name = picture_name(sample_id)
    assert Path(name).name == name
    assert name not in {".", ".."}
    assert picture_name(sample_id + "x") != name


def test_json_is_written_for_people():
    assert orjson.loads(records.dumps({"a": 1})) == {"a": 1}
    assert records.dumps({"a": 1}) == b'{\n  "a": 1\n}\n'
